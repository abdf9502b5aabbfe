"""
The image sets that a gate has found, and when a search last found a new one.

In poke mode they are kept in memory, in deferrable mode in the trigger's arguments, and for a rescheduled
gate in the task's state store, which Airflow 3.3 and newer have. They are ids: what was searched for is
kept nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

KEY = "imgver_found"
# The store takes 64 kB a value, and an id 36 bytes.
IDS_A_VALUE = 1_500


class FoundIds:
    """
    Ids in the order of their finding.

    :param ids: the ids.
    :param since: when a search last found a new one, or the first search was, in epoch seconds.
    """

    def __init__(self, ids: Iterable[str] = (), since: float | None = None) -> None:
        self.ids = list(dict.fromkeys(ids))
        self.since = time.time() if since is None else since

    def add(self, ids: Iterable[str]) -> int:
        """Take in the result of another search; returns how many are new."""
        known = set(self.ids)
        new = [each for each in dict.fromkeys(ids) if each not in known]
        if new:
            self.ids = [*self.ids, *new]
            self.since = time.time()
        return len(new)


class FoundStore:
    """
    What one poke of a rescheduled gate knows of the pokes before it.

    :param context: the task's context.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        # The store outlives a try, and each try searches anew.
        self._try = getattr(context.get("ti"), "try_number", None)
        self._rescheduled = bool(context.get("task_reschedule_count", 0))

    @property
    def is_there(self) -> bool:
        """Whether anything is kept from one poke to the next."""
        return self._store is not None

    def read(self) -> FoundIds | None:
        """Return what an earlier poke found; None where this is the first, or nothing is kept."""
        if self._store is None or not self._rescheduled:
            return None
        kept = self._store.get(KEY)
        if not isinstance(kept, Mapping) or kept.get("try") != self._try:
            return None
        parts = [self._store.get(f"{KEY}_{number}") for number in range(kept["parts"])]
        return FoundIds([each for part in parts for each in part or ()], kept["since"])

    def write(self, found: FoundIds) -> None:
        """Keep it for later pokes."""
        if self._store is None:
            return
        starts = range(0, len(found.ids), IDS_A_VALUE)
        for number, start in enumerate(starts):
            self._store.set(f"{KEY}_{number}", found.ids[start : start + IDS_A_VALUE])
        self._store.set(KEY, {"try": self._try, "since": found.since, "parts": len(starts)})
