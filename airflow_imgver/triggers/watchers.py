"""
The running watchers of this process: what each wants, what it has handed to Airflow, and what it remembers.

A shared stream belongs to a class and knows no trigger. So each watcher joins here, under the stream's key,
and what reads for all of them finds out who they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_imgver.events.cursor import Remembered
from airflow_imgver.events.event import Fact, event_of
from airflow_imgver.events.filters import EventFilter

if TYPE_CHECKING:
    from airflow_imgver.triggers.event_base import ImageVersionEventTrigger

log = logging.getLogger(__name__)

_joined: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, list[Watcher]]] = WeakKeyDictionary()


class Watcher:
    """
    A running trigger.

    A fact that was handed over is not reported again. It counts as stored only once Airflow has said so, and
    is forgotten where Airflow did not: then its message or its scan comes again.

    :param trigger: the trigger.
    """

    def __init__(self, trigger: ImageVersionEventTrigger) -> None:
        self.trigger = trigger
        self.name = trigger.place_name
        self.remembered = Remembered()
        self.wanted: EventFilter | None = None
        self._handed: set[str] = set()
        try:
            self.wanted = trigger.wanted
        except (TypeError, ValueError) as error:
            log.error("This watcher sends no events, because of an argument in its Dag: %s", error)

    def news(self, facts: tuple[Fact, ...], observed_at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield key and event of each fact that the trigger wants and has not reported."""
        for fact in facts:
            key = fact.key
            if self.wanted is None or not self.wanted.wants(fact):
                continue
            if key not in self.remembered and key not in self._handed:
                yield key, event_of(fact, observed_at)

    def hand(self, key: str) -> None:
        """Note that a fact's event is on its way into Airflow's database."""
        self._handed.add(key)

    def stored(self, key: str) -> None:
        """Remember a fact whose event Airflow has stored."""
        self._handed.discard(key)
        self.remembered.add(key)

    def lost(self, key: str) -> None:
        """Forget a fact whose event Airflow may not have stored."""
        self._handed.discard(key)


@contextmanager
def joined(key: Hashable, trigger: ImageVersionEventTrigger) -> Iterator[Watcher]:
    """Make a trigger one of the watchers of a stream, for as long as the context lasts."""
    streams = _joined.setdefault(asyncio.get_running_loop(), {})
    watcher = Watcher(trigger)
    streams.setdefault(key, []).append(watcher)
    try:
        yield watcher
    finally:
        streams[key].remove(watcher)
        if not streams[key]:
            del streams[key]


def watchers_of(key: Hashable) -> list[Watcher]:
    """Return the watchers of a stream, in the order in which they joined."""
    return list(_joined.get(asyncio.get_running_loop(), {}).get(key, ()))
