"""When a waiting gate polls next. Pure, except for the random jitter."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import datetime

# apache/airflow #72716: under the LocalExecutor a task that resumes within seconds of deferring can fail.
SOONEST_FIRST_POLL = 10.0
LONGEST_BACKOFF = 300.0
# Of many ids, some have settled long ago, and none should wait for a long interval to be polled once.
FIRST_ROUND = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How often a gate polls, and until when.

    :param poke_interval: seconds between two polls.
    :param exponential_backoff: double the pause with each poll.
    :param max_wait: the longest pause in seconds under ``exponential_backoff``; None for no limit.
    :param deadline: when to give up, ISO 8601; None for never.
    :param not_before: when the gate opens at the earliest, ISO 8601; None for at once.
    """

    poke_interval: float
    exponential_backoff: bool = False
    max_wait: float | None = None
    deadline: str | None = None
    not_before: str | None = None

    @property
    def soonest(self) -> float:
        """Seconds before which no first poll is sent."""
        return min(SOONEST_FIRST_POLL, self.poke_interval)

    def left(self) -> float:
        """Return the seconds to the deadline."""
        if self.deadline is None:
            return float("inf")
        return datetime.fromisoformat(self.deadline).timestamp() - time.time()

    def early(self) -> float:
        """Return the seconds for which the gate may not open yet."""
        if self.not_before is None:
            return 0.0
        return max(0.0, datetime.fromisoformat(self.not_before).timestamp() - time.time())


class Schedule:
    """
    The pauses between the polls of a gate on one version, in seconds.

    :param pace: how often the gate polls.
    """

    __slots__ = ("_errors", "_pace", "_polls", "_spreads")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._polls = 0
        self._errors = 0
        self._spreads = False

    def first(self) -> float:
        """Choose a time within the first interval: gates released together must not poll together."""
        soonest = self._pace.soonest
        return random.uniform(soonest, max(self._pace.poke_interval, 2 * soonest))

    def first_of_many(self) -> float:
        """Choose the same for one of many ids, none of which a worker has polled: within the first minute."""
        soonest = self._pace.soonest
        # Later, the polls of a long interval are not all within one minute of it.
        self._spreads = self._pace.poke_interval > FIRST_ROUND
        return random.uniform(soonest, max(min(self._pace.poke_interval, FIRST_ROUND), 2 * soonest))

    def after_poll(self) -> float:
        """Return the pause after a poll that did not open the gate."""
        self._errors = 0
        return self._usual()

    def after_throttling(self) -> float:
        """Return the pause after a throttled poll: the usual one, because the process's budget slows down."""
        self._errors += 1
        return self._usual()

    def _usual(self) -> float:
        self._polls += 1
        pace = self._pace
        if not pace.exponential_backoff:
            share = random.uniform(0.5, 1.0) if self._spreads else 1.0
            self._spreads = False
            return share * pace.poke_interval
        # As poke mode counts: the second pause is the first that is longer. 2**63 s outlasts every timeout.
        pause = max(pace.poke_interval * 2.0 ** min(self._polls - 2, 63), 1.0)
        pause *= random.uniform(1.0, 2.0)
        return pause if pace.max_wait is None else min(pause, pace.max_wait)

    def after_error(self) -> float:
        """Return the pause after the n-th passing error in a row: longer each time, and with full jitter."""
        self._errors += 1
        base = max(self._pace.poke_interval, 1.0)
        ceiling = max(base, min(LONGEST_BACKOFF, base * 2.0 ** min(self._errors, 63)))
        return random.uniform(base / 2, ceiling)

    @property
    def errors(self) -> int:
        """How many passing errors there have been in a row."""
        return self._errors
