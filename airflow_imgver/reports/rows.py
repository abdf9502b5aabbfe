"""One row an entry, for both services: AWS's own members, and what the rule of the gate says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from airflow_imgver.versions import (
    WITHOUT_A_STATUS,
    Entry,
    Phase,
    VersionStatus,
    image_set_status,
    image_version_status,
)

Row = dict[str, Any]
"""Column to value: text, int, bool, an aware datetime, or None."""


class Attention(StrEnum):
    """Why a version needs a person."""

    FAILED = "failed"
    STUCK = "stuck"
    SUPERSEDED = "superseded"


class Column(NamedTuple):
    """A column of a report; a dotted name is a member of a member."""

    name: str
    type: Literal["text", "number", "truth", "time"]


DERIVED = (
    Column("phase", "text"),
    Column("is_latest", "truth"),
    Column("age_seconds", "number"),
    Column("attention", "text"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """
    What a service's rows look like.

    :param service: the service's name.
    :param thing: what has versions there.
    :param identity: the columns that name it, the one that tells it from its neighbours last.
    :param number: the column of the version's number.
    :param status: the column of AWS's word for where a version stands.
    :param reason: the column of AWS's message about a failure.
    :param columns: all of them, in order.
    :param read: makes a status of an entry.
    :param superseded_counts: whether a version that a newer one replaced needs a person. AWS keeps every
        version of an image set, so one from before a de-identification still holds the identifiers.
    """

    service: str
    thing: str
    identity: tuple[str, ...]
    number: str
    status: str
    reason: str
    columns: tuple[Column, ...]
    read: Callable[[Entry], VersionStatus]
    superseded_counts: bool

    @property
    def things(self) -> str:
        """The plural of ``thing``."""
        return f"{self.thing}s"

    @property
    def name(self) -> str:
        """The column that tells one of the things from another."""
        return self.identity[-1]

    def status_of(self, row: Row) -> str:
        """AWS's word for where the version of a row stands: its status or, where there is none, its state."""
        return row[self.status] or row.get("imageSetState") or WITHOUT_A_STATUS


IMAGE_SETS = Table(
    service="AWS HealthImaging",
    thing="image set",
    identity=("datastoreId", "imageSetId"),
    number="versionId",
    status="ImageSetWorkflowStatus",
    reason="message",
    columns=(
        Column("datastoreId", "text"),
        Column("imageSetId", "text"),
        Column("versionId", "number"),
        Column("imageSetState", "text"),
        Column("ImageSetWorkflowStatus", "text"),
        Column("isPrimary", "truth"),
        Column("overrides.forced", "truth"),
        Column("createdAt", "time"),
        Column("updatedAt", "time"),
        Column("deletedAt", "time"),
        Column("message", "text"),
        *DERIVED,
    ),
    read=image_set_status,
    superseded_counts=True,
)

IMAGES = Table(
    service="Amazon SageMaker AI",
    thing="image",
    identity=("ImageName",),
    number="Version",
    status="ImageVersionStatus",
    reason="FailureReason",
    columns=(
        Column("ImageName", "text"),
        Column("Version", "number"),
        Column("ImageVersionStatus", "text"),
        Column("CreationTime", "time"),
        Column("LastModifiedTime", "time"),
        Column("ImageArn", "text"),
        Column("ImageVersionArn", "text"),
        Column("FailureReason", "text"),
        *DERIVED,
    ),
    read=image_version_status,
    superseded_counts=False,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What a report is about.

    :param where: the data store, or what the images were chosen by, in words.
    :param region: the AWS region.
    :param after: only what changed at or after this moment counts as news; None for all of the past.
    :param before: and before this one; None for up to now.
    :param stuck_after: a busy version that has not changed for longer is stuck.
    :param made_at: when the report was begun; ages count up to it.
    """

    where: str
    region: str
    after: datetime | None
    before: datetime | None
    stuck_after: timedelta
    made_at: datetime

    def covers(self, moment: datetime | None) -> bool:
        """Whether a change at that moment is news."""
        if moment is None:
            return self.after is None and self.before is None
        return (self.after is None or moment >= self.after) and (self.before is None or moment < self.before)


def rows(table: Table, scope: Scope, identity: Mapping[str, str], entries: Sequence[Entry]) -> list[Row]:
    """
    Make the rows of one image set or image.

    :param table: of which service.
    :param scope: what the report is about.
    :param identity: the identity's columns and their values.
    :param entries: all its versions, as AWS listed them; the rows keep that order.
    :raises UnexpectedAnswerError: an entry's number or status cannot be read.
    """
    found = [table.read(entry) for entry in entries]
    latest = max((status.number for status in found), default=None)
    gone = any(status.number == latest and status.phase is Phase.DELETED for status in found)
    return [_row(table, scope, identity, status, status.number == latest, gone) for status in found]


def _row(
    table: Table,
    scope: Scope,
    identity: Mapping[str, str],
    status: VersionStatus,
    is_latest: bool,
    gone: bool,
) -> Row:
    derived = {
        **identity,
        table.number: status.number,
        "phase": status.phase.value,
        "is_latest": is_latest,
        "age_seconds": _age(status, scope),
        "attention": _attention(table, scope, status, is_latest, gone),
    }
    return {
        column.name: derived[column.name] if column.name in derived else _member(status.entry, column)
        for column in table.columns
    }


def _age(status: VersionStatus, scope: Scope) -> int | None:
    if not isinstance(status.changed_at, datetime):
        return None
    # A clock behind AWS's must not make a version that is yet to come.
    return max(0, int((scope.made_at - status.changed_at).total_seconds()))


def _attention(table: Table, scope: Scope, status: VersionStatus, is_latest: bool, gone: bool) -> str | None:
    """
    Say why a version needs a person, if it does.

    A failure is news within the report's interval, or as long as nothing newer has taken its place.
    """
    if status.phase is Phase.FAILED and (is_latest or scope.covers(status.changed_at)):
        return Attention.FAILED
    if status.phase is Phase.BUSY and (_age(status, scope) or 0) > scope.stuck_after.total_seconds():
        return Attention.STUCK
    if table.superseded_counts and not is_latest and not gone and status.phase is not Phase.DELETED:
        return Attention.SUPERSEDED
    return None


_TYPES = {"text": str, "number": int, "truth": bool, "time": datetime}


def _member(entry: Entry, column: Column) -> Any:
    """Take a member of an entry, or None for what is not there or is nothing that the column can hold."""
    value: Any = entry
    for name in column.name.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, _TYPES[column.type]) else None
