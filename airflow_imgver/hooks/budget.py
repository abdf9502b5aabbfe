"""
How many requests a second this process may send, for each connection, region, service and operation.

AWS counts requests for a whole account. Every request of a client built here is counted, a page or a repeated
attempt too, whoever sends it: gates in either mode, operators, reports.
"""

from __future__ import annotations

from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

# A quarter of a second's requests may come at once: with HealthImaging's 20 a second no second sees more
# than 25, which is AWS's own rate.
BURST_SECONDS = 0.25


class Budget:
    """
    A token bucket; :meth:`draw` waits for its turn.

    :param per_second: requests a second.
    """

    def __init__(self, per_second: float) -> None:
        # Imported when a client is built, not when a Dag file is read: it takes longer than our sensors do.
        from pyrate_limiter import Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket

        self.per_second = per_second
        rate = Rate(1000, round(1_000_000 / per_second), burst=max(1, int(per_second * BURST_SECONDS)))
        # Without a leaker: a token bucket keeps one number, and a leaker is a thread.
        bucket = SingleBucketFactory(StateBucket([rate], TokenBucket()), schedule_leak=False)
        self._limiter = Limiter(bucket, buffer_ms=1)

    def draw(self, **_: Any) -> None:
        """Wait until a request may be sent; takes, and ignores, what botocore's events tell."""
        self._limiter.try_acquire()


_budgets: WeakValueDictionary[tuple[str, str], Budget] = WeakValueDictionary()
_lock = Lock()


def budget_of(client_key: str, operation: str, per_second: float) -> Budget:
    """
    Return the one budget of this process for an operation of what a connection resolves to.

    It lives as long as a client that draws on it.
    """
    with _lock:
        budget = _budgets.get((client_key, operation))
        if budget is None or budget.per_second != per_second:
            budget = _budgets[client_key, operation] = Budget(per_second)
        return budget
