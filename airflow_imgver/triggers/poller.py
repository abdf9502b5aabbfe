"""
Polls many versions in turn, from a few threads, for all the waits of a process.

The version that has been due longest is polled first. So where the budget of requests cannot keep up, every
pause grows by as much, and equal intervals stay equal. Waits on the same version share a poll.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread
from typing import Any

from airflow_imgver.gate.polling import poll
from airflow_imgver.gate.watched import Answer, Watched
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import THREADS

log = logging.getLogger(__name__)

# A poll that is later than this share of its interval is worth a check of the budget.
LATE = 0.25
# Waits that share their polls are never due at exactly the same time.
ON_TIME = 0.1
# The check walks over all versions that are waited for.
SECONDS_BETWEEN_CHECKS = 10.0


class Interest:
    """
    A wait's interest in one version.

    :param watched: the version.
    :param inbox: where answers go.
    :param since: the first time, in the loop's time, at which a poll can serve this wait.
    :param interval: seconds between two polls, where the budget allows.

    ``turn`` is when the wait wants its next poll, and ``due`` when that poll has to be sent: later, where
    another wait's answer is younger than the interval. Both are infinite until the wait plans a poll.
    """

    __slots__ = ("due", "inbox", "interval", "since", "target", "turn", "watched")

    def __init__(self, watched: Watched, inbox: Inbox, since: float, interval: float) -> None:
        self.watched = watched
        self.inbox = inbox
        self.since = since
        self.interval = interval
        self.due = self.turn = float("inf")
        self.target: _Target | None = None

    @property
    def waits_for_its_turn(self) -> bool:
        """Whether the answer came from another wait's poll, and its own poll is still planned."""
        return self.turn < float("inf")

    def take(self, answer: Answer, asked: float) -> None:
        """Take in the answer to a poll that began at ``asked``, in the loop's time."""
        # An answer from before the wait began may be older than the change it waits for.
        if asked < self.since:
            return
        if asked >= self.turn - self.interval * ON_TIME:
            self.due = self.turn = float("inf")
        elif not isinstance(answer, Exception):
            self.due = max(self.turn, asked + self.interval)
        self.inbox.put(self, answer)


class Inbox:
    """Where the answers for one wait arrive; light, because there are thousands."""

    __slots__ = ("_answers", "_reader")

    def __init__(self) -> None:
        self._answers: list[tuple[Interest, Answer]] = []
        self._reader: asyncio.Future[None] | None = None

    def put(self, interest: Interest, answer: Answer) -> None:
        """Add an answer."""
        self._answers.append((interest, answer))
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self, timeout: float | None) -> list[tuple[Interest, Answer]]:
        """Wait for answers, at most ``timeout`` seconds, and take all that are there."""
        if not self._answers:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._reader
            except TimeoutError:
                pass
            finally:
                self._reader = None
        arrived, self._answers = self._answers, []
        return arrived


class _Target:
    """A version, and those interested in it."""

    __slots__ = ("asked", "due", "in_flight", "interests", "key")

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key
        self.interests: list[Interest] = []
        self.due = float("inf")
        self.asked = 0.0
        self.in_flight = False


class Poller:
    """
    The polls of all waits on one client. Everything here except :func:`poll` runs on the event loop.

    :param hook: a hook whose client is built.
    """

    def __init__(self, hook: ImageVersionHook) -> None:
        self._hook = hook
        self._per_second = hook.service.requests_per_second.number()
        threads = THREADS.whole()
        self._name = f"imgver-{hook.service.client_type}"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=self._name)
        self._free = threads
        self._targets: dict[tuple[Any, ...], _Target] = {}
        self._heap: list[tuple[float, int, _Target]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._check_lateness = float("-inf")
        self._closed = False

    # --- for a wait ---

    def poll_in(self, interest: Interest, pause: float) -> None:
        """Poll a version for a wait in ``pause`` seconds; answers go to its inbox."""
        loop = asyncio.get_running_loop()
        interest.due = interest.turn = loop.time() + pause
        key = interest.watched.key
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = _Target(key)
        if interest.target is None:
            interest.target = target
            target.interests.append(interest)
        if not target.in_flight and interest.due < target.due:
            self._schedule(target, interest.due)
            self._arm(loop)

    def forget(self, interest: Interest) -> None:
        """Stop polling for this interest."""
        target = interest.target
        if target is None:
            return
        interest.target = None
        target.interests.remove(interest)
        if not target.interests:
            # Its entry in the heap is skipped later.
            target.due = float("inf")
            if self._targets.get(target.key) is target:
                del self._targets[target.key]

    def close(self) -> None:
        """Let polls under way end, then close the threads and the connections, without waiting for it."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        # A thread of its own: a poll that ends after the client was closed would open a connection again.
        Thread(target=self._end, name=f"{self._name}-closing").start()

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        self._hook.close()

    # --- polling in turn ---

    def _schedule(self, target: _Target, due: float) -> None:
        # A poll that was planned again, or forgotten, leaves an entry behind, which may be due in days.
        if len(self._heap) > 2 * len(self._targets) + 100:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
            heapify(self._heap)
        target.due = due
        heappush(self._heap, (due, next(self._order), target))

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the first time that is due."""
        while self._heap and self._heap[0][0] != self._heap[0][2].due:
            heappop(self._heap)
        if not self._heap or self._free == 0 or self._closed:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._start_due, loop)

    def _start_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._free and self._heap and self._heap[0][0] <= now:
            due, _, target = heappop(self._heap)
            if due == target.due:
                self._start(target, loop, late=now - due)
        self._arm(loop)

    def _start(self, target: _Target, loop: asyncio.AbstractEventLoop, late: float) -> None:
        self._free -= 1
        target.due = float("inf")
        target.in_flight = True
        target.asked = loop.time()
        if target.asked >= self._check_lateness:
            self._warn_if_late(target, late)
        polled: asyncio.Future[Answer]
        try:
            polled = loop.run_in_executor(self._threads, poll, self._hook, target.interests[0].watched)
        except RuntimeError as error:
            # The system gives no thread; the waits must get the error, or would wait for ever.
            polled = loop.create_future()
            polled.set_result(error)
        polled.add_done_callback(partial(self._deliver, target))

    def _deliver(self, target: _Target, polled: asyncio.Future[Answer]) -> None:
        self._free += 1
        target.in_flight = False
        if polled.cancelled() or self._closed:
            return
        answer: Answer = polled.exception() or polled.result()  # type: ignore[assignment]
        due = float("inf")
        for interest in target.interests:
            interest.take(answer, target.asked)
            due = min(due, interest.due)
        loop = polled.get_loop()
        if due < float("inf"):
            self._schedule(target, due)
        self._start_due(loop) if self._timer is None else self._arm(loop)

    def _warn_if_late(self, target: _Target, late: float) -> None:
        """Log once that the waits need more requests than the budget allows."""
        if late <= max(1.0, target.interests[0].interval * LATE):
            return
        self._check_lateness = target.asked + SECONDS_BETWEEN_CHECKS
        intervals = [target.interests[0].interval for target in self._targets.values()]
        wanted = sum(1 / max(interval, 0.001) for interval in intervals)
        if wanted <= self._per_second:
            return
        self._check_lateness = float("inf")
        log.warning(
            "Polling each version about every %.0f s instead of every %.0f s: %d versions need %.1f requests "
            "a second, and %s allows %g.",
            len(intervals) / self._per_second,
            len(intervals) / wanted,
            len(intervals),
            wanted,
            self._hook.service.requests_per_second,
            self._per_second,
        )
