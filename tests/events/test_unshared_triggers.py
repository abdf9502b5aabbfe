"""The triggers' `run`, which Airflow 3.1 and 3.2 call: events first, deletion and cursor later."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import pytest
from streams import Clinic, until

from airflow_imgver.emulator import clear_faults, inject_fault
from airflow_imgver.events.cursor import Cursor
from airflow_imgver.triggers import places, unshared_streams
from airflow_imgver.triggers.healthimaging import (
    HealthImagingDatastoreWatchTrigger,
    HealthImagingEventQueueTrigger,
)
from airflow_imgver.triggers.sagemaker_image import SageMakerImageEventQueueTrigger


class Runs:
    """Triggers that run by themselves, and their events."""

    def __init__(self, *triggers: Any) -> None:
        self.events: list[tuple[int, str]] = []
        self.tasks = [asyncio.ensure_future(self._run(number, each)) for number, each in enumerate(triggers)]

    async def _run(self, number: int, trigger: Any) -> None:
        async for event in trigger.run():
            json.dumps(event.payload)
            self.events.append((number, event.payload["key"]))

    async def stop(self) -> None:
        """Cancel them."""
        for task in self.tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def test_a_message_is_deleted_a_while_after_its_event(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unshared_streams, "SECONDS_UNTIL_DELETED", 3.0)

    async def main() -> None:
        runs = Runs(HealthImagingEventQueueTrigger(clinic.queue_url))
        clinic.image_sets(2)
        await until(lambda: len(runs.events) == 2)
        assert clinic.left() == 2
        await until(lambda: clinic.left() == 0)
        await runs.stop()
        assert len(runs.events) == 2

    asyncio.run(main())


def test_the_times_are_those_in_the_documentation() -> None:
    assert unshared_streams.SECONDS_UNTIL_DELETED == 60.0
    assert unshared_streams.SECONDS_UNTIL_SAVED == 8.0


def test_watchers_of_one_queue_share_a_receive_loop_here_too(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unshared_streams, "SECONDS_UNTIL_DELETED", 0.1)

    async def main() -> None:
        runs = Runs(
            HealthImagingEventQueueTrigger(clinic.queue_url),
            HealthImagingEventQueueTrigger(clinic.queue_url, phases=["ready"]),
            SageMakerImageEventQueueTrigger(clinic.queue_url),
        )
        ids = clinic.image_sets(3)
        clinic.image("training")
        await until(lambda: len(runs.events) == 7 and clinic.left() == 0)
        for number in (0, 1):
            assert sorted(key.split("/")[2] for each, key in runs.events if each == number) == sorted(ids)
        await runs.stop()

    asyncio.run(main())


def test_a_watcher_that_is_stopped_before_the_deletion_leaves_the_message(clinic: Clinic) -> None:
    async def main() -> None:
        first = Runs(HealthImagingEventQueueTrigger(clinic.queue_url))
        clinic.image_sets(1)
        await until(lambda: len(first.events) == 1)
        await first.stop()
        assert clinic.left() == 1
        second = Runs(HealthImagingEventQueueTrigger(clinic.queue_url))
        await until(lambda: second.events == first.events)
        await second.stop()

    asyncio.run(main())


class Stored:
    """Airflow's Variables, in memory; a trigger reaches them through its supervisor."""

    values: ClassVar[dict[str, Any]] = {}

    async def get(self, name: str) -> Any:
        """As `places.Variables`."""
        return json.loads(self.values[name]) if name in self.values else None

    async def set(self, name: str, value: Any) -> None:
        """As `places.Variables`."""
        self.values[name] = json.dumps(value)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Variables hold."""
    from airflow_imgver.triggers import watch_stream

    monkeypatch.setattr(Stored, "values", {})
    monkeypatch.setattr(watch_stream, "Variables", Stored)
    return Stored.values


def test_a_cursor_is_saved_a_while_after_the_events(
    clinic: Clinic, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unshared_streams, "SECONDS_UNTIL_SAVED", 2.0)
    trigger = HealthImagingDatastoreWatchTrigger(clinic.datastore_id, poll_interval=1)

    def remembered() -> int:
        return len(Cursor.read(json.loads(variables[trigger.place_name])).remembered)

    async def main() -> None:
        [one] = clinic.image_sets(1)
        runs = Runs(trigger)
        await until(lambda: len(runs.events) == 1)
        assert remembered() == 0
        await until(lambda: remembered() == 1)
        clinic.update(one, 1)
        await until(lambda: len(runs.events) == 2)
        await runs.stop()
        again = Runs(trigger)
        await until(lambda: again.events == runs.events[1:])
        await again.stop()

    asyncio.run(main())


def test_a_few_events_of_a_long_scan_are_saved_before_the_next_ones_are_sent(
    clinic: Clinic, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unshared_streams, "SECONDS_UNTIL_SAVED", 1.0)
    monkeypatch.setattr(unshared_streams, "MOST_UNSAVED", 2)
    trigger = HealthImagingDatastoreWatchTrigger(clinic.datastore_id, poll_interval=1)
    unsaved: set[int] = set()

    async def main() -> None:
        clinic.image_sets(5)
        runs = Runs(trigger)

        def saved() -> int:
            stored = variables.get(trigger.place_name)
            count = len(Cursor.read(json.loads(stored)).remembered) if stored else 0
            unsaved.add(len(runs.events) - count)
            return count

        await until(lambda: saved() == 5)
        assert len(runs.events) == 5
        await runs.stop()
        assert max(unsaved) == 2

    asyncio.run(main())


def test_an_error_ends_nothing(clinic: Clinic, variables: dict[str, Any]) -> None:
    inject_fault("medical-imaging", "SearchImageSets", kind="http-500", times=None)

    async def main() -> None:
        trigger = HealthImagingDatastoreWatchTrigger(clinic.datastore_id, poll_interval=1)
        runs = Runs(trigger)
        await asyncio.sleep(1.5)
        clear_faults()
        clinic.image_sets(1)
        await until(lambda: len(runs.events) == 1)
        await runs.stop()

    asyncio.run(main())


def test_a_variable_keeps_json_and_gives_back_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        place = places.Variables()
        monkeypatch.setenv("AIRFLOW_VAR_IMGVER.TEST", '{"format": 1}')
        assert await place.get("imgver.test") == {"format": 1}
        monkeypatch.setenv("AIRFLOW_VAR_IMGVER.TEST", "odd")
        assert await place.get("imgver.test") == "odd"

    asyncio.run(main())
