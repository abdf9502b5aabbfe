"""A version that is polled, and the waits that are interested in it; light, because there are thousands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_imgver.gate.watched import Answer, Watched

if TYPE_CHECKING:
    from airflow_imgver.triggers.area import Area

NEVER = float("inf")
# Waits that share their polls are never due at exactly the same time.
ON_TIME = 0.1


class Interest:
    """
    A wait's interest in one version.

    :param watched: the version.
    :param inbox: where answers go.
    :param since: the first time, in the loop's time, at which a poll can serve this wait.
    :param interval: seconds between two polls, where the budget allows.

    ``turn`` is when the wait's next poll is planned, and ``due`` when that poll has to be sent: later, where
    another wait's answer is younger than the interval. Both are infinite until the wait plans a poll.
    ``own`` is when the wait itself would poll: before ``turn``, where a search shows what changes.
    """

    __slots__ = ("due", "inbox", "interval", "own", "since", "target", "turn", "watched")

    def __init__(self, watched: Watched, inbox: Inbox, since: float, interval: float) -> None:
        self.watched = watched
        self.inbox = inbox
        self.since = since
        self.interval = interval
        self.due = self.turn = self.own = NEVER
        self.target: Target | None = None

    @property
    def waits_for_its_turn(self) -> bool:
        """Whether the answer came from another poll than its own, which is still planned."""
        return self.turn < NEVER

    @property
    def is_searched_for(self) -> bool:
        """Whether a search shows when it changes, and its next turn is later for that."""
        return self.own < self.turn < NEVER

    def plan(self, own: float, turn: float) -> None:
        """Plan the next poll."""
        self.own = own
        self.due = self.turn = turn

    def return_to_its_turn(self, asked: float) -> None:
        """Poll as often as the wait itself would, after a poll that began at ``asked``."""
        if self.is_searched_for:
            self.due = self.turn = min(self.turn, max(self.own, asked + self.interval))

    def take(self, answer: Answer, asked: float) -> None:
        """Take in the answer to a poll that began at ``asked``, in the loop's time."""
        # An answer from before the wait began may be older than the change it waits for.
        if asked < self.since:
            return
        if asked >= self.turn - self.interval * ON_TIME:
            self.due = self.turn = NEVER
        elif not isinstance(answer, Exception):
            self.due = max(self.turn, asked + self.interval)
        self.inbox.put(self, answer)


class Inbox:
    """Where the answers for one wait arrive."""

    __slots__ = ("_answers", "_reader")

    def __init__(self) -> None:
        # An empty list would be one more object of every wait for the garbage collector.
        self._answers: list[tuple[Interest, Answer]] | None = None
        self._reader: asyncio.Future[None] | None = None

    def put(self, interest: Interest, answer: Answer) -> None:
        """Add an answer."""
        if self._answers is None:
            self._answers = []
        self._answers.append((interest, answer))
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self, timeout: float | None) -> list[tuple[Interest, Answer]]:
        """Wait for answers, at most ``timeout`` seconds, and take all that are there."""
        if not self._answers:
            loop = asyncio.get_running_loop()
            self._reader = loop.create_future()
            # asyncio.timeout would be another two objects of every wait for the garbage collector.
            timer = None if timeout is None else loop.call_later(timeout, self._wake)
            try:
                await self._reader
            finally:
                self._reader = None
                if timer is not None:
                    timer.cancel()
        arrived, self._answers = self._answers or [], None
        return arrived


class Target:
    """
    A version, and those interested in it.

    :param key: what distinguishes the version.

    ``area`` is where a search can show that it has changed. ``calm`` says that AWS did not work on it at the
    last poll; only then may its next one be late. ``woken`` is true while it waits for a poll that a search
    asked for, and ``again`` where a search shows a change while it is polled.
    """

    __slots__ = (
        "again",
        "area",
        "asked",
        "calm",
        "due",
        "in_flight",
        "interests",
        "key",
        "seen",
        "spread",
        "woken",
    )

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key
        self.interests: list[Interest] = []
        self.area: Area | None = None
        self.due = NEVER
        self.asked = 0.0
        self.in_flight = self.calm = self.woken = self.again = self.spread = False
        self.seen: int | None = None

    @property
    def watched(self) -> Watched:
        """The version."""
        return self.interests[0].watched

    def changed(self, answer: Answer) -> bool | None:
        """
        Take in what a poll showed.

        :return: whether the poll before it showed something else; None where that is not known.
        """
        if isinstance(answer, Exception):
            self.calm = False
            return None
        self.calm = answer is None or not answer.busy
        before, self.seen = self.seen, _digest(answer)
        return None if before is None else before != self.seen


def _digest(answer: Answer) -> int:
    """A number rather than the answer: the garbage collector visits every object of every wait."""
    if answer is None or isinstance(answer, Exception):
        return 0
    return hash((answer.number, answer.status, answer.state, answer.changed_at))
