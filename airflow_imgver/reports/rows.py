"""One row an entry, for every service: AWS's own members, and what the rule of the gate says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_imgver.services.description import Column, Service
from airflow_imgver.text import timestamp
from airflow_imgver.versions import Entry, Phase, VersionStatus


class Attention(StrEnum):
    """Why a version needs attention."""

    FAILED = "failed"
    STUCK = "stuck"
    SUPERSEDED = "superseded"


DERIVED = (
    Column(name="phase", type="text"),
    Column(name="is_latest", type="truth"),
    Column(name="age_seconds", type="number"),
    Column(name="attention", type="text"),
    Column(name="good_successor", type="number"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One version in a report.

    :param name: the id or name of its image set or image.
    :param status: the status that the hook read.
    :param age_seconds: seconds from its last change to the report; None without a time.
    :param attention: why it needs attention, if it does.
    :param good_successor: where it failed, the latest version after it that is ready; None without one.
    :param values: column to value, as the table files hold it: text, int, bool, an aware datetime, or None.
    """

    name: str
    status: VersionStatus
    age_seconds: int | None
    attention: Attention | None
    good_successor: int | None
    values: Mapping[str, Any]

    @property
    def is_open(self) -> bool:
        """Whether it needs attention: it is stuck, or it failed and no later version is good."""
        if self.attention is Attention.FAILED:
            return self.good_successor is None
        return self.attention is Attention.STUCK


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The scope of a report.

    :param where: the data store, or how the images were chosen.
    :param region: the AWS region.
    :param after: only changes at or after this time are news; None for all of the past.
    :param before: and before this time; None for up to now.
    :param stuck_after: a busy version that has not changed for longer is stuck.
    :param made_at: when the report was begun; ages count up to it.
    :param partition: the AWS partition, for links to the console.
    :param identity: the fields that all image sets or images have in common, for example the data store.
    """

    where: str
    region: str
    after: datetime | None
    before: datetime | None
    stuck_after: timedelta
    made_at: datetime
    partition: str = "aws"
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def interval(self) -> str:
        """The interval in words."""
        return interval_in_words(self.after, self.before, self.made_at)

    def covers(self, when: datetime | None) -> bool:
        """Whether a change at that time is news."""
        if when is None:
            return self.after is None and self.before is None
        return (self.after is None or when >= self.after) and (self.before is None or when < self.before)


def interval_in_words(after: datetime | None, before: datetime | None, made_at: datetime) -> str:
    """Return the interval of a report in words."""
    if after is None:
        return f"all the time before {timestamp(before)}" if before else "all the past"
    end = timestamp(before) if before else f"{timestamp(made_at)} (now)"
    return f"{timestamp(after)} to {end}"


def columns_of(service: Service) -> tuple[Column, ...]:
    """Return the columns of a service's report: AWS's members, then those that are derived."""
    return (*service.columns, *DERIVED)


def rows_of(
    service: Service, scope: Scope, identity: Mapping[str, str], statuses: Sequence[VersionStatus]
) -> list[Row]:
    """
    Make the rows of one image set or image.

    :param service: the service.
    :param scope: the scope of the report.
    :param identity: field to value.
    :param statuses: all its versions, as the hook read them; the rows keep AWS's order.
    """
    latest = max((status.number for status in statuses), default=None)
    gone = any(status.number == latest and status.phase is Phase.DELETED for status in statuses)
    good = max((status.number for status in statuses if status.phase is Phase.READY), default=None)
    members = service.members(identity)
    return [
        _row(service, scope, members, status, is_latest=status.number == latest, gone=gone, good=good)
        for status in statuses
    ]


def _row(
    service: Service,
    scope: Scope,
    members: Mapping[str, str],
    status: VersionStatus,
    *,
    is_latest: bool,
    gone: bool,
    good: int | None,
) -> Row:
    successor = _good_successor(status, good)
    age, attention = _age(status, scope), _attention(service, scope, status, is_latest=is_latest, gone=gone)
    derived = {
        **members,
        str(service.fields.number): status.number,
        "phase": status.phase.value,
        "is_latest": is_latest,
        "age_seconds": age,
        "attention": attention,
        "good_successor": successor,
    }
    values = {
        column.name: derived[column.name] if column.name in derived else _member(status.entry, column)
        for column in columns_of(service)
    }
    return Row(members[service.key.member], status, age, attention, successor, values)


def _age(status: VersionStatus, scope: Scope) -> int | None:
    if status.changed_at is None:
        return None
    # A clock behind AWS's must not make a version from the future.
    return max(0, int((scope.made_at - status.changed_at).total_seconds()))


def _attention(
    service: Service, scope: Scope, status: VersionStatus, *, is_latest: bool, gone: bool
) -> Attention | None:
    """
    Return why a version needs attention, if it does.

    A failure is news within the report's interval, or as long as it is the latest version.
    """
    if status.phase is Phase.FAILED and (is_latest or scope.covers(status.changed_at)):
        return Attention.FAILED
    if status.phase is Phase.BUSY and (_age(status, scope) or 0) > scope.stuck_after.total_seconds():
        return Attention.STUCK
    if service.keeps_superseded and not is_latest and not gone and status.phase is not Phase.DELETED:
        return Attention.SUPERSEDED
    return None


def _good_successor(status: VersionStatus, good: int | None) -> int | None:
    """
    Return the good version that made a failure a thing of the past, if there is one.

    A deletion that failed has none: a later version does not delete the earlier one.
    """
    if status.phase is not Phase.FAILED or status.deletion_failed or good is None or good < status.number:
        return None
    return good


_TYPES = {"text": str, "number": int, "truth": bool, "time": datetime}


def _member(entry: Entry, column: Column) -> Any:
    """Return a member of an entry; None where it is missing or not of the column's type."""
    value: Any = entry
    for name in column.name.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, _TYPES[column.type]) else None
