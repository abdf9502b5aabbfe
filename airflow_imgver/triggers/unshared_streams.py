"""
Event triggers on Airflow 3.1 and 3.2, which do not say when an event is stored.

So a message is deleted a minute after its event was handed over, and a cursor is saved eight seconds after.
An Airflow whose database has not taken an event by then, and whose triggerer is killed, loses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow.triggers.base import TriggerEvent

from airflow_imgver.triggers.delivery import Delivery
from airflow_imgver.triggers.queue_stream import QueueStream
from airflow_imgver.triggers.trouble import Trouble
from airflow_imgver.triggers.watch_stream import WatchStream
from airflow_imgver.triggers.watchers import Watcher, joined, watchers_of
from airflow_imgver.triggers.window import Window

if TYPE_CHECKING:
    from airflow_imgver.triggers.event_base import EventQueueTrigger, WatchTrigger

log = logging.getLogger(__name__)

SECONDS_UNTIL_DELETED = 60.0
SECONDS_UNTIL_SAVED = 8.0
# Airflow stores one event after the other. It must be able to store these before the cursor is saved.
MOST_UNSAVED = 100
MOST_WITHIN_A_MINUTE = 5_000

_sharings: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Sharing]] = WeakKeyDictionary()


class _Sharing:
    """One receive loop for all watchers of a queue in this process."""

    def __init__(self, trigger: EventQueueTrigger) -> None:
        self._key = trigger.shared_stream_key()
        # A message stays in it for a minute.
        window = Window(first=MOST_WITHIN_A_MINUTE, most=MOST_WITHIN_A_MINUTE)
        self._stream = QueueStream(
            trigger.queue_url, trigger.connection, lambda: watchers_of(self._key), log, window
        )
        self._inboxes: list[asyncio.Queue[Delivery]] = []
        self._open: dict[Delivery, int] = {}
        self._task = asyncio.ensure_future(self._read())
        self._deletions: set[asyncio.Task[None]] = set()

    def join(self) -> asyncio.Queue[Delivery]:
        """Return where a new watcher's messages arrive."""
        inbox: asyncio.Queue[Delivery] = asyncio.Queue()
        self._inboxes.append(inbox)
        return inbox

    def dealt_with(self, delivery: Delivery, watcher: Watcher) -> None:
        """Note that one more watcher has dealt with a message; after the last one, it is deleted later."""
        delivery.dealt_with.append(watcher)
        if delivery.handed >= self._open.get(delivery, 0):
            self._open.pop(delivery, None)
            deletion = asyncio.ensure_future(self._delete_later(delivery))
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)

    async def leave(self, inbox: asyncio.Queue[Delivery]) -> bool:
        """Stop a watcher's messages; returns whether it was the last watcher."""
        self._inboxes.remove(inbox)
        # What it has not dealt with is not deleted, and comes again.
        if self._inboxes:
            return False
        for task in (self._task, *self._deletions):
            task.cancel()
        await self._stream.close()
        return True

    async def _read(self) -> None:
        async for delivery in self._stream.deliveries():
            if self._inboxes:
                self._open[delivery] = len(self._inboxes)
                for inbox in self._inboxes:
                    inbox.put_nowait(delivery)
            else:
                await self._stream.not_stored([delivery])

    async def _delete_later(self, delivery: Delivery) -> None:
        await asyncio.sleep(SECONDS_UNTIL_DELETED)
        for watcher, key in delivery.reported:
            watcher.stored(key)
        self._stream.stored([delivery])


async def queue_events(trigger: EventQueueTrigger) -> AsyncIterator[TriggerEvent]:
    """Yield a watcher's events of a queue's messages."""
    key = trigger.shared_stream_key()
    sharings = _sharings.setdefault(asyncio.get_running_loop(), {})
    with joined(key, trigger) as watcher:
        sharing = sharings.get(key)
        if sharing is None:
            sharing = sharings[key] = _Sharing(trigger)
        inbox = sharing.join()
        try:
            while True:
                delivery = await inbox.get()
                for fact_key, event in watcher.news(delivery.seen.facts, delivery.seen.observed_at):
                    delivery.note(watcher, fact_key)
                    yield TriggerEvent(event)
                sharing.dealt_with(delivery, watcher)
        finally:
            if len(sharing._inboxes) == 1:
                del sharings[key]
            await sharing.leave(inbox)


async def watch_events(trigger: WatchTrigger) -> AsyncIterator[TriggerEvent]:
    """Yield the events of the scans."""
    stream = WatchStream(trigger, log)
    scanning = Trouble(log, "scan for changes")
    try:
        while True:
            try:
                items = stream.items_of(await stream.scan())
                for start in range(0, len(items), MOST_UNSAVED):
                    some = items[start : start + MOST_UNSAVED]
                    for item in some:
                        if item.event is not None:
                            yield TriggerEvent(item.event)
                    await asyncio.sleep(SECONDS_UNTIL_SAVED)
                    await stream.settle([(item, True) for item in some])
                scanning.over()
                pause = stream.pause()
            except Exception as error:  # noqa: BLE001  # nothing may end a watcher
                stream.note_error(error)
                pause = scanning.pause(error)
            await asyncio.sleep(pause)
    finally:
        await stream.close()
