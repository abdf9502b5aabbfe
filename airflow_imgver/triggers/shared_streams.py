"""
Event triggers on Airflow 3.3 and newer: shared streams in the mode in which Airflow says what it has stored.

A message is deleted, and a cursor moves, in ``advance``, which Airflow calls after the events are in its
database. All is in one lane, so that deletions are batched.

In Airflow 3.3.2, ``advance`` may be called for a message whose event was never stored: a watcher that is
cancelled after its filter has yielded and before Airflow has taken the event counts as one that accepted the
message (``_SharedStreamGroup.unsubscribe``). So the filters note what they have dealt with, after their
``yield`` has returned, and ``advance`` leaves alone what fewer have dealt with than Airflow says accepted it.
A watcher that has not dealt with a message does not remember its facts either: the message comes back, and
would be recognised as one that was stored. See docs/upstream-shared-stream.md.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_imgver.triggers.delivery import Delivery
from airflow_imgver.triggers.event_base import CONNECTION
from airflow_imgver.triggers.memory import load_memory, save_memory
from airflow_imgver.triggers.queue_stream import QueueStream
from airflow_imgver.triggers.watch_stream import Item, WatchStream
from airflow_imgver.triggers.watchers import Watcher, joined, watchers_of

if TYPE_CHECKING:
    from airflow_imgver.triggers.event_base import EventQueueTrigger, WatchTrigger

log = logging.getLogger(__name__)


def is_stored(item: AdvanceItem) -> bool:
    """Return whether all watchers have dealt with something, and all that they made of it is stored."""
    return bool(item.outcome.is_clean and item.broker_payload.handed >= item.outcome.acked)


# --- a queue ---


class QueueProducer(SharedStreamProducer):
    """
    Reads a queue for all its watchers.

    :param kwargs: the arguments of one of them; those of the connection are used for all.
    """

    def __init__(self, kwargs: dict[str, Any]) -> None:
        self._key = ("airflow_imgver.queue", kwargs["queue_url"])
        connection = {name: kwargs.get(name) for name in CONNECTION}
        self._stream = QueueStream(kwargs["queue_url"], connection, lambda: watchers_of(self._key), log)

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield messages whose versions are listed, for ever."""
        async for delivery in self._stream.deliveries():
            yield delivery, delivery

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Remember and delete what is stored; leave all else in the queue."""
        stored: list[Delivery] = []
        left: list[Delivery] = []
        changed: dict[int, Watcher] = {}
        for item in batch:
            delivery, all_stored = item.broker_payload, is_stored(item)
            (stored if all_stored else left).append(delivery)
            for watcher, key in delivery.reported:
                # Where Airflow failed none, one that has dealt with it counts because its events are stored.
                if all_stored or (item.outcome.failed == 0 and watcher in delivery.dealt_with):
                    watcher.stored(key)
                    changed[id(watcher)] = watcher
                else:
                    watcher.lost(key)
        await self._stream.not_stored(left)
        # First what is remembered: a kill between both brings the message again, which is then recognised.
        for watcher in changed.values():
            await save_memory(watcher)
        self._stream.stored(stored)

    async def aclose(self) -> None:
        """Return what is in flight to the queue."""
        await self._stream.close()


async def queue_events(
    trigger: EventQueueTrigger, shared_stream: AsyncIterator[Any]
) -> AsyncIterator[TriggerEvent]:
    """Yield a watcher's events of the messages in a stream."""
    key = trigger.shared_stream_key()
    with joined(key, trigger) as watcher:
        _log_other_connection(trigger, watchers_of(key))
        await load_memory(watcher)
        async for delivery in shared_stream:
            for fact_key, event in watcher.news(delivery.seen.facts, delivery.seen.observed_at):
                delivery.note(watcher, fact_key)
                yield TriggerEvent(event)
            if watcher.wanted is not None or len(watchers_of(key)) > 1:
                delivery.dealt_with.append(watcher)


def _log_other_connection(trigger: EventQueueTrigger, watchers: Sequence[Watcher]) -> None:
    first = watchers[0].trigger
    if first.connection != trigger.connection:
        log.warning(
            "Two watchers of the queue %s have different connections; the one of the first is used for both: "
            "%s. Give them the same, or a queue each.",
            trigger.queue_url,
            first.aws_conn_id,
        )


# --- without a queue ---


class WatchProducer(SharedStreamProducer):
    """
    Scans for changes for one watcher.

    :param trigger: a trigger with the watcher's arguments.
    """

    def __init__(self, trigger: WatchTrigger) -> None:
        self._key = trigger.shared_stream_key()
        self._stream = WatchStream(trigger, log)

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the facts of the scans, and a mark after each scan, for ever."""
        async for item in self._stream.items(lambda: watchers_of(self._key)):
            yield item, item

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Remember what is stored, and move the cursor to the end of a scan of which all is."""
        items: list[tuple[Item, bool]] = [(item.broker_payload, is_stored(item)) for item in batch]
        await self._stream.settle(items)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._stream.close()


async def watch_events(
    trigger: WatchTrigger, shared_stream: AsyncIterator[Any]
) -> AsyncIterator[TriggerEvent]:
    """Yield the events of the facts in a stream."""
    with joined(trigger.shared_stream_key(), trigger):
        async for item in shared_stream:
            if item.event is not None:
                yield TriggerEvent(item.event)
            item.handed += 1
