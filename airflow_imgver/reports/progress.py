"""How far a report is, in the log."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

SECONDS = 30.0


class Progress:
    """
    Logs every half minute how many were listed, of how many, how fast, and how long the rest will take.

    :param log: where to; a task's logger is not of Python's own class.
    :param things: what they are, in the plural.
    :param clock: tells the time in seconds.
    """

    def __init__(self, log: Any, things: str, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._things = things
        self._clock = clock
        self._began = self._told_at = clock()
        self.done = 0
        self.unreadable = 0

    def count(self, *, unreadable: bool = False) -> None:
        """One more is done."""
        self.done += 1
        self.unreadable += unreadable

    def tell(self, total: int | None) -> None:
        """
        Write a line if one is due.

        :param total: how many there are; None while that is not known.
        """
        now = self._clock()
        if now - self._told_at < SECONDS:
            return
        self._told_at = now
        rate = self.done / (now - self._began)
        self._log.info(
            "Listed %s%s %s in %s, %.1f a second%s%s",
            f"{self.done:,}",
            " so far, of a number not known yet:" if total is None else f" of {total:,}",
            self._things,
            spoken(now - self._began),
            rate,
            f", {self.unreadable:,} of them unreadable" if self.unreadable else "",
            "" if total is None or not rate else f"; about {spoken((total - self.done) / rate)} left",
        )


def spoken(seconds: float) -> str:
    """Say how long: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
