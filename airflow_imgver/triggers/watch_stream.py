"""A watcher without a queue: scan, hand the facts over, and move the cursor once they are stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_imgver.events.cursor import Cursor, Mark
from airflow_imgver.events.event import event_of
from airflow_imgver.events.scans import Scan, Watch
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.triggers.places import UNREADABLE, Place, Variables, asset_state_of, within
from airflow_imgver.triggers.trouble import Trouble
from airflow_imgver.triggers.watchers import Watcher
from airflow_imgver.triggers.window import Window

if TYPE_CHECKING:
    from airflow_imgver.triggers.event_base import WatchTrigger

SHORTEST_INTERVAL = 1.0
_SECONDS_TO_SAVE = 5.0
# Longer than Airflow waits for an event to be stored before it gives up.
_LONGEST_STORING = 900.0


@dataclass(eq=False, slots=True)
class Item:
    """
    A fact of a scan, or the mark at its end.

    :param event: the event of a fact; None for the mark.
    :param key: the fact's key.
    :param mark: where the cursor moves.
    :param handed: how many watchers have dealt with it. Airflow 3.3.2 may count one that has not.
    """

    event: dict[str, Any] | None
    key: str = ""
    mark: Mark | None = None
    handed: int = 0


class WatchStream:
    """
    Scans for ever, on the loop of a triggerer; nothing escapes :meth:`items`.

    :param trigger: a trigger with the watcher's arguments.
    :param log: the log.
    """

    def __init__(self, trigger: WatchTrigger, log: Any) -> None:
        self._trigger = trigger
        self._log = log
        self._watch: Watch | None = None
        self._place: Place = Variables()
        self._cursor: Cursor | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="imgver-watch")
        self._window = Window()
        self._complete = True

    # --- the stream ---

    async def items(self, watchers: Callable[[], Sequence[Watcher]]) -> AsyncIterator[Item]:
        """Yield the facts of each scan, the oldest first, and then its mark, for ever."""
        scanning = Trouble(self._log, "scan for changes")
        while True:
            try:
                while not watchers():
                    await asyncio.sleep(0.05)
                self._place = asset_state_of(watchers()[0].trigger) or Variables()
                scan = await self.scan()
                self._complete = True
                for item in self.items_of(scan):
                    async with asyncio.timeout(_LONGEST_STORING):
                        await self._window.enter()
                    yield item
                # Then nothing but the cursor says where to begin again.
                async with asyncio.timeout(_LONGEST_STORING):
                    await self._window.empty()
                scanning.over()
                pause = self.pause()
            except Exception as error:  # noqa: BLE001  # nothing may end a watcher
                self.note_error(error)
                pause = scanning.pause(error)
            await asyncio.sleep(pause)

    async def scan(self) -> Scan:
        """Scan for what changed since the cursor, which is read where that has not been done."""
        watch = await self._connected()
        if self._cursor is None:
            self._cursor = await self._read_cursor()
        return await asyncio.get_running_loop().run_in_executor(self._threads, watch.scan, self._cursor)

    def items_of(self, scan: Scan) -> list[Item]:
        """Return the facts of a scan, and the mark at its end where the cursor moves."""
        items = [Item(event_of(fact, scan.observed_at), key=fact.key) for fact in scan.facts]
        cursor = self._cursor
        moves = cursor is not None and (scan.mark.since, scan.mark.busy) != (cursor.since, cursor.busy)
        return [*items, Item(None, mark=scan.mark)] if items or moves else []

    def pause(self) -> float:
        """Return the seconds to the next scan; watchers that start together do not scan together for long."""
        interval = self._trigger.poll_interval
        fits = isinstance(interval, int | float) and interval >= SHORTEST_INTERVAL
        return (interval if fits else SHORTEST_INTERVAL) * random.uniform(0.9, 1.1)

    def note_error(self, error: Exception) -> None:
        """Build a new client after credentials have expired."""
        if isinstance(error, AwsCallError) and error.expired:
            self._disconnect()

    # --- what is stored ---

    async def settle(self, items: Sequence[tuple[Item, bool]]) -> None:
        """Remember the facts that are stored, and move the cursor at the end of a scan of which all are."""
        cursor, changed = self._cursor, False
        for item, stored in items:
            self._window.leave(stored=stored)
            self._complete = self._complete and stored
            if cursor is None or not stored:
                continue
            if item.mark is None:
                changed = cursor.remembered.add(item.key) or changed
            elif self._complete:
                cursor.move(item.mark)
                changed = True
        if changed:
            await self.save()

    async def save(self) -> None:
        """Keep the cursor; an older one costs events that come again."""
        if self._cursor is None:
            return
        try:
            await within(_SECONDS_TO_SAVE, self._place.set(self.name, self._cursor.stored()))
        except Exception as error:  # noqa: BLE001  # an error here would end the watcher
            self._log.warning("The cursor %s could not be kept, and is kept later: %r", self.name, error)

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._disconnect()

    @property
    def name(self) -> str:
        """The name under which the cursor is kept."""
        return self._trigger.cursor_name or self._trigger.place_name

    # --- the cursor and the client ---

    async def _read_cursor(self) -> Cursor:
        stored = await self._place.get(self.name)
        if stored is None and not isinstance(self._place, Variables):
            # An earlier Airflow, without a state of assets, kept it there.
            stored = await Variables().get(self.name)
        if stored is not None:
            try:
                return Cursor.read(stored)
            except ValueError as error:
                aside = self.name + UNREADABLE
                await self._place.set(aside, stored)
                self._log.error(
                    "The cursor %s cannot be read, because %s. It is kept as %s, and the watcher begins with "
                    "what has changed in the last five minutes. Compare a report for what changed before.",
                    self.name,
                    error,
                    aside,
                )
        else:
            self._log.info("No cursor %s yet: beginning with the changes of five minutes.", self.name)
        cursor = Cursor.start()
        # At once: what changes until the first event is stored must not depend on this process.
        await self._place.set(self.name, cursor.stored())
        return cursor

    async def _connected(self) -> Watch:
        if self._watch is None:
            watch: Watch = self._trigger.watch()
            await asyncio.to_thread(watch.service.hook_class)
            # Airflow answers a trigger's requests only in the thread that asgiref keeps for them.
            await sync_to_async(watch.connect)()
            self._watch = watch
        return self._watch

    def _disconnect(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._watch = None
