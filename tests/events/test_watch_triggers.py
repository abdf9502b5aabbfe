"""The triggers that watch without a queue, on Airflow's own shared streams and the embedded AWS."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow has shared streams since 3.3")

from streams import AssetStates, Clinic, Triggerer, until

from airflow_imgver.events.cursor import Cursor
from airflow_imgver.triggers.healthimaging import HealthImagingDatastoreWatchTrigger
from airflow_imgver.triggers.sagemaker_image import SageMakerImageWatchTrigger


def watch(clinic: Clinic, **more: Any) -> HealthImagingDatastoreWatchTrigger:
    """A watcher of the data store that scans each second."""
    return HealthImagingDatastoreWatchTrigger(clinic.datastore_id, poll_interval=1, **more)


def versions(triggerer: Triggerer) -> list[str]:
    """Image set, version and status of each event, in the order in which they were stored."""
    return [key.split("/", 2)[2] for key in triggerer.event_keys()]


def cursor_of(states: AssetStates, trigger: Any) -> Cursor:
    """The stored cursor."""
    return Cursor.read(json.loads(states.values[trigger.place_name]))


def test_every_version_is_reported_once_and_the_oldest_first(clinic: Clinic) -> None:
    async def main() -> None:
        states = AssetStates()
        async with Triggerer() as triggerer:
            [one] = clinic.image_sets(1)
            triggerer.start(watch(clinic), states=states)
            await until(lambda: versions(triggerer) == [f"{one}/1/CREATED"])
            clinic.update(one, 1)
            clinic.update(one, 2)
            await until(lambda: len(triggerer.stored) == 3)
            await asyncio.sleep(2.5)  # Two more scans, which find the same versions.
            assert versions(triggerer) == [f"{one}/1/CREATED", f"{one}/2/UPDATED", f"{one}/3/UPDATED"]

    asyncio.run(main())


def test_what_came_and_went_while_no_triggerer_ran_is_reported_and_nothing_else(clinic: Clinic) -> None:
    async def main() -> None:
        states = AssetStates()
        async with Triggerer() as first:
            [one, other] = clinic.image_sets(2)
            first.start(watch(clinic), states=states)
            await until(lambda: len(first.stored) == 2)
            await until(lambda: len(cursor_of(states, watch(clinic)).remembered) == 2)
        clinic.update(one, 1)
        clinic.update(one, 2)
        async with Triggerer() as second:
            second.start(watch(clinic), states=states)
            await until(lambda: len(second.stored) == 2)
            await asyncio.sleep(1.5)
            assert versions(second) == [f"{one}/2/UPDATED", f"{one}/3/UPDATED"]
            assert other not in str(versions(second))

    asyncio.run(main())


def test_nothing_is_remembered_and_no_cursor_moves_before_airflow_has_stored_the_event(
    clinic: Clinic,
) -> None:
    async def main() -> None:
        states = AssetStates()
        first = Triggerer()
        first.storing = False
        [one] = clinic.image_sets(1)
        first.start(watch(clinic), states=states)
        await until(lambda: len(first.outbound) == 1)
        began = cursor_of(states, watch(clinic))
        await first.stop()
        cursor = cursor_of(states, watch(clinic))
        assert (cursor.since, len(cursor.remembered)) == (began.since, 0)
        async with Triggerer() as second:
            second.start(watch(clinic), states=states)
            await until(lambda: versions(second) == [f"{one}/1/CREATED"])

    asyncio.run(main())


def test_a_watcher_that_is_cancelled_before_airflow_took_its_event_moves_no_cursor(clinic: Clinic) -> None:
    async def main() -> None:
        states = AssetStates()
        first = Triggerer()
        first.blocked.add(1)
        clinic.image_sets(1)
        first.start(watch(clinic), states=states)
        await until(lambda: watch(clinic).place_name in states.values)
        await asyncio.sleep(1.0)
        await first.stop()
        assert first.outbound == first.stored == []
        assert len(cursor_of(states, watch(clinic)).remembered) == 0
        async with Triggerer() as second:
            second.start(watch(clinic), states=states)
            await until(lambda: len(second.stored) == 1)

    asyncio.run(main())


def test_what_was_stored_of_a_scan_is_recognised_before_its_end(clinic: Clinic) -> None:
    """A cursor that moved only at the end of a scan would report all of it again."""

    async def main() -> None:
        states = AssetStates()
        ids = clinic.image_sets(3)
        first = Triggerer()
        first.start(watch(clinic), states=states)
        await until(lambda: len(first.stored) == 3)
        await until(lambda: len(cursor_of(states, watch(clinic)).remembered) == 3)
        await first.stop()
        clinic.update(ids[0], 1)
        async with Triggerer() as second:
            second.start(watch(clinic), states=states)
            await until(lambda: len(second.stored) == 1)
            await asyncio.sleep(1.5)
            assert versions(second) == [f"{ids[0]}/2/UPDATED"]

    asyncio.run(main())


def test_a_busy_image_set_is_listed_until_it_is_not(clinic: Clinic) -> None:
    """Nothing says that `updatedAt` moves when work ends, so no search need find it again."""
    from moto.moto_api import state_manager

    async def main() -> None:
        states = AssetStates()
        async with Triggerer() as triggerer:
            [one] = clinic.image_sets(1)
            triggerer.start(watch(clinic), states=states)
            await until(lambda: len(triggerer.stored) == 1)
            state_manager.set_transition(
                "medical-imaging::image-set", {"progression": "manual", "times": 1_000_000}
            )
            clinic.update(one, 1)
            await until(lambda: one in cursor_of(states, watch(clinic)).busy)
            state_manager.unset_transition("medical-imaging::image-set")
            await until(lambda: len(triggerer.stored) == 2)
            await until(lambda: not cursor_of(states, watch(clinic)).busy)
            assert versions(triggerer)[1] == f"{one}/2/UPDATED"

    asyncio.run(main())


def test_a_cursor_that_cannot_be_read_is_kept_aside_and_said(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        states, trigger = AssetStates(), watch(clinic)
        states.values[trigger.place_name] = json.dumps({"format": 99, "since": "then"})
        [one] = clinic.image_sets(1)
        async with Triggerer() as triggerer:
            triggerer.start(trigger, states=states)
            await until(lambda: len(triggerer.stored) == 1)
            assert versions(triggerer) == [f"{one}/1/CREATED"]
        aside = states.values[f"{trigger.place_name}.unreadable"]
        assert json.loads(aside) == {"format": 99, "since": "then"}
        age = datetime.now(UTC) - cursor_of(states, trigger).since
        assert age < timedelta(minutes=1)

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    [said] = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert "it is not a cursor of format 1" in said
    assert "the last five minutes" in said


def test_a_cursor_of_an_earlier_airflow_is_read_from_its_variable(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one, other] = clinic.image_sets(2)
    cursor = Cursor.start()
    cursor.remembered.add(f"medical-imaging/{clinic.datastore_id}/{one}/1/CREATED")
    name = watch(clinic).place_name
    monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", json.dumps(cursor.stored()))

    async def main() -> None:
        states = AssetStates()
        async with Triggerer() as triggerer:
            triggerer.start(watch(clinic), states=states)
            await until(lambda: len(triggerer.stored) == 1)
            await until(lambda: name in states.values)
            assert versions(triggerer) == [f"{other}/1/CREATED"]
            assert len(cursor_of(states, watch(clinic)).remembered) == 2

    asyncio.run(main())


def test_a_data_store_that_was_deleted_is_one_error_and_the_watcher_goes_on(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        trigger = HealthImagingDatastoreWatchTrigger("0" * 32, poll_interval=1)
        async with Triggerer() as triggerer:
            triggerer.start(trigger, states=AssetStates())
            await until(lambda: len(_said(caplog, "Cannot scan for changes")) >= 3)
            assert not triggerer.tasks[1].done()

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    first, second, *_ = _said(caplog, "Cannot scan for changes")
    assert first.levelno == logging.ERROR
    assert second.levelno == logging.WARNING
    assert "ResourceNotFoundException from SearchImageSets" in first.getMessage()
    assert first.exc_info is None


def test_a_watcher_logs_when_it_works_again(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        states = AssetStates()
        states.broken = True
        clinic.image_sets(1)
        async with Triggerer() as triggerer:
            triggerer.start(watch(clinic), states=states)
            await until(lambda: len(_said(caplog, "Cannot scan for changes")) >= 2)
            states.broken = False
            await until(lambda: len(triggerer.stored) == 1)
            await until(lambda: _said(caplog, "Can scan for changes again"))

    with caplog.at_level(logging.INFO):
        asyncio.run(main())


def test_two_assets_with_one_trigger_have_one_cursor(clinic: Clinic) -> None:
    """Airflow has one trigger for watchers with equal arguments, and its accessor then refuses to choose."""
    from types import SimpleNamespace

    async def main() -> None:
        first, second = AssetStates(), AssetStates()
        both: Any = SimpleNamespace(_by_name={"b": second, "a": first}, _by_uri={})
        clinic.image_sets(1)
        async with Triggerer() as triggerer:
            triggerer.start(watch(clinic), states=both)
            await until(lambda: len(triggerer.stored) == 1)
        assert list(first.values) == [watch(clinic).place_name]
        assert second.values == {}

    asyncio.run(main())


@pytest.mark.parametrize(
    "arguments", [{"image_names": ["studio-kernel"]}, {"name_contains": "kernel"}, {}], ids=str
)
def test_versions_of_images_are_found_by_their_names(clinic: Clinic, arguments: dict[str, Any]) -> None:
    async def main() -> None:
        clinic.image("studio-kernel", versions=2)
        clinic.image("training")
        trigger = SageMakerImageWatchTrigger(poll_interval=1, **arguments)
        async with Triggerer() as triggerer:
            triggerer.start(trigger, states=AssetStates())
            kernel = ["sagemaker/studio-kernel/1/CREATED", "sagemaker/studio-kernel/2/CREATED"]
            wanted = kernel if arguments else [*kernel, "sagemaker/training/1/CREATED"]
            await until(lambda: len(triggerer.stored) == len(wanted))
            clinic.version("studio-kernel", 3)
            await until(lambda: len(triggerer.stored) == len(wanted) + 1)
            assert triggerer.event_keys() == [*wanted, "sagemaker/studio-kernel/3/CREATED"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        (HealthImagingDatastoreWatchTrigger("nonsense"), "datastore_id must be 32"),
        (HealthImagingDatastoreWatchTrigger("0" * 32, phases=["done"]), "phases must be of"),
        (SageMakerImageWatchTrigger(image_names=[]), "image_names is empty"),
        (SageMakerImageWatchTrigger("a", "b"), "Give image_names or name_contains, not both"),
        (HealthImagingDatastoreWatchTrigger("0" * 32, aws_conn_id="missing"), "missing"),
    ],
    ids=["id", "phase", "no names", "both", "connection"],
)
def test_a_wrong_argument_is_an_error_in_the_log_and_ends_nothing(
    clinic: Clinic, caplog: pytest.LogCaptureFixture, trigger: Any, why: str
) -> None:
    async def main() -> None:
        async with Triggerer() as triggerer:
            triggerer.start(trigger, states=AssetStates())
            await until(lambda: len(_said(caplog, "Cannot scan for changes")) >= 2)
            assert not triggerer.tasks[1].done()

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert why in _said(caplog, "Cannot scan for changes")[0].getMessage()


def _said(caplog: pytest.LogCaptureFixture, text: str) -> list[logging.LogRecord]:
    return [each for each in caplog.records if text in each.getMessage()]
