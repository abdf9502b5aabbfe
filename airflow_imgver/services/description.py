"""
The description of a service whose images have versions: one record, from which all else is derived.

Hooks, gates, triggers, reports, commands and the provider's metadata read it. It imports neither Airflow nor
boto3, because Airflow loads the commands and the metadata at every start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.options import Option
from airflow_imgver.text import one_line
from airflow_imgver.versions import EntryFields

if TYPE_CHECKING:
    from airflow_imgver.hooks.base import ImageVersionHook
    from airflow_imgver.sensors.base import ImageVersionSensor


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityField:
    """
    One field of what identifies an image set or image.

    :param name: the argument of hooks, operators and sensors, for example ``image_name``.
    :param member: the member of the API's request, for example ``ImageName``.
    :param pattern: AWS's pattern for the value.
    :param rule: the pattern in words, for errors and help texts.
    :param thing: what the field names, for help texts.
    """

    name: str
    member: str
    pattern: str
    rule: str
    thing: str

    @property
    def option(self) -> str:
        """The option of a command, for example ``--image-name``."""
        return option_of(self.name)

    def check(self, value: Any) -> str:
        """
        Check a value.

        :raises InvalidIdentityError: it breaks the pattern.
        """
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and re.fullmatch(self.pattern, text):
            return text
        shown = one_line(value)[:100] if isinstance(value, str) else value
        lost = ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            lost = (
                " A native template made a number of it, and digits were lost. Leave out "
                "render_template_as_native_obj, or pass the value from a task instead of a template."
            )
        raise InvalidIdentityError(f"{self.name} must be {self.rule}, not {shown!r}.{lost}")


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
class VersionArn:
    """
    The ARN of a version.

    :param member: the member of an entry that holds it.
    :param pattern: AWS's pattern, with the groups ``region``, ``name`` and ``version``.
    """

    member: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """
    The page of an image set or image in the AWS console.

    :param label: the text of the link in Airflow's UI.
    :param key: the XCom key of the link.
    :param path: the address behind the console's host; the fields of an identity in braces.
    """

    label: str
    key: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The names of a service's two commands, for example ``list-image-versions``."""

    list: str
    wait: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    A service whose images have versions.

    :param name: the service's name, for example ``AWS HealthImaging``.
    :param docs: the address of the service's documentation.
    :param client_type: boto3's name of the service.
    :param thing: what has versions, for example ``image set``; the plural adds an s.
    :param identity: the fields that identify it, the one that distinguishes it from its neighbours last.
    :param about: how messages name it, with the fields of the identity in braces.
    :param listing: the call that lists versions.
    :param newest_first: members of a request that sort by version, the greatest first; None where the call
        cannot sort so.
    :param finding: the call that finds what has versions.
    :param found_name: the member of the finding call's answers that holds the id or name.
    :param fields: how to read an entry, and the phase of each status.
    :param missing_codes: the error codes that mean that it does not exist.
    :param transient_codes: the service's own error codes that mean that the same call may succeed later;
        those that all of AWS shares are known.
    :param first_version: the number of the first version.
    :param arn: the ARN of a version; None where a version has none.
    :param requests_per_second: the ``[imgver]`` option of the request budgets of the two list calls.
    :param other_quotas: the quotas of the other operations that this package calls.
    :param console: the page in the AWS console.
    :param columns: the columns of a report.
    :param keeps_superseded: whether a version that a newer one replaced can still be read, and so may hold
        what nobody wants to keep, the identifiers from before a de-identification for example.
    :param commands: the names of the commands.
    :param hook: the path of the hook's class.
    :param sensor: the path of the sensor's class.
    :param link: the path of the console link's class.
    """

    name: str
    docs: str
    client_type: str
    thing: str
    identity: tuple[IdentityField, ...]
    about: str
    listing: ListCall
    newest_first: Mapping[str, str] | None = None
    finding: ListCall
    found_name: str
    fields: EntryFields
    missing_codes: frozenset[str]
    transient_codes: frozenset[str] = frozenset()
    first_version: int = 0
    arn: VersionArn | None = None
    requests_per_second: Option
    other_quotas: tuple[Quota, ...] = ()
    console: ConsolePage
    columns: tuple[Column, ...]
    keeps_superseded: bool = False
    commands: Commands
    hook: str
    sensor: str
    link: str

    @property
    def things(self) -> str:
        """The plural of ``thing``."""
        return f"{self.thing}s"

    @property
    def identity_names(self) -> tuple[str, ...]:
        """The names of the identity's fields."""
        return tuple(field.name for field in self.identity)

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

    @property
    def key(self) -> IdentityField:
        """The field that distinguishes it from its neighbours; a gate takes a list of its values."""
        return self.identity[-1]

    def check(self, identity: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, str]:
        """
        Check an identity against AWS's own patterns, which botocore does not.

        :param identity: field to value, for example ``{"image_name": ...}``. A native template turns an id of
            digits into a number; a whole number that is the id without loss counts as the id.
        :param only: the fields to check; None for all.
        :return: the identity.
        :raises InvalidIdentityError: a field breaks its pattern; names the field, the rule and the value.
        """
        checked = dict(identity)
        for field in self.identity:
            if only is None or field.name in only:
                checked[field.name] = field.check(identity[field.name])
        return checked

    def describe(self, identity: Mapping[str, str]) -> str:
        """Return how messages name an identity, for example ``image set ... in data store ...``."""
        return self.about.format(**identity)

    def hook_class(self) -> type[ImageVersionHook]:
        """Import the hook's class."""
        return _imported(self.hook)  # type: ignore[no-any-return]  # by its path

    def sensor_class(self) -> type[ImageVersionSensor[Any]]:
        """Import the sensor's class."""
        return _imported(self.sensor)  # type: ignore[no-any-return]  # by its path

    def members(self, identity: Mapping[str, str]) -> dict[str, str]:
        """Return the members of the API's request that hold an identity."""
        return {field.member: identity[field.name] for field in self.identity}


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def option_of(name: str) -> str:
    """Return the option of a command for an argument: ``--image-name`` for ``image_name``."""
    return f"--{name.replace('_', '-')}"
