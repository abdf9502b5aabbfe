"""
Polls many versions in turn, from a few threads, for all the waits of a process.

The version that has been due longest is polled first. So where the budget of requests cannot keep up, every
pause grows by as much, and equal intervals stay equal. Waits on the same version share a poll. What a search
shows to have changed is polled before all else, in up to three of four polls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread
from typing import Any

from airflow_imgver.gate.polling import poll
from airflow_imgver.gate.watched import Answer
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import THREADS
from airflow_imgver.triggers.change_search import ChangeSearches
from airflow_imgver.triggers.interest import NEVER, Inbox, Interest, Target

__all__ = ["Inbox", "Interest", "Poller"]

log = logging.getLogger(__name__)

# A poll that is later than this share of its interval is worth a check of the budget.
LATE = 0.25
# The check walks over all versions that are waited for.
SECONDS_BETWEEN_CHECKS = 10.0
# Whatever a search shows, every fourth poll is one in turn.
WOKEN_IN_A_ROW = 3


class Poller:
    """
    The polls of all waits on one client. Everything here except :func:`poll` runs on the event loop.

    :param hook: a hook whose client is built.
    """

    def __init__(self, hook: ImageVersionHook) -> None:
        self._hook = hook
        threads = THREADS.whole()
        self._name = f"imgver-{hook.service.client_type}"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=self._name)
        self._free = threads
        self._targets: dict[tuple[Any, ...], Target] = {}
        self._heap: list[tuple[float, int, Target]] = []
        self._woken: deque[Target] = deque()
        self._woken_in_a_row = 0
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._check_lateness = float("-inf")
        self._closed = False
        self._changes = ChangeSearches(hook, self)

    # --- for a wait ---

    def poll_in(self, interest: Interest, pause: float) -> None:
        """
        Poll a version for a wait in ``pause`` seconds; answers go to its inbox.

        Later, where a search shows when the version changes.
        """
        loop = asyncio.get_running_loop()
        key = interest.watched.key
        target = self._targets.get(key)
        is_new = target is None
        if target is None:
            target = self._targets[key] = Target(key)
        if interest.target is None:
            interest.target = target
            target.interests.append(interest)
        if is_new:
            self._changes.add(target)
        now = loop.time()
        own = now + pause
        interest.plan(own, own if target.area is None else target.area.turn(target, own, now))
        if not target.in_flight and interest.due < target.due:
            self._schedule(target, interest.due)
            self._arm(loop)
        if target.again and self.wake(target):
            self.start_woken()

    def forget(self, interest: Interest) -> None:
        """Stop polling for this interest."""
        target = interest.target
        if target is None:
            return
        interest.target = None
        target.interests.remove(interest)
        if not target.interests:
            # Its entries in the heap and among those that were woken are skipped later.
            target.due = NEVER
            target.woken = False
            self._changes.remove(target, interest.watched.id)
            if self._targets.get(target.key) is target:
                del self._targets[target.key]

    def close(self) -> None:
        """Let polls under way end, then close the threads and the connections, without waiting for it."""
        self._closed = True
        self._changes.close()
        if self._timer:
            self._timer.cancel()
        # A thread of its own: a poll that ends after the client was closed would open a connection again.
        Thread(target=self._end, name=f"{self._name}-closing").start()

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        self._changes.join()
        self._hook.close()

    # --- for a search ---

    def wake(self, target: Target) -> bool:
        """Poll a version before all others; return False where no wait could use its answer yet."""
        now = asyncio.get_running_loop().time()
        if all(interest.since > now for interest in target.interests):
            return False
        # A poll that is under way may be from before the change.
        target.again = target.in_flight or target.due == NEVER
        if not target.again and not target.woken:
            target.woken = True
            self._woken.append(target)
        return True

    def start_woken(self) -> None:
        """Begin with the polls of those that were woken."""
        if self._woken and not self._closed:
            self._start_due(asyncio.get_running_loop())

    def return_to_turns(self, targets: Iterable[Target]) -> None:
        """Poll versions as often as their waits would by themselves."""
        loop = asyncio.get_running_loop()
        for target in targets:
            target.spread = False
            for interest in target.interests:
                interest.return_to_its_turn(float("-inf"))
            due = min((interest.due for interest in target.interests), default=NEVER)
            if not target.in_flight and due < target.due:
                self._schedule(target, due)
        self._arm(loop)

    # --- polling in turn ---

    def _schedule(self, target: Target, due: float) -> None:
        # A poll that was planned again, or forgotten, leaves an entry behind, which may be due in days.
        if len(self._heap) > 2 * len(self._targets) + 100:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
            heapify(self._heap)
        target.due = due
        heappush(self._heap, (due, next(self._order), target))

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the first time that is due."""
        self._drop_stale()
        if not self._heap or self._free == 0 or self._closed:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._start_due, loop)

    def _start_due(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = loop.time()
        while self._free and not self._closed:
            self._drop_stale()
            is_due = bool(self._heap) and self._heap[0][0] <= now
            target = self._next_woken() if not is_due or self._woken_in_a_row < WOKEN_IN_A_ROW else None
            if target is not None:
                self._woken_in_a_row += 1
                self._start(target, loop, woken=True)
            elif is_due:
                self._woken_in_a_row = 0
                due, _, target = heappop(self._heap)
                self._start(target, loop, late=now - due)
            else:
                break
        self._arm(loop)

    def _drop_stale(self) -> None:
        while self._heap and self._heap[0][0] != self._heap[0][2].due:
            heappop(self._heap)

    def _next_woken(self) -> Target | None:
        while self._woken:
            target = self._woken.popleft()
            # Polled in its turn meanwhile, or forgotten.
            if target.woken:
                return target
        return None

    def _start(
        self, target: Target, loop: asyncio.AbstractEventLoop, *, woken: bool = False, late: float = 0.0
    ) -> None:
        # A poll in its turn is one that a search has asked for, too.
        woken = woken or target.woken
        self._free -= 1
        target.due = NEVER
        target.in_flight = True
        target.woken = False
        target.asked = loop.time()
        if target.asked >= self._check_lateness:
            self._warn_if_late(target, late)
        polled: asyncio.Future[Answer]
        try:
            polled = loop.run_in_executor(self._threads, poll, self._hook, target.watched)
        except RuntimeError as error:
            # The system gives no thread; the waits must get the error, or would wait for ever.
            polled = loop.create_future()
            polled.set_result(error)
        polled.add_done_callback(partial(self._deliver, target, woken))

    def _deliver(self, target: Target, woken: bool, polled: asyncio.Future[Answer]) -> None:
        self._free += 1
        target.in_flight = False
        if polled.cancelled() or self._closed:
            return
        answer: Answer = polled.exception() or polled.result()  # type: ignore[assignment]
        if target.area is not None:
            target.area.polled(target, answer, woken=woken)
        due = NEVER
        for interest in target.interests:
            interest.take(answer, target.asked)
            if not target.calm:
                interest.return_to_its_turn(target.asked)
            due = min(due, interest.due)
        loop = polled.get_loop()
        if due < NEVER:
            self._schedule(target, due)
            if target.again:
                self.wake(target)
        self._start_due(loop) if self._timer is None or self._woken else self._arm(loop)

    def _warn_if_late(self, target: Target, late: float) -> None:
        """Log once that the waits need more requests than the budget allows."""
        if late <= max(1.0, target.interests[0].interval * LATE):
            return
        self._check_lateness = target.asked + SECONDS_BETWEEN_CHECKS
        budget = self._hook.budget(target.watched.operation)
        intervals = [self._interval(target) for target in self._targets.values()]
        wanted = sum(1 / max(interval, 0.001) for interval in intervals)
        rate = budget.rate
        if wanted <= rate:
            return
        self._check_lateness = NEVER
        left = f", of which AWS's throttling leaves {rate:.3g} now" if rate < budget.per_second else ""
        log.warning(
            "Polling each version about every %.0f s instead of every %.0f s: %d versions need %.1f requests "
            "a second, and %s allows %g%s.",
            *(len(intervals) / rate, len(intervals) / wanted, len(intervals), wanted),
            *(budget.quota.option, budget.per_second, left),
        )

    def _interval(self, target: Target) -> float:
        first = target.interests[0]
        return max(first.interval, self._changes.slow) if first.is_searched_for else first.interval
