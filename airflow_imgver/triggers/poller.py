"""
Looks at many versions in turn, from a few threads, for all the waits of a process.

Whatever is due longest is looked at first. So where the budget of requests cannot keep up, every version is
looked at equally often, and only the pauses grow. Waits on the same version share a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

from airflow_imgver.defaults import SECTION
from airflow_imgver.gate import Answer, Watched, answer_to
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.settings import positive

log = logging.getLogger(__name__)

# A look that is later than this share of its interval is late enough to ask why.
LATE = 0.25


class Interest:
    """
    A wait's interest in one version.

    :param watched: the version.
    :param inbox: where answers go.
    :param since: when the wait began, in the loop's time: no older answer will do.
    :param interval: seconds between two looks, where the budget allows.
    """

    __slots__ = ("due", "inbox", "interval", "since", "target", "watched")

    def __init__(self, watched: Watched, inbox: Inbox, since: float, interval: float) -> None:
        self.watched = watched
        self.inbox = inbox
        self.since = since
        self.interval = interval
        self.due = float("inf")
        self.target: _Target | None = None


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
        threads = int(positive("threads"))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"imgver-{hook.service}")
        self._free = threads
        self._targets: dict[tuple[Any, ...], _Target] = {}
        self._heap: list[tuple[float, int, _Target]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._told_late = False
        self._closed = False

    # --- what a wait asks ---

    def look_after(self, interest: Interest, pause: float) -> None:
        """Look at a version, for a wait, when ``pause`` seconds have gone by; answers go to its inbox."""
        loop = asyncio.get_running_loop()
        interest.due = loop.time() + pause
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
        """Let looks under way end, then close the connections and the threads, without waiting for it."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        self._threads.submit(self._hook.conn.close)
        self._threads.shutdown(wait=False)

    # --- looking in turn ---

    def _schedule(self, target: _Target, due: float) -> None:
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
        if not self._told_late:
            self._tell_if_late(target, late)
        look = loop.run_in_executor(self._threads, answer_to, self._hook, target.interests[0].watched)
        look.add_done_callback(partial(self._deliver, target))

    def _deliver(self, target: _Target, look: asyncio.Future[Answer]) -> None:
        self._free += 1
        target.in_flight = False
        if look.cancelled() or self._closed:
            return
        answer = look.exception() or look.result()
        due = float("inf")
        for interest in target.interests:
            # What was asked before a wait began may be older than what it waits for.
            if interest.since <= target.asked:
                interest.due = float("inf")
                interest.inbox.put(interest, answer)  # type: ignore[arg-type]
            due = min(due, interest.due)
        loop = look.get_loop()
        if due < float("inf"):
            self._schedule(target, due)
        self._start_due(loop) if self._timer is None else self._arm(loop)

    def _tell_if_late(self, target: _Target, late: float) -> None:
        """Say once that there are more waits than the budget allows to be looked at in time."""
        if late <= max(1.0, target.interests[0].interval * LATE):
            return
        intervals = [target.interests[0].interval for target in self._targets.values()]
        wanted = sum(1 / max(interval, 0.001) for interval in intervals)
        allowed = positive(self._hook.budget_option)
        if wanted <= allowed:
            return
        self._told_late = True
        log.warning(
            "%d versions are waited for, which asks for %.1f requests a second, and [%s] %s allows %g: "
            "each is looked at about every %.0f s instead of every %.0f s",
            len(intervals),
            wanted,
            SECTION,
            self._hook.budget_option,
            allowed,
            len(intervals) / allowed,
            len(intervals) / wanted,
        )


def _key(watched: Watched) -> tuple[Any, ...]:
    identity: Mapping[str, str] = watched.identity
    return (*identity.values(), watched.version)
