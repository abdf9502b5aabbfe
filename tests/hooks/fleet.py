"""A fleet of processes before one quota, in a time of its own: the package's budgets, and AWS's bucket."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from airflow_imgver.hooks.budget import Budget
from airflow_imgver.services.description import Quota

ARRIVES: dict[str, Any] = {}
ANSWER = {"ResponseMetadata": {"HTTPStatusCode": 200}}
REFUSAL = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 429}}


class Bucket:
    """A quota as AWS counts it: tokens that come back at a rate, up to a burst; a refusal takes none."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = self._tokens = burst
        self._at = 0.0

    def takes(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Sender:
    """
    One process.

    :param wants: how many requests a second it would send; by default more than it may.
    :param begins: when it starts, and
    :param ends: when it ends, in seconds.
    :param adapts: whether its budget heeds throttling; one that does not has a fixed rate.
    """

    wants: float = float("inf")
    begins: float = 0.0
    ends: float = float("inf")
    adapts: bool = True
    answered: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)
    budget: Budget = field(init=False)


class Fleet:
    """
    Senders before one bucket, in a time of their own.

    :param senders: the processes.
    :param quota: the operation, its option and its burst; the highest rate is the option's default.
    :param bucket: AWS's.
    :param latency: seconds from a request to its answer.
    """

    def __init__(
        self, senders: Iterable[Sender], quota: Quota, bucket: Bucket, latency: float = 0.05
    ) -> None:
        self.senders = list(senders)
        self._quota = quota
        self._bucket = bucket
        self._latency = latency
        self.now = 0.0

    def run(self, seconds: float) -> None:
        """Let time pass from the start."""
        order = count()
        events: list[tuple[float, int, Sender, Any]] = []
        for sender in self.senders:
            # Processes start one after the other, as a machine starts them.
            heappush(events, (sender.begins + random.random(), next(order), sender, None))
        while events and events[0][0] < seconds:
            self.now, _, sender, answer = heappop(events)
            if self.now >= sender.ends:
                continue
            if answer is ARRIVES:
                taken = self._bucket.takes(self.now)
                (sender.answered if taken else sender.throttled).append(self.now)
                back = ANSWER if taken else REFUSAL
                heappush(events, (self.now + self._on_the_way(), next(order), sender, back))
                continue
            if answer is not None:
                if sender.adapts:
                    sender.budget.heed((None, answer))
                continue
            if not hasattr(sender, "budget"):
                sender.budget = Budget(self._quota, self._quota.option.default, clock=lambda: self.now)
            pause = sender.budget.queue().seconds
            if pause > 0:
                heappush(events, (self.now + pause, next(order), sender, None))
                continue
            sender.budget.draw()
            heappush(events, (self.now + self._on_the_way(), next(order), sender, ARRIVES))
            heappush(events, (self.now + 1 / sender.wants, next(order), sender, None))

    def _on_the_way(self) -> float:
        return random.uniform(0.5, 1.5) * self._latency / 2

    def answered(self, since: float, until: float) -> list[int]:
        """How many requests of each process were answered between two times."""
        return [sum(since <= at < until for at in sender.answered) for sender in self.senders]

    def throttled_share(self, since: float, until: float) -> float:
        """The share of all requests between two times that was throttled."""
        refused = sum(since <= at < until for sender in self.senders for at in sender.throttled)
        return refused / (refused + sum(self.answered(since, until)))


def jain(shares: Iterable[float]) -> float:
    """Jain's index of fairness: 1 where all shares are equal, 1/n where one has everything."""
    shares = list(shares)
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
