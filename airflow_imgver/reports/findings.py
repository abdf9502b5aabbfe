"""What a report found: all of it counted, the most important kept, in the same memory for any number."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from airflow_imgver.reports.rows import Row

Rank = Callable[[Row], tuple[float, ...]]
Key = tuple[str, int | None]
"""The id or name of an image set or image, and the number of a version."""

# Enough for any report that a person reads; beyond it a comparison is left out.
KEYS_KEPT = 5_000
# Distinct messages that are counted: a number and a count each.
MESSAGES_COUNTED = 10_000


def by_finding(row: Row) -> tuple[float, ...]:
    """Rank all the same, so that the order of finding decides."""
    return ()


def by_age(row: Row) -> tuple[float, ...]:
    """Rank the version first that has not changed for longest."""
    return (row.age_seconds or 0,)


def by_need(row: Row) -> tuple[float, ...]:
    """Rank a failure first that no good version followed; then the newest."""
    changed = row.status.changed_at
    return (row.good_successor is None, changed.timestamp() if changed else 0.0)


@dataclass
class Findings:
    """
    Rows of one kind of finding.

    :param limit: how many are kept.
    :param rank: the greatest are kept; of equals, the first.
    """

    limit: int
    rank: Rank = by_finding
    count: int = 0
    things: int = 0
    _kept: list[tuple[tuple[float, ...], int, Row]] = field(default_factory=list)

    def add(self, rows: Sequence[Row]) -> None:
        """Count the rows of one image set or image."""
        self.things += bool(rows)
        for row in rows:
            # No two have the same number, so no two rows are compared.
            ranked = (self.rank(row), -self.count, row)
            self.count += 1
            if len(self._kept) < self.limit:
                heapq.heappush(self._kept, ranked)
            elif ranked > self._kept[0]:
                heapq.heapreplace(self._kept, ranked)

    @property
    def first(self) -> list[Row]:
        """The most important ones, in order."""
        return [row for _, _, row in sorted(self._kept, reverse=True)]


@dataclass(frozen=True, slots=True)
class Group:
    """
    Failures with the same message from AWS.

    :param reason: the message; None where AWS gave none.
    :param count: how many there are.
    :param rows: those that are kept, in order.
    """

    reason: str | None
    count: int
    rows: list[Row]


@dataclass
class Failures(Findings):
    """Failed versions, by message."""

    rank: Rank = by_need
    followed: int = 0
    """How many have a good successor."""
    _messages: Counter[int] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """How many have no good successor."""
        return self.count - self.followed

    def add(self, rows: Sequence[Row]) -> None:
        """Count the rows of one image set or image."""
        super().add(rows)
        for row in rows:
            self.followed += row.good_successor is not None
            message = hash(row.status.reason)
            if message in self._messages or len(self._messages) < MESSAGES_COUNTED:
                self._messages[message] += 1

    @property
    def groups(self) -> list[Group]:
        """The rows that are kept, by message, the group of the most important one first."""
        found: dict[str | None, list[Row]] = {}
        for row in self.first:
            found.setdefault(row.status.reason, []).append(row)
        return [
            Group(reason, max(self._messages[hash(reason)], len(rows)), rows)
            for reason, rows in found.items()
        ]


@dataclass
class KeysOfKind:
    """The keys of all findings of one kind; of none where there are too many to compare."""

    keys: set[Key] = field(default_factory=set)
    too_many: bool = False

    def add(self, key: Key) -> None:
        """Add the key of a finding."""
        if self.too_many:
            return
        self.keys.add(key)
        if len(self.keys) > KEYS_KEPT:
            self.keys, self.too_many = set(), True
