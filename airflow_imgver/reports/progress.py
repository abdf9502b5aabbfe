"""How far a report is, in the log."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from airflow_imgver.text import duration

SECONDS = 30.0


class Progress:
    """
    Logs every half minute how many were listed, of how many, how fast, and how long the rest will take.

    :param log: the logger; a task's is not of Python's own class.
    :param things: the plural of the thing that is listed.
    :param clock: returns the time in seconds.
    """

    def __init__(self, log: Any, things: str, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._things = things
        self._clock = clock
        self._began = self._logged_at = clock()
        self.done = 0
        self.unreadable = 0

    def count(self, *, unreadable: bool = False) -> None:
        """Count one more."""
        self.done += 1
        self.unreadable += unreadable

    def log(self, total: int | None) -> None:
        """
        Write a line if one is due.

        :param total: how many there are; None while there may be more.
        """
        now = self._clock()
        if now - self._logged_at < SECONDS:
            return
        self._logged_at = now
        rate = self.done / (now - self._began)
        self._log.info(
            "Listed %s%s %s in %s, %.1f a second%s%s",
            f"{self.done:,}",
            "" if total is None else f" of {total:,}",
            self._things,
            duration(now - self._began),
            rate,
            f", {self.unreadable:,} of them unreadable" if self.unreadable else "",
            "; the search for more goes on"
            if total is None
            else f"; about {duration((total - self.done) / rate)} left"
            if rate
            else "",
        )
