"""Shared by the tests of the search for changes: a data store whose image sets change while gates wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import Answer, Asked, image_set_entry
from waits import FastLoop, Timeline, asked_about, aws, event_of, found, image_sets, listing, trigger

MANY = 60
# Longer than any search looks back, and than any change in these tests takes.
INTERVAL = 600.0
# All have been polled once, and the search has begun.
SETTLED_IN = 2 * INTERVAL


class Store:
    """
    Image sets with one version each, some of which get a second one.

    :param loop: its clock is the clock of AWS here; dates are those of today.
    """

    def __init__(self, loop: FastLoop) -> None:
        self.loop = loop
        self.second: dict[str, dict[str, Any]] = {}
        self.changed: dict[str, float] = {}
        self.shows_changes = True

    def change(self, image_set: str, status: str = "UPDATED", state: str = "ACTIVE") -> None:
        """Give an image set a second version, or another status of it."""
        at = datetime.now(UTC) - timedelta(seconds=90)
        self.second[image_set] = image_set_entry(2, status, state, updatedAt=at)
        self.changed[image_set] = self.loop.now

    def answer(self, asked: Asked) -> Answer:
        """List the versions of an image set."""
        second = self.second.get(asked_about(asked))
        return listing(*([second] if second else []), image_set_entry(1))

    def search(self, asked: Asked) -> Answer:
        """Show what has changed within the last two minutes, the last first."""
        lately = [one for one, at in self.changed.items() if at >= self.loop.now - 120]
        return found(*reversed(lately if self.shows_changes else []))


def gate(image_set: Any, **more: Any) -> Any:
    """A gate on the second version of an image set."""
    return trigger(image_set, **{"version": 2, "poke_interval": INTERVAL, **more})


@contextmanager
def waiting(store: Store, timeline: Timeline, ids: list[str], **more: Any) -> Iterator[Waits]:
    """Gates that wait, and are cancelled when the block ends."""
    waits = Waits(store, timeline, {one: asyncio.ensure_future(event_of(gate(one, **more))) for one in ids})
    try:
        yield waits
    finally:
        for task in waits.tasks.values():
            task.cancel()


class Waits:
    """Gates that wait."""

    def __init__(self, store: Store, timeline: Timeline, tasks: dict[str, asyncio.Task[Any]]) -> None:
        self.tasks = tasks
        self._store = store
        self._timeline = timeline

    async def delay(self, image_set: str, most: float = 5000.0) -> float:
        """Change an image set, and return the seconds until its gate opens."""
        begun = self._store.loop.now
        self._store.change(image_set)
        event = await asyncio.wait_for(self.tasks[image_set], most)
        assert event["status"] == "open"
        assert [event["entry"]["versionId"]] == ["2"]
        return self._store.loop.now - begun

    async def polls_in(self, seconds: float) -> int:
        """Return how many polls are sent in so many seconds."""
        before = len(self._timeline.polls)
        await asyncio.sleep(seconds)
        return len(self._timeline.polls) - before

    async def searches_in(self, seconds: float) -> int:
        """Return how many requests of searches are sent in so many seconds."""
        before = len(self._timeline.searches)
        await asyncio.sleep(seconds)
        return len(self._timeline.searches) - before


@contextmanager
def many_waits(
    monkeypatch: pytest.MonkeyPatch, loop: FastLoop, count: int = MANY, search: Any = None, **more: Any
) -> Iterator[tuple[Store, Timeline, Waits]]:
    """Gates on many image sets of one data store, whose searches show what changes unless one is given."""
    store = Store(loop)
    with (
        aws(monkeypatch, store.answer, lambda: loop.now, search=search or store.search) as timeline,
        waiting(store, timeline, image_sets(count), **more) as waits,
    ):
        yield store, timeline, waits


def scope_of(asked: Asked) -> str:
    """The data store of a request."""
    return asked.path.split("/")[2]
