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


class _Postponed(NamedTuple):
    message: QueueMessage
    due: float
    until: float
    schedule: Schedule


class PostponedMessages:
    """
    Messages that wait in memory; times are the loop's.

    Kept hidden rather than returned, because each receipt counts for the queue's dead-letter policy.
    """

    def __init__(self) -> None:
        self._messages: dict[str, _Postponed] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def postpone(self, message: QueueMessage) -> bool:
        """List a message again after a growing pause; returns whether it may wait any longer."""
        now = asyncio.get_running_loop().time()
        earlier = self._messages.get(message.message_id)
        if earlier is not None and now > earlier.until:
            # It comes back by itself, and counts for the dead-letter policy then.
            del self._messages[message.message_id]
            return False
        schedule = earlier.schedule if earlier else Schedule(Pace(poke_interval=_SHORTEST_PAUSE))
        until = earlier.until if earlier else now + _LONGEST_STAY
        self._messages[message.message_id] = _Postponed(
            message, now + schedule.after_error(), until, schedule
        )
        return True

    def renew(self, message: QueueMessage) -> bool:
        """Take a message's newest receipt, which alone deletes it for sure; returns whether it waits."""
        earlier = self._messages.get(message.message_id)
        if earlier is not None:
            self._messages[message.message_id] = earlier._replace(message=message)
        return earlier is not None

    def drop(self, message: QueueMessage) -> None:
        """Forget a message."""
        self._messages.pop(message.message_id, None)

    def due(self, most: int) -> list[QueueMessage]:
        """Return messages whose pause is over."""
        now = asyncio.get_running_loop().time()
        return [each.message for each in self._messages.values() if each.due <= now][:most]

    def receipts(self) -> dict[str, str]:
        """Return what deletes or hides each message, by its id."""
        return {message_id: each.message.receipt for message_id, each in self._messages.items()}
