"""A task of an acting operator, run as Airflow runs it: tries, deferrals, a store, and workers that die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_imgver.emulator import calls, inject_fault

HEALTHIMAGING, SAGEMAKER = "medical-imaging", "sagemaker"


class StateStore:
    """Airflow 3.3's store of a task's state, which outlives a try."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = dict(value)


class WorkerKilled(BaseException):
    """The worker is gone; nothing of the operator's runs after it."""


@dataclass
class Instance:
    """A task instance, as the operators see it."""

    dag_id: str = "dag"
    run_id: str = "run"
    task_id: str = "act"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 3
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime:
        return self.start_date


@dataclass
class Task:
    """
    A task with an acting operator.

    :param make: makes the operator; each leg is a new object.
    """

    make: Callable[..., Any]
    mode: str = "poke"
    store: StateStore | None = field(default_factory=StateStore)
    instance: Instance = field(default_factory=Instance)
    given: dict[str, Any] = field(default_factory=dict)
    deferred: list[Any] = field(default_factory=list)

    def operator(self) -> Any:
        given = {
            "task_id": "act",
            "poke_interval": 0.05,
            "timeout": 20,
            "deferrable": self.mode == "deferrable",
            "mode": "reschedule" if self.mode == "reschedule" else "poke",
            **self.given,
        }
        return self.make(**given)

    def run(self) -> Any:
        """Run one try to its end."""
        kept = {} if self.store is None else {"task_state_store": self.store}
        legs, event, method = 0, None, None
        while True:
            context: Any = {"ti": self.instance, "task_reschedule_count": legs, **kept}
            operator = self.operator()
            try:
                if method is None:
                    return operator.execute(context)
                return operator.resume_execution(method, {"event": event}, context)
            except AirflowRescheduleException:
                legs += 1
            except TaskDeferred as deferral:
                self.deferred.append(deferral.trigger)
                event, method = _event(*deferral.trigger.serialize()), deferral.method_name

    def retry(self) -> Any:
        """Run the next try."""
        self.instance.try_number += 1
        return self.run()

    def clear_and_run(self) -> Any:
        """Clear the task, as Airflow does, and run it."""
        self.instance.max_tries = self.instance.try_number + 3
        return self.retry()


def _event(classpath: str, kwargs: dict[str, Any]) -> Any:
    trigger = resolve_name(classpath)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs)))

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(events())
    return payload


def lose_answer(operation: str, service: str = HEALTHIMAGING) -> None:
    """Have AWS carry out the next call of an operation, of which only half an answer arrives."""
    inject_fault(service, operation, kind="truncate")


@contextmanager
def killed_after(hook: type, method: str) -> Iterator[None]:
    """Have the worker die right after AWS has answered a call of the hook."""
    real = getattr(hook, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise WorkerKilled

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hook, method, call)
        yield


def called(operation: str, service: str = HEALTHIMAGING) -> int:
    """How often AWS has got a call."""
    return calls().get(service, {}).get(operation, 0)
