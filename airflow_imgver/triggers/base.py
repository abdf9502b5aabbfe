"""The waiting half of a gate: what both services' triggers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, ClassVar, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_imgver.exceptions import AwsCallError, TriggerFailedError
from airflow_imgver.gate import GATE_ERRORS, Gate
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.shared import SharedClient, lease
from airflow_imgver.triggers.schedule import Schedule

SECONDS_BETWEEN_LOG_LINES = 60.0


class ImageVersionTrigger(BaseTrigger):
    """
    Looks at a version until the rule of the gate says open, or never.

    The keyword arguments are stored in Airflow's database: they hold all that is needed to go on elsewhere,
    and a later release still reads those of an earlier one. One event is sent:
    ``{"status": "open", "entry": {...}}``, ``{"status": "error", "error": <class>, "message": ...}`` or
    ``{"status": "timeout", "message": ...}``.

    :param version: the version to watch; None for the latest.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param not_found_retries: how many polls in a row AWS may answer that there is no such thing.
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

    hook_class: ClassVar[type[ImageVersionHook]]
    identity_fields: ClassVar[tuple[str, ...]]
    waiting_fields: ClassVar[tuple[str, ...]] = (
        "version",
        "wait_until",
        "not_found_retries",
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

    def gate(self, **rule: Any) -> Gate:
        """Return the gate that these arguments describe."""
        return Gate(
            self.hook_class,
            {field: getattr(self, field) for field in self.identity_fields},
            version=self.version,
            wait_until=self.wait_until,
            not_found_retries=self.not_found_retries,
            **rule,
        )

    def hook(self) -> ImageVersionHook:
        """Return a hook with this trigger's connection settings."""
        return self.hook_class(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event."""
        async with _Wait(self) as wait:
            yield TriggerEvent(await wait.event())


class _Wait:
    """One run of a trigger; nothing in it is needed to go on after a restart."""

    def __init__(self, trigger: ImageVersionTrigger) -> None:
        self._trigger = trigger
        self._log = trigger.log
        self._schedule = Schedule(
            trigger.poke_interval,
            exponential_backoff=trigger.exponential_backoff,
            max_wait=trigger.max_wait,
        )
        self._leases = AsyncExitStack()
        self._client: SharedClient | None = None
        self._stale: SharedClient | None = None
        self._renewed = False
        self._told = ""
        self._told_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leases.aclose()

    async def event(self) -> dict[str, Any]:
        try:
            return await self._outcome(self._trigger.gate())
        except GATE_ERRORS as error:
            return _error_event(error)
        except Exception as error:  # noqa: BLE001
            # Left to Airflow it would be an AirflowException in the task, and soft_fail would make it a skip.
            self._log.exception("The trigger failed")
            return _error_event(TriggerFailedError(f"{type(error).__name__}: {error}"))

    async def _outcome(self, gate: Gate) -> dict[str, Any]:
        pause = self._schedule.first()
        while await self._sleep(pause):
            try:
                if await self._look(gate):
                    return {"status": "open", "entry": gate.entry}
                pause = self._schedule.after_look()
            except AwsCallError as error:
                pause = await self._pause_after(error)
        return {"status": "timeout", "message": f"The gate timed out. Last seen: {gate}"}

    async def _look(self, gate: Gate) -> bool:
        if self._client is None:
            shared = lease(self._trigger.hook(), stale=self._stale)
            self._client = await self._leases.enter_async_context(shared)
        try:
            opened = await self._client.call(gate.look, self._client.hook)
        except GATE_ERRORS as error:
            if not self._trigger.silent_fail or self._may_pass(error):
                raise
            self._log.error("%s Waiting on, because silent_fail is set.", error)
            opened = False
        self._stale, self._renewed = None, False
        if not opened:
            self._tell(gate)
        return opened

    def _may_pass(self, error: Exception) -> bool:
        """Tell whether waiting, or signing in again, may mend an error."""
        return isinstance(error, AwsCallError) and (error.transient or (error.expired and not self._renewed))

    async def _pause_after(self, error: AwsCallError) -> float:
        """Say how long to wait out an error that may pass; raise one that will not."""
        if error.expired and not self._renewed:
            self._log.info("%s Resolving the connection again.", error)
            await self._leases.aclose()
            self._client, self._stale, self._renewed = None, self._client, True
            return 0.0
        if not error.transient:
            raise error
        pause = self._schedule.after_error()
        self._log.warning(
            "%s This may pass (%d in a row); looking again in %.0f s.", error, self._schedule.errors, pause
        )
        return pause

    def _tell(self, gate: Gate) -> None:
        """Log what is waited for when it changes, and else once a minute."""
        seen, now = str(gate), time.monotonic()
        if seen != self._told or now - self._told_at >= SECONDS_BETWEEN_LOG_LINES:
            self._told, self._told_at = seen, now
            self._log.info("Waiting until %s: %s", self._trigger.wait_until, seen)

    async def _sleep(self, pause: float) -> bool:
        """Sleep, but not beyond the deadline; False when that has come."""
        left = float("inf")
        if self._trigger.deadline is not None:
            left = datetime.fromisoformat(self._trigger.deadline).timestamp() - time.time()
        await asyncio.sleep(max(0.0, min(pause, left)))
        return pause < left


def _error_event(error: Exception) -> dict[str, Any]:
    return {"status": "error", "error": type(error).__name__, "message": str(error)}
