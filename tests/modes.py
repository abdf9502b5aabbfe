"""A gate run to its end in a mode, as Airflow runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from airflow.exceptions import AirflowRescheduleException
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import timezone
from support import TaskInstance, context_of

MODES = ("poke", "reschedule", "deferrable")


@dataclass
class Outcome:
    """How a task ended: what it returned, or what it raised; and what it left in XCom."""

    value: Any = None
    error: Exception | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)


def ended(make: Callable[..., Any], mode: str, *, task_state_store: Any = None, **more: Any) -> Outcome:
    """Run a gate to its end, as Airflow does in a mode; every leg is a new object."""
    kept = {} if task_state_store is None else {"task_state_store": task_state_store}
    given = {
        "task_id": "gate",
        "poke_interval": 0.05,
        "timeout": 20,
        "deferrable": mode == "deferrable",
        "mode": "reschedule" if mode == "reschedule" else "poke",
        "botocore_config": {"retries": {"total_max_attempts": 1}},
        **more,
    }
    ti = TaskInstance()
    outcome = Outcome(xcoms=ti.xcoms)
    try:
        outcome.value = _legs(lambda: make(**given), ti, kept)
    except Exception as error:  # noqa: BLE001  # whatever ends the task is what the test is about
        outcome.error = error
    return outcome


def _legs(make: Callable[[], Any], ti: TaskInstance, kept: dict[str, Any]) -> Any:
    legs = 0
    resume: tuple[str, dict[str, Any]] | None = None
    while True:
        context = context_of(ti, task_reschedule_count=legs, **kept)
        try:
            return make().execute(context) if resume is None else make().resume_execution(*resume, context)
        except AirflowRescheduleException:
            legs += 1
            ti.first_rescheduled = ti.first_rescheduled or timezone.utcnow()
        except TaskDeferred as deferred:
            # Arguments beside the event are left out here, as dag.test() leaves them out.
            resume = deferred.method_name, {"event": _event(*deferred.trigger.serialize())}


def _event(classpath: str, kwargs: dict[str, Any]) -> Any:
    trigger = resolve_name(classpath)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs)))

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(events())
    return payload
