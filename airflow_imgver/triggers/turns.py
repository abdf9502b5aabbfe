"""
Two triggerers that read one queue for different watchers take turns, so that each watcher gets all messages.

A message is deleted when all watchers on the queue's roll have dealt with it. Until then, a triggerer that
has dealt with it hides it to the end of its own turn, and the next one receives it. What a watcher has dealt
with is in a Variable of its own, which its triggerer writes and the others read. Turns follow the clock, so
that nobody needs to be asked for one; where clocks differ, a message is received once more.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from math import inf
from typing import Any, NamedTuple

from airflow_imgver.events.cursor import Remembered
from airflow_imgver.triggers.places import Place, Variables, digest, within
from airflow_imgver.triggers.roll import LONGEST_CALL, Roll

SECONDS = 10.0
"""The length of a turn: a watcher in another triggerer gets a message so much later at the most."""
# For a watcher that may come back; each time that a message is received counts for its dead-letter policy.
SECONDS_HIDDEN_WITHOUT_TURNS = 45
_FORMAT = 1


class Dealt(NamedTuple):
    """
    A message that watchers have dealt with.

    :param message_id: the message.
    :param receipt: what deletes it.
    :param watchers: the names of the watchers.
    """

    message_id: str
    receipt: str
    watchers: frozenset[str]


class Turns:
    """
    The turns of a process, and what its watchers have dealt with. Without another triggerer it costs nothing.

    :param roll: the roll of the queue's watchers.
    :param place: where is kept what each watcher has dealt with.
    """

    def __init__(self, roll: Roll, place: Place | None = None) -> None:
        self._roll = roll
        self._place = place or Variables()
        self._dealt: dict[str, Remembered] = {}
        self._unwritten: set[str] = set()

    def seconds_left(self) -> float:
        """Return the seconds of this process's turn: for ever without others, 0 where it is another's."""
        readers = self._roll.readers
        if len(readers) == 1:
            return inf
        turn, passed = divmod(time.time(), SECONDS)
        return SECONDS - passed if readers[int(turn) % len(readers)] == self._roll.own else 0.0

    def seconds_to_hide(self) -> int:
        """Return for how long a message is hidden that others have not dealt with."""
        left = self.seconds_left()
        return SECONDS_HIDDEN_WITHOUT_TURNS if left == inf else int(left)

    def has_dealt_with(self, message_id: str, watchers: Collection[str]) -> bool:
        """Return whether the watchers have dealt with a message, and it waits for others."""
        none = Remembered()
        return bool(watchers) and all(message_id in self._dealt.get(name, none) for name in watchers)

    async def settle(self, messages: Sequence[Dealt]) -> list[Dealt]:
        """
        Note what has been dealt with here, and return which messages all watchers have dealt with.

        :raises Exception: Airflow could not be asked; then it is not known.
        """
        others = self._roll.elsewhere
        if not others:
            return list(messages)
        for each in messages:
            for name in each.watchers:
                if self._dealt.setdefault(name, Remembered()).add(each.message_id):
                    self._unwritten.add(name)
        while self._unwritten:
            await self._write(self._unwritten.pop())
        # After it was written: of two that deal with a message at the same time, one at least sees both.
        theirs = [
            _read(await within(LONGEST_CALL, self._place.get(self._variable(name))))
            for name in sorted(others)
        ]
        return [each for each in messages if all(each.message_id in dealt for dealt in theirs)]

    async def _write(self, name: str) -> None:
        stored = {"format": _FORMAT, "messages": self._dealt[name].stored()}
        try:
            await within(LONGEST_CALL, self._place.set(self._variable(name), stored))
        except BaseException:
            self._unwritten.add(name)
            raise

    def _variable(self, watcher: str) -> str:
        return f"{self._roll.name}.{digest(watcher)}"


def _read(stored: Any) -> Remembered:
    try:
        return Remembered.read(stored["messages"])
    except (KeyError, TypeError, ValueError):
        return Remembered()  # Nothing yet.
