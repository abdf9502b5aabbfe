"""The numbers of the charts and of the tables beside them: one set for both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Row
from airflow_imgver.versions import Phase

# A chart with more cannot be read; the others are added up in one bar.
STATUSES_SHOWN = 24
DAYS_SHOWN = 30

PHASES = (Phase.READY, Phase.BUSY, Phase.FAILED, Phase.DELETED)


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many versions have a status; the phase is None where several statuses are added up."""

    status: str
    phase: Phase | None
    count: int


@dataclass(frozen=True, slots=True)
class Days:
    """
    How many versions last changed on each of the latest days.

    :param counts: every one of those days, oldest first, with a count for each phase.
    :param earlier: how many changed before them.
    :param later: and after them, by a clock that is ahead.
    :param undated: how many have no time.
    """

    counts: list[tuple[date, dict[Phase, int]]]
    earlier: int
    later: int
    undated: int

    @property
    def inside(self) -> int:
        """How many versions the days hold."""
        return sum(sum(phases.values()) for _, phases in self.counts)


@dataclass(frozen=True, slots=True)
class Mark:
    """One version on a timeline."""

    number: int
    status: str
    phase: Phase
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Lane:
    """The versions of one image set or image that needs attention."""

    name: str
    marks: list[Mark]


def statuses(contents: Contents) -> list[StatusCount]:
    """Count versions by AWS's status, the most frequent first."""
    ordered = sorted(contents.by_status.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= STATUSES_SHOWN:
        shown, rest = ordered, []
    else:
        shown, rest = ordered[: STATUSES_SHOWN - 1], ordered[STATUSES_SHOWN - 1 :]
    found = [StatusCount(status, Phase(phase), count) for (status, phase), count in shown]
    if rest:
        found.append(StatusCount(f"{len(rest):,} other statuses", None, sum(count for _, count in rest)))
    return found


def days(contents: Contents) -> Days:
    """Count versions by day, for the days up to the end of the report's interval."""
    scope = contents.scope
    end = min(scope.before or scope.made_at, scope.made_at)
    # An interval that ends at midnight has nothing of the day that begins then.
    last = (end - timedelta(microseconds=1)).astimezone(UTC).date()
    first = last - timedelta(days=DAYS_SHOWN - 1)
    found = {first + timedelta(days=at): dict.fromkeys(PHASES, 0) for at in range(DAYS_SHOWN)}
    earlier = later = 0
    for day, phases in contents.by_day.items():
        if day in found:
            found[day] |= {Phase(phase): count for phase, count in phases.items()}
        elif day < first:
            earlier += phases.total()
        else:
            later += phases.total()
    dated = sum(phases.total() for phases in contents.by_day.values())
    return Days(list(found.items()), earlier, later, contents.rows - dated)


def lanes(contents: Contents) -> list[Lane]:
    """Return the histories of image sets or images that need attention, each oldest first."""
    found = []
    for name, rows in contents.histories.items():
        marks = [mark for row in rows if (mark := _mark(row)) is not None]
        if marks:
            found.append(Lane(name, sorted(marks, key=lambda mark: (mark.number, mark.changed_at))))
    return found


def _mark(row: Row) -> Mark | None:
    status = row.status
    if status.changed_at is None:
        return None
    return Mark(status.number, status.status, status.phase, status.changed_at)
