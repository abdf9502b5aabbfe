"""Two triggerers that read one queue notice each other."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_imgver.triggers.roll import Roll

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/image-versions"
log = logging.getLogger("airflow_imgver.test")


class Variables:
    """What both triggerers read and write."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> Any:
        """As `places.Variables`."""
        return json.loads(self.values[name]) if name in self.values else None

    async def set(self, name: str, value: Any) -> None:
        """As `places.Variables`."""
        self.values[name] = json.dumps(value)

    def age(self, name: str, seconds: float) -> None:
        """Have so many seconds gone by."""
        entries = json.loads(self.values[name])
        for entry in entries.values():
            at = datetime.fromisoformat(entry["at"]) - timedelta(seconds=seconds)
            entry["at"] = at.isoformat()
        self.values[name] = json.dumps(entries)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that were logged."""
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


def call(*calls: tuple[Roll, set[str]]) -> None:
    """Call rolls one after the other."""

    async def main() -> None:
        for roll, present in calls:
            await roll.call(present)

    asyncio.run(main())


def test_watchers_in_two_triggerers_are_an_error_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    variables = Variables()
    one, other = Roll(QUEUE, log, variables), Roll(QUEUE, log, variables)
    call((one, {"a", "b"}), (other, {"c"}), (one, {"a", "b"}))
    assert errors(caplog) == []
    call((other, {"c"}), (one, {"a", "b"}), (other, {"c"}), (one, {"a", "b"}))
    here, there = errors(caplog)
    assert "Here: c. There: a, b." in here
    assert "Here: a, b. There: c." in there
    assert QUEUE in there
    assert "a queue of its own" in there


def test_a_triggerer_that_takes_over_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    variables = Variables()
    one, other = Roll(QUEUE, log, variables), Roll(QUEUE, log, variables)
    # A Dag was changed meanwhile, so that one of the watchers has another name.
    call((one, {"a", "b"}), (one, {"a", "b"}), *[(other, {"a", "changed"})] * 5)
    assert errors(caplog) == []


def test_what_has_gone_leaves_the_roll(caplog: pytest.LogCaptureFixture) -> None:
    variables = Variables()
    one, other = Roll(QUEUE, log, variables), Roll(QUEUE, log, variables)
    call((one, {"a"}))
    variables.age(one.name, 200)
    call((other, {"c"}))
    assert list(json.loads(variables.values[one.name])) == ["c"]


@pytest.mark.parametrize("stored", ["odd", 7, [], {"c": 7}, {"c": {}}, {"c": {"at": "then"}}])
def test_a_roll_that_cannot_be_read_is_written_anew(stored: Any) -> None:
    variables = Variables()
    roll = Roll(QUEUE, log, variables)
    variables.values[roll.name] = json.dumps(stored)
    call((roll, {"a"}))
    [entry] = json.loads(variables.values[roll.name]).values()
    assert datetime.now(UTC) - datetime.fromisoformat(entry["at"]) < timedelta(minutes=1)
