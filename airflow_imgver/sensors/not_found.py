"""
The "not found" answers in a row of a rescheduled sensor, which is a new object at each poke.

Airflow 3.3 and newer keep them in the task's state store. Earlier releases have nothing that survives a
reschedule, because they clear a task's XComs each time: there the worker goes on polling until AWS finds it
again or ``not_found_retries`` are used up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_imgver.gate.gate import Gate

if TYPE_CHECKING:
    from airflow.sdk import Context

KEY = "imgver_not_found"


class NotFoundAnswers:
    """
    What one poke knows of the pokes before it.

    :param context: the task's context.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        # The store outlives a try, and each try has all its retries.
        self._try = getattr(context.get("ti"), "try_number", None)
        self._rescheduled = bool(context.get("task_reschedule_count", 0))
        self._kept: dict[str, int] = {}

    @property
    def are_kept(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    def restore(self, gate: Gate) -> None:
        """Count the answers of earlier pokes against the gate's retries."""
        if self._store is None or not self._rescheduled:
            return
        kept = self._store.get(KEY)
        if isinstance(kept, Mapping) and kept.get("try") == self._try:
            self._kept = dict(kept["answers"])
            gate.restore(self._kept)

    def keep(self, gate: Gate) -> None:
        """Store the answers in a row, where they changed."""
        answers = gate.not_found_answers
        if self._store is None or answers == self._kept:
            return
        self._store.set(KEY, {"try": self._try, "answers": answers})
        self._kept = answers
