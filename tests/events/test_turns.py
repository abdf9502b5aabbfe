"""Watchers of one queue in two triggerers: each gets all messages, and each message is deleted once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow has shared streams since 3.3")

from streams import AssetStates, Clinic, Triggerer, Variables
from support import wait_for

from airflow_imgver.triggers import places, roll, turns
from airflow_imgver.triggers.event_base import EventQueueTrigger
from airflow_imgver.triggers.healthimaging import HealthImagingEventQueueTrigger
from airflow_imgver.triggers.roll import Roll
from airflow_imgver.triggers.sagemaker_image import SageMakerImageEventQueueTrigger
from airflow_imgver.triggers.turns import Dealt, Turns

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/image-versions"
log = logging.getLogger("airflow_imgver.test")


# --- the rule ---


def process(values: Variables) -> tuple[Roll, Turns]:
    """What a process knows of the others."""
    its_roll = Roll(QUEUE, log, values)
    return its_roll, Turns(its_roll, values)


def dealt(number: int, *names: str) -> Dealt:
    """A message that watchers have dealt with."""
    return Dealt(f"message-{number}", f"receipt-{number}", frozenset(names))


def test_alone_everything_is_deleted_at_once_and_nothing_is_written() -> None:
    async def main() -> None:
        values = Variables()
        its_roll, its_turns = process(values)
        await its_roll.call({"a": "medical-imaging"})
        assert await its_turns.settle([dealt(1, "a")]) == [dealt(1, "a")]
        assert its_turns.seconds_left() > 1e9
        assert not its_turns.has_dealt_with("message-1", {"a"})
        assert list(values.values) == [its_roll.name]

    asyncio.run(main())


def test_a_message_is_deleted_when_the_last_one_has_dealt_with_it() -> None:
    async def main() -> None:
        values = Variables()
        (one, its), (other, others) = process(values), process(values)
        for _ in range(2):
            await one.call({"a": "medical-imaging", "b": "sagemaker"})
            await other.call({"c": "medical-imaging"})
        await one.call({"a": "medical-imaging", "b": "sagemaker"})
        assert await its.settle([dealt(1, "a", "b"), dealt(2, "a", "b")]) == []
        assert its.has_dealt_with("message-1", {"a", "b"})
        assert await others.settle([dealt(1, "c"), dealt(3, "c")]) == [dealt(1, "c")]
        assert await its.settle([dealt(3, "a", "b")]) == [dealt(3, "a", "b")]
        # A watcher that comes here from elsewhere has not dealt with what those here have.
        assert not its.has_dealt_with("message-1", {"a", "b", "c"})

    asyncio.run(main())


def test_of_two_processes_exactly_one_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        values = Variables()
        (one, its), (other, others) = process(values), process(values)
        for _ in range(3):
            await one.call({"a": "medical-imaging"})
            await other.call({"c": "medical-imaging"})
        for second in range(40):
            monkeypatch.setattr(time, "time", lambda second=second: 1_000.5 + second)
            left = sorted([its.seconds_left(), others.seconds_left()])
            assert left == [0.0, pytest.approx(turns.SECONDS - (second % turns.SECONDS) - 0.5)]

    asyncio.run(main())


def test_where_airflow_does_not_answer_nothing_is_deleted() -> None:
    async def main() -> None:
        values = Variables()
        (one, its), (other, _) = process(values), process(values)
        await other.call({"c": "medical-imaging"})
        await one.call({"a": "medical-imaging"})
        values.gone = True
        with pytest.raises(RuntimeError, match="gone"):
            await its.settle([dealt(1, "a")])
        values.gone = False
        assert await its.settle([dealt(1, "a")]) == []
        assert its._variable("a") in values.values
        values.values[its._variable("c")] = json.dumps({"format": 9, "messages": "odd"})
        assert await its.settle([dealt(1, "a")]) == []

    asyncio.run(main())


# --- two triggerers ---


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> Variables:
    """The Variables of all triggerers, and turns that are short."""
    shared = Variables()
    monkeypatch.setattr(places.Variables, "get", lambda _, name: shared.get(name))
    monkeypatch.setattr(places.Variables, "set", lambda _, name, value: shared.set(name, value))
    monkeypatch.setattr(roll, "SECONDS_BETWEEN_CALLS", 0.3)
    monkeypatch.setattr(turns, "SECONDS", 2.0)
    monkeypatch.setattr(turns, "SECONDS_HIDDEN_WITHOUT_TURNS", 3)
    return shared


class Running:
    """A triggerer with a loop and a thread of its own."""

    def __init__(self, *watchers: EventQueueTrigger, states: AssetStates) -> None:
        self.keys: dict[int, list[str]] = {}
        self._watchers = watchers
        self._states = states
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    async def _run(self) -> None:
        async with Triggerer() as triggerer:
            triggerer.start(*self._watchers, states=self._states)
            while not self._over.is_set():
                for number in range(1, len(self._watchers) + 1):
                    self.keys[number] = triggerer.event_keys(number)
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """End it, as on SIGTERM."""
        self._over.set()
        self._thread.join()


@contextmanager
def running(*watchers: EventQueueTrigger, states: AssetStates) -> Iterator[Running]:
    """Run watchers in a triggerer of their own."""
    triggerer = Running(*watchers, states=states)
    try:
        yield triggerer
    finally:
        triggerer.stop()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; turns take a while."""
    wait_for(condition, 120)


def test_three_watchers_in_two_triggerers_get_all_their_messages(
    clinic: Clinic, values: Variables, caplog: pytest.LogCaptureFixture
) -> None:
    every = HealthImagingEventQueueTrigger(clinic.queue_url)
    failures = HealthImagingEventQueueTrigger(clinic.queue_url, phases=["ready"])
    images = SageMakerImageEventQueueTrigger(clinic.queue_url)
    with (
        running(every, states=AssetStates()) as one,
        running(failures, images, states=AssetStates()) as other,
    ):
        wait_until(lambda: caplog.text.count("they take turns") == 2)
        ids = clinic.image_sets(5)
        clinic.image("kernel", versions=3)
        for each in ids:
            clinic.update(each, 1)
        expected = sorted(
            f"medical-imaging/{clinic.datastore_id}/{each}/{version}"
            for each in ids
            for version in ("1/CREATED", "2/UPDATED")
        )
        kernels = [f"sagemaker/kernel/{version}/CREATED" for version in (1, 2, 3)]
        wait_until(lambda: sorted(one.keys[1]) == expected)
        wait_until(lambda: [sorted(other.keys[number]) for number in (1, 2)] == [expected, kernels])
        wait_until(lambda: clinic.left() == 0)


def test_a_watcher_that_comes_back_in_another_triggerer_has_missed_nothing(
    clinic: Clinic, values: Variables
) -> None:
    """Both were in one triggerer, which was killed; the second one comes back later, in another."""
    first = HealthImagingEventQueueTrigger(clinic.queue_url)
    second = HealthImagingEventQueueTrigger(clinic.queue_url, phases=["ready"])
    states, states_of_second = AssetStates(), AssetStates()
    with running(first, second, states=states):
        clinic.image_sets(1)
        wait_until(lambda: clinic.left() == 0)
    ids = clinic.image_sets(3)
    with running(first, states=states) as one:
        wait_until(lambda: len(one.keys.get(1, [])) == 3)
        assert clinic.left() == 3
        with running(second, states=states_of_second) as other:
            wait_until(lambda: [key.split("/")[2] for key in sorted(other.keys.get(1, []))] == ids)
            wait_until(lambda: clinic.left() == 0)
