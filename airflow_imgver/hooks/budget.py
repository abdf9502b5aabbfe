"""
How many requests a second this process may send, for each connection, region, service and operation.

AWS counts requests for a whole account. Every request of a client built here counts, a page or a repeated
attempt too, from gates in either mode, operators and reports.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic, sleep
from typing import Any
from weakref import WeakValueDictionary

# A quarter of a second's requests may come at once: with HealthImaging's 20 a second no second sees more
# than 25, which is AWS's own rate.
BURST_SECONDS = 0.25


class Budget:
    """
    A token bucket; :meth:`draw` waits for its turn, first come, first served.

    Written here, because existing limiters let their callers compete for each token: of eight threads that
    draw all the time, the one that has just drawn tends to win, and seven starve.

    :param per_second: requests a second.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._pause = 1 / per_second
        self._burst = max(1, int(per_second * BURST_SECONDS))
        self._next_turn = float("-inf")
        self._lock = Lock()

    def draw(self, **_: Any) -> None:
        """Wait until a request may be sent; accepts, and ignores, the arguments of botocore's events."""
        with self._lock:
            now = monotonic()
            # A pause without requests saves up a burst, and no more.
            turn = max(self._next_turn, now - (self._burst - 1) * self._pause)
            self._next_turn = turn + self._pause
        if turn > now:
            sleep(turn - now)


_budgets: WeakValueDictionary[tuple[str, str], Budget] = WeakValueDictionary()
_lock = Lock()


def budget_of(client_key: str, operation: str, per_second: float) -> Budget:
    """
    Return the one budget of this process for an operation on a resolved connection.

    It lives as long as a client that draws on it.
    """
    with _lock:
        budget = _budgets.get((client_key, operation))
        if budget is None or budget.per_second != per_second:
            budget = _budgets[client_key, operation] = Budget(per_second)
        return budget
