"""A quota of an operation, as AWS counts it: a bucket of tokens that come back at a rate, up to a burst."""

from __future__ import annotations

import time


class Bucket:
    """
    One quota of the whole account. A refused call takes no token.

    :param per_second: Calls a second.
    :param burst: How many calls may come at once after a pause.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = self._burst
        self._at = time.monotonic()

    def has_one(self) -> bool:
        """Take a token for a call, and tell whether there was one."""
        time_of_call = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (time_of_call - self._at) * self._per_second)
        self._at = time_of_call
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
