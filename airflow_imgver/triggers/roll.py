"""
Who watches a queue, in all triggerers.

SQS gives a message to one receiver. Airflow knows nothing of that, and may run two watchers of one queue in
two triggerers. A trigger cannot see another triggerer; but both can read and write a Variable, in which each
enters its watchers again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow_imgver.text import one_line
from airflow_imgver.triggers.places import Place, Variables, digest, within

SECONDS_BETWEEN_CALLS = 15.0
PRESENT = timedelta(seconds=90)
"""
How long a watcher is waited for that has not entered itself again.

Airflow starts a watcher in another triggerer about 40 seconds after a triggerer was killed.
"""

RUNNING = timedelta(seconds=45)
"""How long a watcher has its turns that has not entered itself again."""

LONGEST_CALL = 10.0


class Roll:
    """
    The roll of a queue's watchers.

    :param queue_url: the queue.
    :param log: the log.
    :param place: where the roll is kept.

    ``own`` is what stands for this process.
    """

    def __init__(self, queue_url: str, log: Any, place: Place | None = None) -> None:
        self._queue_url = queue_url
        self._log = log
        self._place = place or Variables()
        self.own = uuid4().hex[:12]
        # All that were ever seen: another process may write back what has gone.
        self._seen: dict[str, _Other] = {}
        self._others: dict[str, _Other] = {}
        self._said = False

    @property
    def name(self) -> str:
        """The name of the Variable."""
        return f"imgver.queue.{digest(self._queue_url)}"

    @property
    def elsewhere(self) -> frozenset[str]:
        """
        The names of the watchers that are in other triggerers.

        Those too that were there before this process, and have not been seen since: they may come back.
        """
        return frozenset(self._others)

    @property
    def services(self) -> frozenset[str]:
        """The client types of the services that watchers in other triggerers want."""
        return frozenset(other.entry.get("service", "") for other in self._others.values())

    @property
    def readers(self) -> list[str]:
        """Which processes read the queue now, this one among them, in an order that all know."""
        now = datetime.now(UTC)
        running = {other.entry["by"] for other in self._others.values() if other.is_running(now)}
        return sorted({self.own, *running})

    async def keep(self, present: Callable[[], Mapping[str, str]]) -> None:
        """Call the roll again and again, beside all that its watchers do; who falls silent counts as gone."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_CALLS)
            await self.try_to_call(present())

    async def try_to_call(self, present: Mapping[str, str]) -> None:
        """Call the roll; where that fails, what it said last holds."""
        try:
            await within(LONGEST_CALL, self.call(present))
        except Exception as error:  # noqa: BLE001  # nothing may end a watcher
            self._log.warning(
                "The roll of the queue's watchers cannot be called, and is called later: %r", error
            )

    async def call(self, present: Mapping[str, str]) -> None:
        """
        Enter the watchers of this process, and find out who else watches.

        :param present: the names of the watchers in this process, and their services' client types.
        """
        now = datetime.now(UTC)
        entries = {
            name: entry
            for name, entry in _entries(await self._place.get(self.name)).items()
            if name not in present and entry["by"] != self.own
        }
        others = {name: self._other(name, entry, now) for name, entry in entries.items()}
        self._seen |= others
        self._others = {name: other for name, other in others.items() if now - other.changed < PRESENT}
        mine = {
            name: {"by": self.own, "at": now.isoformat(), "service": service}
            for name, service in present.items()
        }
        await self._place.set(self.name, {**{name: entries[name] for name in self._others}, **mine})
        self._log_others(present, now)

    def _other(self, name: str, entry: Mapping[str, str], now: datetime) -> _Other:
        earlier = self._seen.get(name)
        if earlier is not None and earlier.entry["at"] == entry["at"]:
            return earlier
        return _Other(entry, now, has_changed=earlier is not None)

    def _log_others(self, present: Iterable[str], now: datetime) -> None:
        running = [name for name, other in self._others.items() if other.is_running(now)]
        if running and not self._said:
            self._log.warning(
                "Another triggerer reads the queue %s too, for other watchers. SQS gives each message to "
                "one of them, so they take turns: each watcher gets all messages, some seconds later. Here: "
                "%s. There: %s.",
                one_line(str(self._queue_url)),
                ", ".join(sorted(present)),
                ", ".join(sorted(map(one_line, running))),
            )
        self._said = bool(running)


@dataclass(frozen=True, slots=True)
class _Other:
    """
    A watcher in another triggerer.

    :param entry: what it has entered last.
    :param changed: when this process first saw that, by its own clock: after a long stop all entries are old.
    :param has_changed: whether it was another entry before, which only a watcher that runs can do.
    """

    entry: Mapping[str, str]
    changed: datetime
    has_changed: bool

    def is_running(self, now: datetime) -> bool:
        return self.has_changed and now - self.changed < RUNNING


def _entries(stored: Any) -> dict[str, Mapping[str, str]]:
    if not isinstance(stored, Mapping):
        return {}
    return {
        str(name): entry
        for name, entry in stored.items()
        if isinstance(entry, Mapping) and {"by", "at"} <= entry.keys()
    }
