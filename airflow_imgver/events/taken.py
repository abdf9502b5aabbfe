"""
For the author of a Dag that starts on events: all that no run of the Dag has taken yet.

Airflow 3.1 to 3.3 attaches events to Dag runs by time. A run gets those up to the first one that waited for
it; later ones wait for the event after them, however long that takes (apache/airflow #54659, changed by
#70972). A task can read all events of its inlets, so it finds those too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from airflow_imgver.events.once import events_once

REMEMBERED = 2_000
"""Keys that are remembered for a task; as JSON they take 56 KB, and Airflow's limit is 64."""

# Triggerers' clocks differ, and an event is stored a moment after the time that it has.
_MARGIN = timedelta(minutes=5)
_LONGEST_NAME = 200


def new_events(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the events that no other run of the Dag has taken, the oldest first, and note that this one has.

    Use it in a task whose ``inlets`` are the assets of the Dag's schedule::

        @task(inlets=[READY], retries=2)
        def changes():
            return new_events(get_current_context())

    These are the events of the Dag run, and those that Airflow has stored and attached to no run, each
    ``key`` once. A retry of the task, and a run that is cleared, get the same again. A run whose events an
    earlier one has taken gets none.

    The keys are kept in the state store of the first asset or, before Airflow 3.3, in a Variable; the newest
    2,000 of each task. With more than that in five minutes, or where two runs take events in the same second,
    a run may get an event that another one has. Set ``max_active_runs=1`` to prevent the latter.

    :param context: the context of the task.
    :raises ValueError: the task has no asset in its ``inlets``.
    """
    assets = sorted((each for each in context["inlet_events"] if hasattr(each, "uri")), key=_name)
    if not assets:
        raise ValueError(
            "The task has no asset in inlets. Give it those of the Dag's schedule: inlets=[...]."
        )
    attached = [
        event for events in (context.get("triggering_asset_events") or {}).values() for event in events
    ]
    run = context["dag_run"]
    since = min((event.timestamp for event in attached), default=run.run_after) - _MARGIN
    stored = (event for asset in assets for event in _since(context["inlet_events"][asset], since))
    store = _store(context, assets[0])
    taken = store.read()
    mine = _digest(run.run_id, 8)
    events = [
        event
        for event in events_once([*attached, *stored])
        if taken.get(_digest(event["key"], 16), mine) == mine
    ]
    store.write(_with(taken, (_digest(event["key"], 16) for event in events), mine))
    return events


def _name(asset: Any) -> str:
    return str(asset.name)


def _since(events: Any, time: datetime) -> Iterable[Any]:
    """Return the events of an asset since a time; Airflow 3.1 has no way to ask for less than all."""
    if hasattr(events, "after"):
        events = events.after(time.isoformat())
    return (event for event in events if event.timestamp >= time)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _with(taken: Mapping[str, str], keys: Iterable[str], run: str) -> dict[str, str]:
    """Add keys at the end, and leave out the oldest."""
    added = dict.fromkeys(keys, run)
    kept = {key: by for key, by in taken.items() if key not in added} | added
    return dict(list(kept.items())[-REMEMBERED:])


class _Store(Protocol):
    """Where the keys are kept: the digest of each, and of the run that took it."""

    def read(self) -> dict[str, str]:
        """Return them, the oldest first; none where there is nothing that can be read."""

    def write(self, taken: Mapping[str, str]) -> None:
        """Replace them."""


def _store(context: Mapping[str, Any], asset: Any) -> _Store:
    task = context["ti"]
    whose = f"{task.dag_id}.{task.task_id}"
    # A Variable's key has up to 250 characters, and each of the two ids may have as many.
    name = f"imgver_taken.{whose if len(whose) <= _LONGEST_NAME else _digest(whose, 32)}"
    accessors = context.get("asset_state_store")
    return _Variable(name) if accessors is None else _AssetState(accessors[asset], name)


class _AssetState:
    """An entry in the state store of an asset."""

    def __init__(self, accessor: Any, name: str) -> None:
        self._accessor, self._name = accessor, name

    def read(self) -> dict[str, str]:
        return _read(self._accessor.get(self._name))

    def write(self, taken: Mapping[str, str]) -> None:
        self._accessor.set(self._name, _pairs(taken))


class _Variable:
    """A Variable of Airflow's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self) -> dict[str, str]:
        from airflow.sdk import Variable

        return _read(json.loads(Variable.get(self._name, default="[]")))

    def write(self, taken: Mapping[str, str]) -> None:
        from airflow.sdk import Variable

        Variable.set(self._name, json.dumps(_pairs(taken)), description="The newest events that it has taken")


def _pairs(taken: Mapping[str, str]) -> list[str]:
    # A list, because a database may sort the members of an object.
    return [f"{key}{run}" for key, run in taken.items()]


def _read(stored: Any) -> dict[str, str]:
    entries = stored if isinstance(stored, list) else []
    return {entry[:16]: entry[16:] for entry in entries if isinstance(entry, str)}
