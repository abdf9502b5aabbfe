"""
A rate of requests that finds its share of an account's quota: it falls with throttling, and rises with time.

Pure: every method is given the time. The processes of a fleet know nothing of each other, and AWS says only
that there were too many requests. Where all add the same amount with time and lose the same share with
throttling, they meet at equal shares, as the senders of TCP do (additive increase, multiplicative decrease).
"""

from __future__ import annotations

from math import inf, sqrt

CUT = 0.7
# A second's answers are about the same rate: they are one reason to lower it, and not many.
SECONDS_BETWEEN_CUTS = 1.0
# A rate rises from nothing to its highest in so many seconds. The share of a process that ends is taken over
# within a minute; a faster rise would meet the quota, and be throttled, more often.
SECONDS_TO_RISE = 80.0
# Or in the time of so many requests at the highest rate: with one request in four seconds, 80 seconds would
# be twenty requests, too few to find the quota by.
REQUESTS_TO_RISE = 160.0
# Requests a second, below which no rate falls; a fortieth of the highest rate, where that is less.
LOWEST = 0.5
# Of a request; times are floating-point numbers.
ROUNDING = 1e-6


class AdaptiveRate:
    """
    How many requests a second may be sent, and how many that has allowed so far.

    :param highest: requests a second without throttling.
    :param now: the time, in seconds of a clock that never runs back.
    """

    def __init__(self, highest: float, now: float) -> None:
        self.highest = highest
        self.current = highest
        self.allowed = 0.0
        self.throttled_at = -inf
        self._lowest = min(LOWEST, highest / 40)
        self._rise = highest / max(SECONDS_TO_RISE, REQUESTS_TO_RISE / highest)
        self._now = now
        self._cut_at = -inf

    @property
    def is_whole(self) -> bool:
        """Whether it is as high as it can be."""
        return self.current >= self.highest

    def advance(self, now: float) -> None:
        """Let time pass: requests are allowed, and a lowered rate rises."""
        passed = max(0.0, now - self._now)
        rising = min(passed, self._seconds_to_whole())
        risen = min(self.highest, self.current + self._rise * rising)
        self.allowed += (self.current + risen) / 2 * rising + self.highest * (passed - rising)
        # As a sum it would approach the highest rate and never be equal to it.
        self.current = risen if rising == passed else self.highest
        self._now += passed

    def lower(self, now: float) -> bool:
        """Lower the rate, because AWS throttled; return whether it was lowered, which it is once a second."""
        self.advance(now)
        self.throttled_at = self._now
        if self._now - self._cut_at < SECONDS_BETWEEN_CUTS:
            return False
        self._cut_at = self._now
        self.current = max(self._lowest, self.current * CUT)
        return True

    def seconds_until(self, allowed: float) -> float:
        """Return the seconds until so many requests are allowed, where nothing is throttled before."""
        missing = allowed - self.allowed
        if missing <= ROUNDING:
            return 0.0
        rising = self._seconds_to_whole()
        allowed_until_whole = (self.current + self.highest) / 2 * rising
        if missing > allowed_until_whole:
            return rising + (missing - allowed_until_whole) / self.highest
        # The area under a line that rises, solved for its length, without a difference of large numbers.
        return 2 * missing / (self.current + sqrt(self.current**2 + 2 * self._rise * missing))

    def _seconds_to_whole(self) -> float:
        return (self.highest - self.current) / self._rise
