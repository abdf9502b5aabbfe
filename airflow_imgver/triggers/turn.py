"""Waiting in the triggerer for the turn of a call that AWS limits, before a worker sends it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_imgver.gate.events import timeout_event


class TurnTrigger(BaseTrigger):
    """
    Sends ``{"status": "turn"}`` when a call may be tried again.

    The keyword arguments are stored in Airflow's database; a later release still reads those of an earlier
    one. An operator resumes with the event, and decides by itself whether to send the call.

    :param service: boto3's name of the service.
    :param operation: the API operation.
    :param pause: seconds to wait.
    :param deadline: when to give up, ISO 8601.
    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    """

    def __init__(
        self,
        *,
        service: str,
        operation: str,
        pause: float,
        deadline: str,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.service = service
        self.operation = operation
        self.pause = pause
        self.deadline = deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    _STORED = (
        "service",
        "operation",
        "pause",
        "deadline",
        "aws_conn_id",
        "region_name",
        "verify",
        "botocore_config",
    )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that make this trigger again."""
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}", {name: getattr(self, name) for name in self._STORED}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event."""
        left = (datetime.fromisoformat(self.deadline) - datetime.now(UTC)).total_seconds()
        # Tasks that AWS has throttled together must not come back together.
        pause = self.pause * random.uniform(0.5, 1.5)  # jitter
        await asyncio.sleep(max(0.0, min(pause, left)))
        yield TriggerEvent(
            {"status": "turn"}
            if pause < left
            else timeout_event(f"The action could not be started in time: {self.operation}.")
        )
