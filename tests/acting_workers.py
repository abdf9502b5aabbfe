"""Workers of acting tasks, each a process of its own, with budgets of its own as in a Celery worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_imgver.operators.healthimaging import HealthImagingCopyImageSetOperator


class Kept(dict[str, Any]):
    """The task's state store, which the driver of the test keeps between the legs."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self[key] = dict(value)


@dataclass
class Instance:
    """A mapped task instance."""

    map_index: int
    dag_id: str = "copies"
    run_id: str = "run"
    task_id: str = "copy"
    try_number: int = 1
    max_tries: int = 0

    def xcom_push(self, key: str, value: Any) -> None:
        """Leave out the links."""


@dataclass
class Leg:
    """What a worker leaves when a task ends or defers."""

    kept: dict[str, Any]
    value: Any = None
    trigger: tuple[str, dict[str, Any]] | None = None
    method: str = ""


def copy(map_index: int, given: dict[str, Any], kept: dict[str, Any], resume: tuple[str, Any] | None) -> Leg:
    """Run a leg of a mapped copy: from its start, or from the event of its trigger."""
    store = Kept(kept)
    operator = HealthImagingCopyImageSetOperator(task_id="copy", deferrable=True, **given)
    context: Any = {"ti": Instance(map_index), "task_reschedule_count": 0, "task_state_store": store}
    try:
        if resume is None:
            return Leg(dict(store), value=operator.execute(context))
        method, event = resume
        return Leg(dict(store), value=operator.resume_execution(method, {"event": event}, context))
    except TaskDeferred as deferral:
        return Leg(dict(store), trigger=deferral.trigger.serialize(), method=deferral.method_name)
