"""When a waiting gate looks next. Pure, but for the dice."""

from __future__ import annotations

import random

# apache/airflow #72716: under the LocalExecutor a task that resumes within seconds of deferring can fail.
SOONEST_FIRST_LOOK = 10.0
LONGEST_BACKOFF = 300.0


class Schedule:
    """
    The pauses between a gate's looks, in seconds.

    :param interval: the pause between two looks.
    :param exponential_backoff: double the pause with each look.
    :param max_wait: the longest pause under ``exponential_backoff``; None for no limit.
    """

    __slots__ = ("_errors", "_exponential_backoff", "_interval", "_looks", "_max_wait")

    def __init__(
        self, interval: float, *, exponential_backoff: bool = False, max_wait: float | None = None
    ) -> None:
        self._interval = interval
        self._exponential_backoff = exponential_backoff
        self._max_wait = max_wait
        self._looks = 0
        self._errors = 0

    def first(self) -> float:
        """Choose a moment within the first interval: gates released together must not look together."""
        soonest = min(SOONEST_FIRST_LOOK, self._interval)
        return random.uniform(soonest, max(self._interval, 2 * soonest))

    def after_look(self) -> float:
        """Return the pause after a look that did not open the gate."""
        self._errors = 0
        self._looks += 1
        if not self._exponential_backoff:
            return self._interval
        # As poke mode counts: the second pause is the first that is longer. 2**63 s outlasts every timeout.
        pause = max(self._interval * 2.0 ** min(self._looks - 2, 63), 1.0)
        pause *= random.uniform(1.0, 2.0)
        return pause if self._max_wait is None else min(pause, self._max_wait)

    def after_error(self) -> float:
        """Return the pause after the n-th passing error in a row: longer each time, and with full jitter."""
        self._errors += 1
        base = max(self._interval, 1.0)
        ceiling = max(base, min(LONGEST_BACKOFF, base * 2.0 ** min(self._errors, 63)))
        return random.uniform(base / 2, ceiling)

    @property
    def errors(self) -> int:
        """How many passing errors there have been in a row."""
        return self._errors
