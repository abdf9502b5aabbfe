"""
The waiting half of a gate, as Airflow stores and runs it: the base of the services' triggers.

Airflow imports a trigger's module on the triggerer's event loop, where AWS's libraries would block all other
triggers for most of a second. So these modules import them when a gate begins to wait, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.triggers.schedule import Pace
from airflow_imgver.triggers.shared import SharedFuture

if TYPE_CHECKING:
    from airflow_imgver.hooks.base import ImageVersionHook

_PACE = ("poke_interval", "exponential_backoff", "max_wait", "deadline")
_CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")

_imported: set[str] = set()
_imports: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedFuture[None]]] = WeakKeyDictionary()


class GateTrigger(BaseTrigger):
    """
    Polls until the rule of the gate opens it or fails it.

    The keyword arguments are stored in Airflow's database: they hold everything that is needed to go on
    elsewhere, and a later release still reads those of an earlier one. One event is sent:
    ``{"status": "open", "entry": {...}}``, where ``entry`` is a list for a list of ids,
    ``{"status": "error", "error": <class>, "message": ..., "details": {...}}`` or
    ``{"status": "timeout", "message": ...}``.

    :param not_found_retries: how many polls in a row AWS may answer that it does not exist.
    :param fail_fast: with a list of ids, fail at the first that fails.
    :param poke_interval: seconds between two polls.
    :param exponential_backoff: double the pause with each poll, as poke mode does.
    :param max_wait: the longest pause in seconds under ``exponential_backoff``.
    :param silent_fail: log an error that would fail the gate, and go on waiting, as poke mode does.
    :param not_found_answers: the polls in a row that have already found nothing, for each that is missing.
    :param deadline: when to give up, ISO 8601; None leaves it to Airflow alone.
    :param not_before: when the gate opens at the earliest, ISO 8601; the event then also has ``resume``, with
        the ids and the deadline, for a sensor that searches again. Stored only where it is set.
    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    """

    service: ClassVar[Waitable]

    def __init__(
        self,
        *,
        not_found_retries: int = 2,
        fail_fast: bool = False,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        silent_fail: bool = False,
        not_found_answers: dict[str, int] | None = None,
        deadline: str | None = None,
        not_before: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.not_found_retries = not_found_retries
        self.fail_fast = fail_fast
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.silent_fail = silent_fail
        self.not_found_answers = not_found_answers
        self.deadline = deadline
        self.not_before = not_before
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that make this trigger again."""
        cls = type(self)
        rest = {name: getattr(self, name) for name in (*_PACE, *_CONNECTION)}
        # Only where it is set, so that an earlier release reads all other rows.
        later = {} if self.not_before is None else {"not_before": self.not_before}
        return f"{cls.__module__}.{cls.__qualname__}", {**self.watch.stored(), **rest, **later}

    @cached_property
    def watch(self) -> Watch:
        """What the gate watches, and its settings."""
        identity = {name: getattr(self, name) for name in self.service.identity_names}
        settings = GateSettings.of(self.service, self)
        return Watch(self.service, identity, settings, self.not_found_answers or {})

    def hook(self) -> ImageVersionHook:
        """Return a hook with this trigger's connection settings."""
        return self.service.hook_class()(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event."""
        await import_modules(self.service)
        from airflow_imgver.triggers.wait import Wait

        pace = Pace(**{name: getattr(self, name) for name in _PACE}, not_before=self.not_before)
        yield TriggerEvent(await Wait(self.watch, pace, self.hook, self.log).event())


class ImageVersionTrigger(GateTrigger):
    """
    Polls a version until the rule of the gate opens it or fails it.

    Takes the arguments of :class:`GateTrigger` too.

    :param version: the version to watch; None for the latest.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    """

    def __init__(self, *, version: Any = None, wait_until: str = "ready", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version
        self.wait_until = wait_until


async def import_modules(service: Waitable) -> None:
    """Import the modules that a wait needs, off the loop."""
    if service.hook not in _imported:
        await _importing(service).get()


def _importing(service: Waitable) -> SharedFuture[None]:
    """Import the modules that a wait needs, once for all waits that begin on this loop meanwhile."""
    here = _imports.setdefault(asyncio.get_running_loop(), {})
    path = service.hook
    if path not in here:
        importing = here[path] = SharedFuture(asyncio.ensure_future(asyncio.to_thread(_import, service)))
        # A future keeps its loop alive; and a failed import may be tried again.
        importing.future.add_done_callback(lambda _: here.pop(path))
    return here[path]


def _import(service: Waitable) -> None:
    import_module("airflow_imgver.triggers.wait")
    service.hook_class()
    _imported.add(service.hook)
