"""One measured fleet: how many processes, in which way, and what a server's counts say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OURS, FIXED, ADAPTIVE = "this package", "fixed rates, as before", "botocore's adaptive mode"
# A run; the first half, in which all begin with their whole rate, is not counted.
SECONDS, HALF = 240.0, 120.0
# When a process joins or ends, and within how many seconds the others have made up for it.
CHANGE, WITHIN = 120.0, 60.0

Counts = Mapping[str, Mapping[str, Sequence[int]]]
"""What a server counted: second, process, and how many requests were answered and how many throttled."""


@dataclass(frozen=True)
class Fleet:
    """
    Processes before one quota.

    :param way: how they heed throttling.
    :param count: how many there are.
    :param joins: whether the last one begins with the change.
    :param ends: whether the last one ends with it.
    """

    way: str
    count: int
    joins: bool = False
    ends: bool = False

    @property
    def name(self) -> str:
        change = ", the last joins" if self.joins else ", the last ends" if self.ends else ""
        return f"{self.way}, {self.count}{change}"

    @property
    def lives(self) -> list[dict[str, float | None]]:
        """When each process begins and ends, in seconds after the start."""
        whole: dict[str, float | None] = {"begins": 0.0, "ends": None}
        last = {
            "begins": CHANGE if self.joins else 0.0,
            "ends": CHANGE if self.ends else None,
        }
        return [*[whole] * (self.count - 1), last]


CHANGES = (Fleet(OURS, 9, joins=True), Fleet(OURS, 8, ends=True), Fleet(OURS, 2, ends=True))


@dataclass(frozen=True)
class Figures:
    """
    What a run showed.

    :param fleet: the fleet.
    :param throttled: the share of the requests that was throttled.
    :param answered: for each process, how many requests a second were answered.
    :param course: the same of each ten seconds of the whole run.
    """

    fleet: Fleet
    throttled: float
    answered: list[float]
    course: list[list[float]] = field(repr=False)

    @classmethod
    def of(cls, fleet: Fleet, start: float, counts: Counts) -> Figures:
        """Read a server's counts; where the fleet changes, of what comes after the time to make up for it."""
        begin = CHANGE + WITHIN if fleet.joins or fleet.ends else HALF
        answered, throttled = _between(fleet, start + begin, start + SECONDS, counts)
        return cls(
            fleet,
            sum(throttled) / max(1.0, sum(throttled) + sum(answered)),
            [each / (SECONDS - begin) for each in answered],
            [
                [each / 10 for each in _between(fleet, start + at, start + at + 10, counts)[0]]
                for at in range(0, int(SECONDS), 10)
            ],
        )

    @property
    def total(self) -> float:
        return sum(self.answered)

    @property
    def jain(self) -> float:
        """Jain's index: 1 where all shares are equal, 1/n where one process has everything."""
        there = self.answered[: -1 if self.fleet.ends else None]
        return sum(there) ** 2 / (len(there) * max(1e-9, sum(each**2 for each in there)))


def _between(fleet: Fleet, begin: float, end: float, counts: Counts) -> tuple[list[int], list[int]]:
    totals: Any = [[0, 0] for _ in range(fleet.count)]
    for second, processes in counts.items():
        if begin <= int(second) < end:
            for process, (answered, throttled) in processes.items():
                totals[int(process)][0] += answered
                totals[int(process)][1] += throttled
    return [each[0] for each in totals], [each[1] for each in totals]
