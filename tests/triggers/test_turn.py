"""Tasks that AWS throttles wait in the triggerer for their turn, all in one queue."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import logged

from airflow_imgver.triggers.turn import TurnTrigger

pytestmark = pytest.mark.usefixtures("aws_connection")


def turn(seconds: float = 60, **more: Any) -> TurnTrigger:
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    given = {"service": "medical-imaging", "operation": "CopyImageSet", "pause": None, "deadline": deadline}
    return TurnTrigger(**{**given, **more})


async def event(trigger: TurnTrigger) -> tuple[float, Any]:
    """When a trigger sent its event, and the event."""
    (payload,) = [each.payload async for each in trigger.run()]
    return time.monotonic(), payload


def test_turns_come_one_after_the_other_at_the_operations_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_COPIES_PER_SECOND", "5")

    async def all_of(count: int) -> list[tuple[float, Any]]:
        return await asyncio.gather(*(event(turn()) for _ in range(count)))

    with logged() as log:
        events = asyncio.run(all_of(6))
    times = sorted(at for at, _ in events)
    assert [payload for _, payload in events] == [{"status": "turn"}] * 6
    assert times[-1] - times[0] >= 0.9, "five pauses of a fifth of a second"
    assert log.about("CopyImageSet requests wait in this triggerer before this one")


def test_a_turn_that_comes_too_late_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_COPIES_PER_SECOND", "0.1")

    async def two() -> tuple[Any, Any]:
        _, first = await event(turn())
        _, second = await event(turn(seconds=1))
        return first, second

    first, second = asyncio.run(two())
    assert first == {"status": "turn"}
    assert second["status"] == "timeout"
    assert "could not be started in time" in second["message"]


def test_a_pause_is_not_in_the_queue_of_an_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_COPIES_PER_SECOND", "0.1")

    async def both() -> list[tuple[float, Any]]:
        return await asyncio.gather(event(turn()), event(turn(pause=0.05)))

    began = time.monotonic()
    ((_, first), (at, second)) = asyncio.run(both())
    assert first == second == {"status": "turn"}
    assert at - began < 9, "a turn would be in ten seconds"
