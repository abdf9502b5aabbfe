"""Two triggerers that read one queue find each other."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streams import Variables

from airflow_imgver.triggers.roll import Roll

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/image-versions"
log = logging.getLogger("airflow_imgver.test")


def age(variables: Variables, name: str, seconds: float) -> None:
    """Have so many seconds gone by since all entries were made."""
    entries = json.loads(variables.values[name])
    for entry in entries.values():
        at = datetime.fromisoformat(entry["at"]) - timedelta(seconds=seconds)
        entry["at"] = at.isoformat()
    variables.values[name] = json.dumps(entries)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def call(*calls: tuple[Roll, set[str]]) -> None:
    """Call rolls one after the other."""

    async def main() -> None:
        for roll, present in calls:
            await roll.call(dict.fromkeys(present, "medical-imaging"))

    asyncio.run(main())


@pytest.fixture
def variables() -> Variables:
    """What both triggerers read and write."""
    return Variables()


@pytest.fixture
def one(variables: Variables) -> Roll:
    """The roll as one process has it."""
    return Roll(QUEUE, log, variables)


@pytest.fixture
def other(variables: Variables) -> Roll:
    """The roll as another process has it."""
    return Roll(QUEUE, log, variables)


def pass_by(roll: Roll, seconds: float) -> None:
    """Have so many seconds gone by for a process."""
    roll._seen = {
        name: replace(seen, changed=seen.changed - timedelta(seconds=seconds))
        for name, seen in roll._seen.items()
    }


def test_watchers_in_two_triggerers_find_each_other_and_log_it_once(
    caplog: pytest.LogCaptureFixture, one: Roll, other: Roll
) -> None:
    call((one, {"a", "b"}), (other, {"c"}), (one, {"a", "b"}))
    assert other.elsewhere == {"a", "b"}
    assert one.elsewhere == {"c"}
    assert messages(caplog) == []
    call((other, {"c"}), (one, {"a", "b"}), (other, {"c"}), (one, {"a", "b"}))
    assert one.readers == other.readers == sorted([one.own, other.own])
    assert one.services == {"medical-imaging"}
    here, there = messages(caplog)
    assert "Here: c. There: a, b." in here
    assert "Here: a, b. There: c." in there
    assert QUEUE in there
    assert "each watcher gets all messages" in there


def test_a_watcher_that_has_not_come_back_yet_is_elsewhere_and_has_no_turns(one: Roll, other: Roll) -> None:
    call((one, {"a"}), (other, {"c"}))
    assert other.elsewhere == {"a"}
    assert other.readers == [other.own]
    call((other, {"a", "c"}))
    assert other.elsewhere == frozenset()


def test_a_triggerer_that_takes_over_needs_no_turns(
    caplog: pytest.LogCaptureFixture, one: Roll, other: Roll
) -> None:
    # A Dag was changed meanwhile, so that one of the watchers has another name.
    call((one, {"a", "b"}), (one, {"a", "b"}), *[(other, {"a", "changed"})] * 5)
    assert other.elsewhere == {"b"}
    assert other.readers == [other.own]
    assert messages(caplog) == []


def test_a_triggerer_that_has_gone_loses_its_turns_and_then_its_place(
    variables: Variables, one: Roll, other: Roll
) -> None:
    call((one, {"a"}), (other, {"c"}), (one, {"a"}), (other, {"c"}))
    assert other.readers == sorted([one.own, other.own])
    pass_by(other, 50)
    call((other, {"c"}))
    assert other.readers == [other.own]
    assert other.elsewhere == {"a"}
    pass_by(other, 50)
    call((other, {"c"}))
    assert other.elsewhere == frozenset()
    assert list(json.loads(variables.values[one.name])) == ["c"]


def test_after_a_long_stop_all_are_waited_for(variables: Variables, one: Roll, other: Roll) -> None:
    call((one, {"a", "b"}))
    age(variables, one.name, 100_000)
    call((other, {"a"}))
    assert other.elsewhere == {"b"}


def test_what_has_gone_is_not_brought_back_by_another_process(
    variables: Variables, one: Roll, other: Roll
) -> None:
    call((Roll(QUEUE, log, variables), {"gone"}), (one, {"a"}))
    written = variables.values[one.name]
    pass_by(one, 100)
    call((one, {"a"}))
    assert one.elsewhere == frozenset()
    variables.values[one.name] = written
    call((one, {"a"}))
    assert one.elsewhere == frozenset()


@pytest.mark.parametrize("stored", ["odd", 7, [], {"c": 7}, {"c": {}}, {"c": {"at": "then"}}])
def test_a_roll_that_cannot_be_read_is_written_anew(variables: Variables, one: Roll, stored: Any) -> None:
    variables.values[one.name] = json.dumps(stored)
    call((one, {"a"}))
    [entry] = json.loads(variables.values[one.name]).values()
    assert datetime.now(UTC) - datetime.fromisoformat(entry["at"]) < timedelta(minutes=1)
