"""Messages of a queue that have to be listed again: AWS refused, or does not list yet what they say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from airflow_imgver.triggers.schedule import Pace, Schedule

if TYPE_CHECKING:
    from airflow_imgver.hooks.event_queue import QueueMessage

# "Not consistent yet" takes AWS seconds.
_SHORTEST_PAUSE = 2.0
_LONGEST_STAY = 3600.0


class _Held(NamedTuple):
    message: QueueMessage
    due: float
    until: float
    schedule: Schedule


class HeldMessages:
    """
    Messages that wait in memory; times are the loop's.

    Kept hidden rather than returned, because each receipt counts for the queue's dead-letter policy.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._hidden_at = float("-inf")

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, message: QueueMessage) -> bool:
        """Keep a message, to list it again after a growing pause; returns whether it may wait any longer."""
        now = asyncio.get_running_loop().time()
        held = self._held.get(message.message_id)
        if held is not None and now > held.until:
            # It comes back by itself, and counts for the dead-letter policy then.
            del self._held[message.message_id]
            return False
        schedule = held.schedule if held else Schedule(Pace(poke_interval=_SHORTEST_PAUSE))
        until = held.until if held else now + _LONGEST_STAY
        self._held[message.message_id] = _Held(message, now + schedule.after_error(), until, schedule)
        return True

    def renew(self, message: QueueMessage) -> bool:
        """Take a message's newest receipt, which alone deletes it for sure; returns whether it is held."""
        held = self._held.get(message.message_id)
        if held is not None:
            self._held[message.message_id] = held._replace(message=message)
        return held is not None

    def drop(self, message: QueueMessage) -> None:
        """Hold a message no longer."""
        self._held.pop(message.message_id, None)

    def due(self, most: int) -> list[QueueMessage]:
        """Return messages whose pause is over."""
        now = asyncio.get_running_loop().time()
        return [each.message for each in self._held.values() if each.due <= now][:most]

    def receipts(self) -> list[str]:
        """Return what deletes or hides the messages."""
        return [each.message.receipt for each in self._held.values()]

    def to_hide(self, every: float) -> list[str]:
        """Return the receipts of all, where that was last so many seconds ago; else none."""
        now = asyncio.get_running_loop().time()
        if not self._held or now - self._hidden_at < every:
            return []
        self._hidden_at = now
        return self.receipts()
