"""What a watcher of a queue remembers in its asset's state: the facts that Airflow stored last."""

from __future__ import annotations

import asyncio
import logging

from airflow_imgver.events.cursor import Remembered
from airflow_imgver.triggers.places import UNREADABLE, asset_state_of, within
from airflow_imgver.triggers.watchers import Watcher

log = logging.getLogger(__name__)

_TRIES = 3
_FORMAT = 1
_SECONDS_TO_SAVE = 5.0


async def load_memory(watcher: Watcher) -> None:
    """Read what a watcher remembers; without it, what comes again is reported again."""
    place = asset_state_of(watcher.trigger)
    if place is None:
        return
    name = watcher.name
    for tried in range(1, _TRIES + 1):
        try:
            stored = await place.get(name)
            if stored is not None:
                try:
                    watcher.remembered = Remembered.read(stored.get("remembered"))
                except (AttributeError, ValueError):
                    await place.set(name + UNREADABLE, stored)
                    log.error(
                        "What this watcher remembers cannot be read. It is kept as %s in the asset's state; "
                        "events that were stored before may be sent again.",
                        name + UNREADABLE,
                    )
        except Exception as error:  # noqa: BLE001  # nothing may end a watcher
            log.warning("What this watcher remembers could not be read (try %d): %r", tried, error)
            await asyncio.sleep(tried)
        else:
            return


async def save_memory(watcher: Watcher) -> None:
    """Keep what a watcher remembers; without it, what comes again after a restart is reported again."""
    place = asset_state_of(watcher.trigger)
    if place is None:
        return
    value = {"format": _FORMAT, "remembered": watcher.remembered.stored()}
    try:
        await within(_SECONDS_TO_SAVE, place.set(watcher.name, value))
    except Exception as error:  # noqa: BLE001  # an error here would end all watchers of the queue
        log.warning("What this watcher remembers could not be kept: %r", error)
