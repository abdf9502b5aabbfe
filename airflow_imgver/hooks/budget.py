"""
How many requests a second this process may send, for each connection, region, service and operation.

AWS counts requests for a whole account. Every request of a client built here counts, a page or a repeated
attempt too, from gates in either mode, operators and reports. Where AWS throttles, because other processes
send too, the rate adapts: see :mod:`airflow_imgver.hooks.rate`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import ceil
from random import random
from threading import Lock
from time import monotonic, sleep
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from airflow_imgver.hooks.errors import is_throttling
from airflow_imgver.hooks.rate import AdaptiveRate
from airflow_imgver.services.description import Quota

log = logging.getLogger(__name__)

# A quarter of a second's requests may come at once: with HealthImaging's 20 a second no second sees more
# than 25, which is AWS's own rate.
BURST_SECONDS = 0.25
# A rate at the edge of the quota is lowered and whole again every half minute, which nobody wants to read.
SECONDS_WITHOUT_THROTTLING = 60.0


class Queue(NamedTuple):
    """
    The requests that wait for their turn.

    :param waiting: how many they are.
    :param seconds: how long one more would wait.
    """

    waiting: int
    seconds: float


class Budget:
    """
    A token bucket; :meth:`draw` waits for its turn, first come, first served.

    Written here, because existing limiters let their callers compete for each token: of eight threads that
    draw all the time, the one that has just drawn tends to win, and seven starve.

    A turn is a number and not a time: the rate may fall while a caller sleeps, who then sleeps on.

    :param quota: the operation, its option and its burst.
    :param per_second: requests a second, where AWS does not throttle.
    :param clock: returns seconds, and never runs back.
    :param wait: waits for so many of them.
    """

    def __init__(
        self,
        quota: Quota,
        per_second: float,
        *,
        clock: Callable[[], float] = monotonic,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        self.quota = quota
        self.per_second = per_second
        self._clock = clock
        self._wait = wait
        self._rate = AdaptiveRate(per_second, clock())
        self._next_turn = float("-inf")
        self._reported = False
        self._lock = Lock()

    def draw(self, **_: Any) -> None:
        """Wait until a request may be sent; accepts, and ignores, the arguments of botocore's events."""
        turn = self.reserve()
        while (pause := self.seconds_until(turn)) > 0:
            self._wait(pause)

    def reserve(self) -> float:
        """Take the next turn, without waiting for it."""
        with self._lock:
            self._rate.advance(self._clock())
            turn = self._turn()
            self._next_turn = turn + 1
            whole_again = self._reported and self._is_whole_for_long()
            if whole_again:
                self._reported = False
        if whole_again:
            log.info(
                "AWS has not throttled %s for a minute: up to %g requests a second from here again, as %s "
                "says.",
                self.quota.operation,
                self.per_second,
                self.quota.option,
            )
        return turn

    def seconds_until(self, turn: float) -> float:
        """Return the seconds to a turn, at the rate of now; below 0 or 0 when it has come."""
        with self._lock:
            self._rate.advance(self._clock())
            return self._rate.seconds_until(turn)

    def heed(self, response: Any = None, **_: Any) -> None:
        """
        Lower the rate where AWS throttled a request.

        :param response: as botocore's ``needs-retry`` has it: the HTTP response and the parsed one, or None.
        """
        if response is None or not is_throttling(response[1]):
            return
        with self._lock:
            lowered = self._rate.lower(self._clock())
            if lowered:
                # No burst that was saved up before; and processes that were throttled together, each after
                # its only request for example, must not come back together.
                self._next_turn = max(self._next_turn, self._rate.allowed) + random()
            first = lowered and not self._reported
            self._reported = self._reported or lowered
            current = self._rate.current
        if first:
            # Not a warning: there is nothing to do about it, and a fleet under load always shares that way.
            log.info(
                "AWS throttles %s: at most %g requests a second from here now, instead of %g. Other "
                "processes send too; this one finds its share of the account's quota by itself, up to %s.",
                self.quota.operation,
                round(current, 3),
                self.per_second,
                self.quota.option,
            )

    def queue(self) -> Queue:
        """Return how many requests wait for their turn now, and how long one more would wait."""
        with self._lock:
            self._rate.advance(self._clock())
            turn = self._turn()
            seconds = self._rate.seconds_until(turn)
            waiting = max(0, ceil(turn - 1 - self._rate.allowed)) if seconds else 0
            return Queue(waiting, seconds)

    @property
    def rate(self) -> float:
        """Requests a second that may be sent now."""
        with self._lock:
            self._rate.advance(self._clock())
            return self._rate.current

    def _turn(self) -> float:
        """Return the turn of the next request; a pause without requests saves up a burst, and no more."""
        burst = self.quota.burst or max(1, int(self._rate.current * BURST_SECONDS))
        return max(self._next_turn, self._rate.allowed - (burst - 1))

    def _is_whole_for_long(self) -> bool:
        return self._rate.is_whole and self._clock() - self._rate.throttled_at >= SECONDS_WITHOUT_THROTTLING


_budgets: WeakValueDictionary[tuple[str, str], Budget] = WeakValueDictionary()
_lock = Lock()


def budget_of(client_key: str, quota: Quota) -> Budget:
    """
    Return the one budget of this process for an operation on a resolved connection.

    It lives as long as a client that draws on it.

    :param client_key: a digest of the connection and the service.
    :param quota: the operation, and the option of its rate.
    :raises ValueError: the option is not a number above 0.
    """
    per_second = quota.option.number()
    with _lock:
        budget = _budgets.get((client_key, quota.operation))
        if budget is None or budget.per_second != per_second:
            budget = _budgets[client_key, quota.operation] = Budget(
                quota, per_second, clock=monotonic, wait=sleep
            )
        return budget
