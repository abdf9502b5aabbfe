"""Waiting in the triggerer for the turn of a call that AWS limits, before a worker sends it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_imgver.services import SERVICES
from airflow_imgver.text import duration
from airflow_imgver.triggers.base import import_modules

# A budget that nothing holds is forgotten, and with it when its next turn comes.
_recent: deque[Any] = deque(maxlen=64)


class TurnTrigger(BaseTrigger):
    """
    Sends ``{"status": "turn"}`` when a call may be tried again.

    The keyword arguments are stored in Airflow's database; a later release still reads those of an earlier
    one. An operator resumes with the event, and decides by itself whether to send the call.

    :param service: boto3's name of the service.
    :param operation: the API operation.
    :param pause: about how many seconds to wait; None waits for a turn in the operation's budget, which all
        waits of this triggerer share.
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
        pause: float | None,
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
        in_time = await (self._rest() if self.pause is not None else self._turn())
        late = f"The action could not be started in time: {self.operation} was still to be sent."
        yield TriggerEvent({"status": "turn"} if in_time else {"status": "timeout", "message": late})

    async def _rest(self) -> bool:
        # Tasks that AWS has refused together must not come back together.
        pause = (self.pause or 0) * random.uniform(0.5, 1.5)
        await asyncio.sleep(max(0.0, min(pause, self._left())))
        return self._left() > 0

    async def _turn(self) -> bool:
        service = next(each for each in SERVICES if each.client_type == self.service)
        await import_modules(service)
        from airflow_imgver.hooks.budget import budget_of
        from airflow_imgver.triggers.clients import key_of

        hook = service.hook_class()(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
        quota = next(each for each in service.quotas if each.operation == self.operation)
        budget = budget_of(await key_of(hook), quota)
        if budget not in _recent:
            _recent.append(budget)
        queue, turn = budget.queue(), budget.reserve()
        self.log.info(
            "%d %s requests wait in this triggerer before this one. Its turn is in %s, at %g a second (%s).",
            queue.waiting,
            self.operation,
            duration(queue.seconds),
            budget.rate,
            quota.option,
        )
        while (pause := budget.seconds_until(turn)) > 0 and self._left() > 0:
            await asyncio.sleep(min(pause, self._left()))
        return self._left() > 0

    def _left(self) -> float:
        return (datetime.fromisoformat(self.deadline) - datetime.now(UTC)).total_seconds()
