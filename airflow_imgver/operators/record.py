"""
What a task has asked of AWS, and what AWS has started: kept from one try of the task to the next.

Airflow 3.3 and newer keep it in the task's state store. XComs do not survive a retry, so on earlier releases
the record lives as long as the try.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

KEY = "imgver_action"


class ActionRecord:
    """
    The record of one task instance.

    A retry goes on with the record. So does a task that is cleared before it has succeeded, unless it asks
    for something else now. A task that is cleared after it has succeeded begins a new one: it is meant to
    act again. Clearing raises Airflow's ``max_tries``, which tells it from a retry.

    The request itself is not kept, only its digest: it may hold patient data.

    :param context: the task's context.
    :param request: what the task asks for, once its templates are rendered; plain JSON.
    """

    def __init__(self, context: Context, request: Mapping[str, Any]) -> None:
        ti: Any = context["ti"]
        self._store: Any = context.get("task_state_store")
        self._try: int = getattr(ti, "try_number", None) or 1
        self._clears: int = getattr(ti, "max_tries", None) or 0
        self._task = [getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")]
        digest = sha256(json.dumps([*self._task, request], sort_keys=True, default=str).encode()).hexdigest()
        found = None if self._store is None else self._store.get(KEY)
        if self._goes_on(found, digest):
            self._kept: dict[str, Any] = {**found, "clears": self._clears}  # type: ignore[dict-item]  # a mapping
        else:
            self._kept = {
                "request": digest,
                "seed": self._clears,
                "clears": self._clears,
                "try": self._try,
                "failed": 0,
            }

    def _goes_on(self, found: Any, digest: str) -> bool:
        if not isinstance(found, Mapping) or not {"request", "seed", "clears", "try", "failed"} <= set(found):
            return False
        is_a_retry = found["clears"] == self._clears
        return is_a_retry or (found["request"] == digest and not found.get("done"))

    @property
    def is_stored(self) -> bool:
        """Whether the record survives this process."""
        return self._store is not None

    @property
    def token(self) -> str:
        """A client token: the same in each try, and another one after a try whose action failed at AWS."""
        parts = [self._kept[name] for name in ("request", "seed", "failed")]
        return sha256(json.dumps([*self._task, *parts]).encode()).hexdigest()[:32]

    @property
    def asked(self) -> dict[str, Any] | None:
        """The versions that the call named, where a call was sent and its answer may be lost."""
        found = self._kept.get("asked")
        return dict(found) if isinstance(found, Mapping) else None

    @property
    def asked_at(self) -> datetime:
        """When the first such call was sent, by this machine's clock."""
        return datetime.fromisoformat(self._kept["asked_at"])

    @property
    def started(self) -> dict[str, Any] | None:
        """What AWS has started, as :meth:`start` was given it."""
        found = self._kept.get("started")
        return dict(found) if isinstance(found, Mapping) else None

    @property
    def repeats(self) -> int:
        """How many earlier tries may have started what AWS shows, whose failure this try is to repeat."""
        if self._store is None:
            return self._try - 1
        return 0 if self._kept["try"] == self._try else 1

    @property
    def is_after_a_try(self) -> bool:
        """Whether this task instance has been tried before."""
        return self._try > 1

    def ask(self, versions: Mapping[str, Any]) -> None:
        """Keep, before a call is sent, the versions that it names."""
        if self.asked is None:
            self._kept |= {"asked": dict(versions), "asked_at": datetime.now(UTC).isoformat()}
            self._keep()

    def withdraw(self) -> None:
        """Keep that AWS has refused the call."""
        if self._kept.pop("asked", None) is not None:
            self._keep()

    def start(self, started: Mapping[str, Any]) -> None:
        """Keep what AWS has started."""
        self._kept |= {"started": dict(started), "try": self._try}
        self._keep()

    def fail(self) -> None:
        """Keep that the action of an earlier try failed at AWS, so that this one begins anew."""
        self._kept = {name: self._kept[name] for name in ("request", "seed", "clears", "try", "failed")}
        self._kept["failed"] += 1
        self._keep()

    def finish(self) -> None:
        """Keep that the task is about to succeed."""
        self._kept["done"] = True
        self._keep()

    def _keep(self) -> None:
        if self._store is not None:
            self._store.set(KEY, self._kept)
