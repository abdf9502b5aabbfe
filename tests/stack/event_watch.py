"""Dags with watchers: switched on and off, what Airflow stored for their assets, and which runs got it."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import psutil
from event_sources import Fact
from production import TRIGGERERS, Production

from demo.processes import Child

# Another triggerer takes over sooner than Airflow's 30 s, so that there is time for more interruptions.
QUICKLY = {
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}
KILLS = ("supervisor", "runner", "both")
RESTART = "SIGTERM"
SWITCH_SECONDS = 60
TAKE_OVER_SECONDS = 90

_quick: dict[str, int] = {}

_EVENTS = """
SELECT event.id, event.timestamp, event.extra FROM asset_event event
JOIN asset ON asset.id = event.asset_id WHERE asset.name = %s AND event.id > %s ORDER BY event.id
"""
_ATTACHED = """
SELECT attached.event_id FROM dagrun_asset_event attached JOIN dag_run run ON run.id = attached.dag_run_id
WHERE run.dag_id = %s
"""
_RUNS = "SELECT run_id, state, queued_at, run_after FROM dag_run WHERE dag_id = %s ORDER BY id"


class Stored(NamedTuple):
    """An asset event that Airflow has stored."""

    id: int
    at: datetime
    payload: dict[str, Any]

    @property
    def fact(self) -> Fact:
        """Which version it is about."""
        return Fact(self.payload["image_set_id"], str(self.payload["version"]), self.payload["status"])


class Watched:
    """
    The asset of a Dag that is called as it, from now on.

    :param stack: the stack.
    :param name: of the Dag, and of its asset.
    """

    def __init__(self, stack: Production, name: str) -> None:
        self.name = name
        self._stack = stack
        found = stack.metadata.rows("SELECT coalesce(max(id), 0) FROM asset_event")
        self._after: int = found[0][0]
        self._runs_before = {run[0] for run in stack.metadata.rows(_RUNS, name)}

    def stored(self) -> list[Stored]:
        """All events, in the order in which Airflow stored them."""
        rows = self._stack.metadata.rows(_EVENTS, self.name, self._after)
        return [Stored(number, at, extra["payload"]) for number, at, extra in rows]

    def count(self) -> int:
        """How many facts were stored."""
        return len({event.payload["key"] for event in self.stored()})

    def attached(self) -> set[int]:
        """The ids of the events that Airflow has attached to a run."""
        return {row[0] for row in self._stack.metadata.rows(_ATTACHED, self.name)}

    def runs(self) -> list[tuple[str, str, datetime, datetime]]:
        """The runs: id, state, when it was made, and the time that it is for."""
        rows = self._stack.metadata.rows(_RUNS, self.name)
        return [row for row in rows if row[0] not in self._runs_before]

    def idle(self) -> bool:
        """Whether all its runs have ended and none is due."""
        due = self._stack.metadata.rows(
            "SELECT count(*) FROM asset_dag_run_queue WHERE target_dag_id = %s", self.name
        )[0][0]
        return due == 0 and all(state in ("success", "failed") for _, state, *_ in self.runs())

    def taken(self) -> Counter[str]:
        """How often a task took each key."""
        return Counter(
            key
            for run_id, state, *_ in self.runs()
            if state == "success"
            for key in self._stack.api.xcom(self.name, run_id, "take")
        )


@contextmanager
def watching(
    stack: Production, *names: str, together: bool = False, apart: bool = False
) -> Iterator[list[Watched]]:
    """
    Let Dags go on while their triggers run on triggerers that are quick; pause them at the end.

    :param together: start the second triggerer when the first one has all the watchers.
    :param apart: let the first triggerer have all of them but one.
    """
    first, second = TRIGGERERS
    if together or apart:
        stack.stop(second)
    for name in (first,) if together or apart else TRIGGERERS:
        _start_quickly(stack, name, **(_capacity(len(names) - 1) if apart else {}))
    before = len(_event_triggers(stack))
    try:
        for name in names:
            stack.api.set_paused(name, paused=False)
        if apart:
            stack.wait_for("all but one", lambda: holders(stack)[first] == len(names) - 1, SWITCH_SECONDS)
            _start_quickly(stack, second)
        stack.wait_for(
            "the watchers",
            lambda: len(_event_triggers(stack)) >= before + len(names) and held(stack),
            SWITCH_SECONDS,
        )
        if together:
            _start_quickly(stack, second)
        yield [Watched(stack, name) for name in names]
    finally:
        for name in names:
            stack.api.set_paused(name, paused=True)
        stack.wait_for("no watchers", lambda: not _event_triggers(stack), SWITCH_SECONDS)
        if apart:
            stop_quick_triggerers(stack)


def _capacity(triggers: int) -> dict[str, str]:
    """Let a triggerer run so many triggers at the most."""
    return {"AIRFLOW__TRIGGERER__CAPACITY": str(triggers)}


def _start_quickly(stack: Production, name: str, **more: str) -> None:
    """Start a triggerer that is quick, in place of one that is not."""
    if name in stack.components:
        if _quick.get(name) == stack.components[name].process.pid and not more:
            return
        stack.stop(name)
    stack.start(name, **QUICKLY, **more)
    _quick[name] = stack.components[name].process.pid


def stop_quick_triggerers(stack: Production) -> None:
    """Stop those that are quick; the next test starts them as usual."""
    for name in TRIGGERERS:
        if name in stack.components and _quick.get(name) == stack.components[name].process.pid:
            stack.stop(name)


def _event_triggers(stack: Production) -> dict[int, int | None]:
    """Trigger to triggerer, of all watchers."""
    table = stack.metadata.table("asset_watcher", "asset_trigger")
    return dict(
        stack.metadata.rows(
            "SELECT DISTINCT trigger.id, trigger.triggerer_id FROM trigger "
            f"JOIN {table} ON {table}.trigger_id = trigger.id"
        )
    )


def held(stack: Production) -> bool:
    """Whether a live triggerer has each watcher."""
    alive = {stack.jobs[name] for name in TRIGGERERS if name in stack.components}
    return all(triggerer in alive for triggerer in _event_triggers(stack).values())


def holders(stack: Production) -> Counter[str]:
    """How many watchers each triggerer has."""
    names = {stack.jobs[name]: name for name in TRIGGERERS}
    return Counter(names.get(job or 0, "nobody") for job in _event_triggers(stack).values())


def interrupt(stack: Production, kind: str) -> str:
    """End the triggerer that has most watchers, start it again, and wait until another one has them."""
    name = next((name for name, _ in holders(stack).most_common() if name in TRIGGERERS), TRIGGERERS[0])
    if kind == RESTART:
        stack.stop(name)
    else:
        crash(stack, name, kind)
    _start_quickly(stack, name)
    stack.wait_for(
        "the watchers in another triggerer",
        lambda: held(stack),
        TAKE_OVER_SECONDS,
        tell=lambda: f"{holders(stack)}",
    )
    return name


def crash(stack: Production, name: str, part: str) -> None:
    """Kill a triggerer's supervisor, the runner of its triggers, or both; the rest ends by itself."""
    child = stack.components.pop(name)
    supervisor = psutil.Process(child.process.pid)
    runners = _runners(child)
    for process in {"supervisor": [supervisor], "runner": runners, "both": [supervisor, *runners]}[part]:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs([supervisor, *runners], timeout=15)
    # What has not ended, as a container that is stopped.
    stack.airflow.kill(child)


def _runners(child: Child) -> list[psutil.Process]:
    return psutil.Process(child.process.pid).children(recursive=True)


def doubled(events: Iterable[Stored]) -> int:
    """How many events were stored again; each has the key of the first one."""
    keys: dict[Fact, set[str]] = {}
    count = Counter(event.fact for event in events)
    for event in events:
        keys.setdefault(event.fact, set()).add(event.payload["key"])
    assert {len(each) for each in keys.values()} <= {1}, "equal facts have equal keys"
    return sum(count.values()) - len(count)


def pause(stack: Production, seconds: float) -> None:
    """Let time pass, while everything is checked."""
    until = time.monotonic() + seconds
    stack.wait_for("the end of a pause", lambda: time.monotonic() > until, seconds + 10)


def sensor_facts(events: Iterable[Stored]) -> Counter[Fact]:
    """What SqsSensorTrigger has handed out: messages in batches, as EventBridge sent them."""
    found: Counter[Fact] = Counter()
    for event in events:
        for message in event.payload["message_batch"]:
            detail = json.loads(message["Body"])["detail"]
            found[
                Fact(detail["imagesetId"], str(detail["imageSetVersion"]), detail["imageSetWorkflowStatus"])
            ] += 1
    return found
