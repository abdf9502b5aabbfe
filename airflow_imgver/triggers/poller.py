"""
Looks at many versions in turn, from a few threads, for all the waits of a process.

Whatever is due longest is looked at first. So where the budget of requests cannot keep up, every pause grows
by as much, and versions that are to be looked at equally often are. Waits on the same version share a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread
from typing import Any

from airflow_imgver.defaults import SECTION
from airflow_imgver.gate import Answer, Watched, answer_to
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.settings import positive, whole

log = logging.getLogger(__name__)

# A look that is later than this share of its interval is late enough to ask why.
LATE = 0.25
# Waits that share their looks are never due in quite the same moment.
ON_TIME = 0.1
# To ask why takes a walk over all that is waited for.
SECONDS_BETWEEN_QUESTIONS = 10.0


class Interest:
    """
    A wait's interest in one version.

    :param watched: the version.
    :param inbox: where answers go.
    :param since: the first moment, in the loop's time, at which a look can serve this wait.
    :param interval: seconds between two looks, where the budget allows.

    ``turn`` is when the wait wants its next look, and ``due`` when that has to be asked for: later, where
    another wait's answer is younger than the interval. Both are infinite until the wait plans a look.
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
        """Whether the answer that has come was to another wait's look, and its own is still planned."""
        return self.turn < float("inf")

    def take(self, answer: Answer, asked: float) -> None:
        """Take in the answer to a look that began at ``asked``, in the loop's time."""
        # What was asked before a wait began may be older than what it waits for.
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
    The looks of all waits on one client. Everything here but :func:`answer_to` runs on the event loop.

    :param hook: a hook whose client is built.
    """

    def __init__(self, hook: ImageVersionHook) -> None:
        self._hook = hook
        self._per_second = positive(hook.budget_option)
        threads = whole("threads")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"imgver-{hook.service}")
        self._free = threads
        self._targets: dict[tuple[Any, ...], _Target] = {}
        self._heap: list[tuple[float, int, _Target]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._ask_why_late = float("-inf")
        self._closed = False

    # --- what a wait asks ---

    def look_after(self, interest: Interest, pause: float) -> None:
        """Look at a version, for a wait, when ``pause`` seconds have gone by; answers go to its inbox."""
        loop = asyncio.get_running_loop()
        interest.due = interest.turn = loop.time() + pause
        key = _key(interest.watched)
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
        """Look no more for this interest."""
        target = interest.target
        if target is None:
            return
        interest.target = None
        target.interests.remove(interest)
        if not target.interests:
            # What is left of it in the heap is passed over.
            target.due = float("inf")
            if self._targets.get(target.key) is target:
                del self._targets[target.key]

    def close(self) -> None:
        """Let looks under way end, then close the threads and the connections, without waiting for it."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        # A thread of its own: a look that ends after the client was closed would open a connection again.
        Thread(target=self._end, name=f"imgver-{self._hook.service}-closing").start()

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        self._hook.conn.close()

    # --- looking in turn ---

    def _schedule(self, target: _Target, due: float) -> None:
        # What was planned anew, or forgotten, leaves an entry behind, which may be due in days.
        if len(self._heap) > 2 * len(self._targets) + 100:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
            heapify(self._heap)
        target.due = due
        heappush(self._heap, (due, next(self._order), target))

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to what is due first."""
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
        if target.asked >= self._ask_why_late:
            self._tell_if_late(target, late)
        look: asyncio.Future[Answer]
        try:
            look = loop.run_in_executor(self._threads, answer_to, self._hook, target.interests[0].watched)
        except RuntimeError as error:
            # The system gives no thread; the waits must hear of it, or would wait for ever.
            look = loop.create_future()
            look.set_result(error)
        look.add_done_callback(partial(self._deliver, target))

    def _deliver(self, target: _Target, look: asyncio.Future[Answer]) -> None:
        self._free += 1
        target.in_flight = False
        if look.cancelled() or self._closed:
            return
        answer: Answer = look.exception() or look.result()  # type: ignore[assignment]
        due = float("inf")
        for interest in target.interests:
            interest.take(answer, target.asked)
            due = min(due, interest.due)
        loop = look.get_loop()
        if due < float("inf"):
            self._schedule(target, due)
        self._start_due(loop) if self._timer is None else self._arm(loop)

    def _tell_if_late(self, target: _Target, late: float) -> None:
        """Say once that there are more waits than the budget allows to be looked at in time."""
        if late <= max(1.0, target.interests[0].interval * LATE):
            return
        self._ask_why_late = target.asked + SECONDS_BETWEEN_QUESTIONS
        intervals = [target.interests[0].interval for target in self._targets.values()]
        wanted = sum(1 / max(interval, 0.001) for interval in intervals)
        if wanted <= self._per_second:
            return
        self._ask_why_late = float("inf")
        log.warning(
            "%d versions are waited for, which asks for %.1f requests a second, and [%s] %s allows %g: "
            "each is looked at about every %.0f s instead of every %.0f s",
            len(intervals),
            wanted,
            SECTION,
            self._hook.budget_option,
            self._per_second,
            len(intervals) / self._per_second,
            len(intervals) / wanted,
        )


def _key(watched: Watched) -> tuple[Any, ...]:
    identity: Mapping[str, str] = watched.identity
    return (*identity.values(), watched.version)
