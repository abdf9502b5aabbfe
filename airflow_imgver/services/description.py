"""
The description of a service whose images have versions: one record, from which all else is derived.

Hooks, gates, triggers, reports, commands and the provider's metadata read it. It imports neither Airflow nor
boto3, because Airflow loads the commands and the metadata at every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_imgver.options import Option
from airflow_imgver.services.waitable import (
    Commands,
    ConsolePage,
    IdentityField,
    Poll,
    VersionArn,
    Waitable,
    imported,
    option_of,
)

if TYPE_CHECKING:
    from airflow_imgver.operators.report import VersionReportOperator

__all__ = [
    "Column",
    "Commands",
    "ConsolePage",
    "Filter",
    "IdentityField",
    "ListCall",
    "Quota",
    "Service",
    "VersionArn",
    "option_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    A further member of the list call's request: a filter or the sort.

    :param name: the argument of hooks and operators, for example ``creation_time_after``.
    :param member: the member of the API's request, for example ``CreationTimeAfter``.
    :param help: what it does, for help texts.
    :param is_time: whether the value is a time.
    :param choices: the values that AWS accepts; empty for any.
    """

    name: str
    member: str
    help: str
    is_time: bool = False
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The option of a command, for example ``--creation-time-after``."""
        return option_of(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCall:
    """
    A list call and its paging.

    :param operation: the API operation, for example ``ListImageVersions``.
    :param method: boto3's method and paginator, for example ``list_image_versions``.
    :param result_key: the member of an answer that holds the entries.
    :param token: the member that holds the API's page token, in requests and in answers.
    :param page_size: the member that limits the size of a page.
    :param largest_page: the most entries that AWS puts on a page.
    :param filters: what else a request may hold.
    """

    operation: str
    method: str
    result_key: str
    token: str
    page_size: str
    largest_page: int
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """
    How many requests of an operation this package sends; AWS counts each operation by itself.

    :param operation: the API operation, for example ``CopyImageSet``.
    :param option: the ``[imgver]`` option with the requests a second; operations may have the same one.
    :param burst: how many requests may come at once after a pause; None for those of a quarter of a second.
    """

    operation: str
    option: Option
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a report: a member of an entry; a dotted name is a member of a member."""

    name: str
    type: Literal["text", "number", "truth", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Waitable):
    """
    A service whose images have versions.

    Takes the arguments of :class:`~airflow_imgver.services.waitable.Waitable`, and:

    :param listing: the call that lists versions.
    :param newest_first: members of a request that sort by version, the greatest first; None where the call
        cannot sort so.
    :param finding: the call that finds what has versions.
    :param found_name: the member of the finding call's answers that holds the id or name.
    :param missing_codes: the error codes that mean that it does not exist.
    :param transient_codes: the service's own error codes that mean that the same call may succeed later;
        those that all of AWS shares are known.
    :param requests_per_second: the ``[imgver]`` option of the request budgets of the two list calls.
    :param other_quotas: the quotas of the other operations that this package calls.
    :param columns: the columns of a report.
    :param keeps_superseded: whether a version that a newer one replaced can still be read, and so may hold
        what nobody wants to keep, the identifiers from before a de-identification for example.
    :param report: the path of the report operator's class; None for a service without the report command.
    """

    listing: ListCall
    newest_first: Mapping[str, str] | None = None
    finding: ListCall
    found_name: str
    missing_codes: frozenset[str]
    transient_codes: frozenset[str] = frozenset()
    requests_per_second: Option
    other_quotas: tuple[Quota, ...] = ()
    columns: tuple[Column, ...]
    keeps_superseded: bool = False
    report: str | None = None

    @property
    def poll(self) -> Poll:
        """How a gate polls it."""
        return Poll(self.listing.operation, "observe")

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """The quotas of all operations that this package calls."""
        lists = (self.listing, self.finding)
        return (
            *(Quota(operation=call.operation, option=self.requests_per_second) for call in lists),
            *self.other_quotas,
        )

    @property
    def options(self) -> tuple[Option, ...]:
        """The service's own ``[imgver]`` options, each once."""
        return tuple(dict.fromkeys(quota.option for quota in self.quotas))

    def report_class(self) -> type[VersionReportOperator[Any]] | None:
        """Import the report operator's class."""
        return None if self.report is None else imported(self.report)

    def members(self, identity: Mapping[str, str]) -> dict[str, str]:
        """Return the members of the API's request that hold an identity."""
        return {field.member: identity[field.name] for field in self.identity}
