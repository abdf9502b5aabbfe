"""
The waiting half of a gate, as Airflow stores and runs it: what both services' triggers share.

Airflow imports a trigger's module on the triggerer's event loop, where AWS's libraries would hold up all
other triggers for most of a second. So these modules import them when a gate begins to wait, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_imgver.triggers.shared import Shared

if TYPE_CHECKING:
    from airflow_imgver.gate import Gate
    from airflow_imgver.hooks.base import ImageVersionHook

_imported: set[str] = set()
_imports: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Shared[None]]] = WeakKeyDictionary()


class ImageVersionTrigger(BaseTrigger):
    """
    Looks at a version until the rule of the gate says open, or never.

    The keyword arguments are stored in Airflow's database: they hold all that is needed to go on elsewhere,
    and a later release still reads those of an earlier one. One event is sent:
    ``{"status": "open", "entry": {...}}``, where ``entry`` is a list for a list of ids,
    ``{"status": "error", "error": <class>, "message": ...}`` or ``{"status": "timeout", "message": ...}``.

    :param version: the version to watch; None for the latest.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param not_found_retries: how many polls in a row AWS may answer that there is no such thing.
    :param fail_fast: with a list of ids, fail at the first that fails.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: double the pause with each look, as poke mode does.
    :param max_wait: the longest pause in seconds under ``exponential_backoff``.
    :param silent_fail: log what would fail the gate, and go on waiting, as poke mode does.
    :param deadline: when to give up, ISO 8601; None leaves it to Airflow alone.
    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    """

    hook_path: ClassVar[str]
    identity_fields: ClassVar[tuple[str, ...]]
    waiting_fields: ClassVar[tuple[str, ...]] = (
        "version",
        "wait_until",
        "not_found_retries",
        "fail_fast",
        "poke_interval",
        "exponential_backoff",
        "max_wait",
        "silent_fail",
        "deadline",
        "aws_conn_id",
        "region_name",
        "verify",
        "botocore_config",
    )

    def __init__(
        self,
        *,
        version: Any = None,
        wait_until: str = "ready",
        not_found_retries: int = 2,
        fail_fast: bool = False,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        silent_fail: bool = False,
        deadline: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.version = version
        self.wait_until = wait_until
        self.not_found_retries = not_found_retries
        self.fail_fast = fail_fast
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.silent_fail = silent_fail
        self.deadline = deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that make this trigger again."""
        cls = type(self)
        fields = (*self.identity_fields, *self.waiting_fields)
        return f"{cls.__module__}.{cls.__qualname__}", {field: getattr(self, field) for field in fields}

    @classmethod
    def hook_class(cls) -> type[ImageVersionHook]:
        """Return the service's hook."""
        module, _, name = cls.hook_path.rpartition(".")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]  # by its path

    def identity(self) -> dict[str, Any]:
        """Return the fields that say what is watched."""
        return {field: getattr(self, field) for field in self.identity_fields}

    def gate(self, **rule: Any) -> Gate:
        """Return the gate that these arguments describe."""
        from airflow_imgver.gate import Gate

        return Gate(
            self.hook_class(),
            self.identity(),
            version=self.version,
            wait_until=self.wait_until,
            not_found_retries=self.not_found_retries,
            fail_fast=self.fail_fast,
            silent_fail=self.silent_fail,
            **rule,
        )

    def hook(self) -> ImageVersionHook:
        """Return a hook with this trigger's connection settings."""
        return self.hook_class()(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event."""
        if self.hook_path not in _imported:
            await _importing(self).get()
        from airflow_imgver.triggers.wait import Wait

        yield TriggerEvent(await Wait(self).event())


def _importing(trigger: ImageVersionTrigger) -> Shared[None]:
    """Import what a wait needs, once for all that begin on this loop meanwhile."""
    here = _imports.setdefault(asyncio.get_running_loop(), {})
    path = trigger.hook_path
    if path not in here:
        importing = here[path] = Shared(asyncio.ensure_future(asyncio.to_thread(_import_what_waits, trigger)))
        # A future keeps its loop alive; and an import that failed may be tried again.
        importing.future.add_done_callback(lambda _: here.pop(path))
    return here[path]


def _import_what_waits(trigger: ImageVersionTrigger) -> None:
    import_module("airflow_imgver.triggers.wait")
    trigger.hook_class()
    _imported.add(trigger.hook_path)
