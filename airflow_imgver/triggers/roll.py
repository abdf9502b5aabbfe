"""
Who reads a queue, in all triggerers: two that read one notice each other.

SQS gives a message to one receiver. Airflow knows nothing of that, and may run two watchers of one queue in
two triggerers, where each gets only some of the messages. A trigger cannot see another triggerer; but both
can read and write a Variable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from airflow_imgver.text import one_line
from airflow_imgver.triggers.places import Place, Variables, within

_SECONDS_BETWEEN_CALLS = 60.0
_LONGEST_CALL = 10.0
_PRESENT = timedelta(seconds=150)


class Roll:
    """
    The roll of a queue's watchers.

    :param queue_url: the queue.
    :param log: the log.
    :param place: where the roll is kept.
    """

    def __init__(self, queue_url: str, log: Any, place: Place | None = None) -> None:
        self._queue_url = queue_url
        self._log = log
        self._place = place or Variables()
        self._own = uuid4().hex[:12]
        self._seen: dict[str, str] = {}
        self._said = False
        self._called_at = float("-inf")

    @property
    def name(self) -> str:
        """The name of the Variable."""
        return f"imgver.queue.{blake2b(self._queue_url.encode(), digest_size=6).hexdigest()}"

    async def call_if_due(self, present: Collection[str]) -> None:
        """Call the roll once a minute; where that fails, the watchers go on without."""
        now = asyncio.get_running_loop().time()
        if now - self._called_at < _SECONDS_BETWEEN_CALLS:
            return
        self._called_at = now
        try:
            await within(_LONGEST_CALL, self.call(present))
        except Exception as error:  # noqa: BLE001  # nothing may end a watcher
            self._log.debug("The roll of the queue's watchers cannot be called: %r", error)

    async def call(self, present: Collection[str]) -> None:
        """
        Enter the watchers of this process, and log an error where other processes have entered others.

        :param present: the names of the watchers in this process.
        """
        now = datetime.now(UTC)
        others = {
            name: entry
            for name, entry in _entries(await self._place.get(self.name)).items()
            if name not in present and entry.get("by") != self._own and _is_present(entry, now)
        }
        mine = {name: {"by": self._own, "at": now.isoformat()} for name in present}
        await self._place.set(self.name, {**others, **mine})
        # One that has not entered itself again since is gone: an earlier triggerer's, or another Dag's.
        running = [name for name, entry in others.items() if self._seen.get(name, entry["at"]) != entry["at"]]
        self._seen = {name: self._seen.get(name, entry["at"]) for name, entry in others.items()}
        if running and not self._said:
            self._log.error(
                "Another triggerer reads the queue %s too, for other watchers, and each gets only some of "
                "the messages. Give each watcher a queue of its own, or schedule their Dags on one asset. "
                "Here: %s. There: %s.",
                one_line(str(self._queue_url)),
                ", ".join(sorted(present)),
                ", ".join(sorted(map(one_line, running))),
            )
        self._said = bool(running)


def _entries(stored: Any) -> dict[str, Mapping[str, str]]:
    if not isinstance(stored, Mapping):
        return {}
    return {str(name): entry for name, entry in stored.items() if isinstance(entry, Mapping)}


def _is_present(entry: Mapping[str, Any], now: datetime) -> bool:
    try:
        return abs(now - datetime.fromisoformat(entry["at"])) < _PRESENT
    except (KeyError, TypeError, ValueError):
        return False
