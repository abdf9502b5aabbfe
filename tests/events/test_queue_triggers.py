"""The triggers that read a queue, on Airflow's own shared streams and the embedded AWS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow has shared streams since 3.3")

from pages import CHECKOUT, blocks
from streams import AssetStates, Clinic, Triggerer, until

from airflow_imgver.triggers import queue_stream
from airflow_imgver.triggers.healthimaging import HealthImagingEventQueueTrigger
from airflow_imgver.triggers.sagemaker_image import SageMakerImageEventQueueTrigger
from airflow_imgver.triggers.window import FIRST


def test_an_event_is_stored_once_for_each_version_and_its_message_is_deleted(clinic: Clinic) -> None:
    async def main() -> None:
        async with Triggerer() as triggerer:
            triggerer.start(HealthImagingEventQueueTrigger(clinic.queue_url), states=AssetStates())
            ids = clinic.image_sets(2)
            clinic.update(ids[0], 1)
            await until(lambda: len(triggerer.stored) == 3)
            await until(lambda: clinic.left() == 0)
            assert sorted(triggerer.event_keys()) == sorted(
                f"medical-imaging/{clinic.datastore_id}/{each}"
                for each in (f"{ids[0]}/1/CREATED", f"{ids[0]}/2/UPDATED", f"{ids[1]}/1/CREATED")
            )

    asyncio.run(main())


def test_watchers_of_both_services_share_one_receive_loop_and_each_gets_its_own(clinic: Clinic) -> None:
    async def main() -> None:
        async with Triggerer() as triggerer:
            [one, other] = clinic.image_sets(2)
            clinic.image("studio-kernel")
            clinic.image("training")
            triggerer.start(
                HealthImagingEventQueueTrigger(clinic.queue_url),
                HealthImagingEventQueueTrigger(clinic.queue_url, image_set_ids=one),
                SageMakerImageEventQueueTrigger(clinic.queue_url, image_names=["studio-*"]),
                states=AssetStates(),
            )
            await until(lambda: len(triggerer.stored) == 4 and clinic.left() == 0)
            assert len(triggerer.streams._groups) == 1
            assert [each.split("/")[2] for each in sorted(triggerer.event_keys(1))] == sorted([one, other])
            assert [each.split("/")[2] for each in triggerer.event_keys(2)] == [one]
            assert triggerer.event_keys(3) == ["sagemaker/studio-kernel/1/CREATED"]

    asyncio.run(main())


def test_a_watcher_that_is_cancelled_before_airflow_took_its_event_loses_nothing(clinic: Clinic) -> None:
    """Airflow 3.3.2 counts it as one that accepted the message."""

    async def main() -> None:
        states = AssetStates()
        first = Triggerer()
        first.blocked.add(1)  # Airflow logs an event before it takes it; there the watcher is cancelled.
        first.start(HealthImagingEventQueueTrigger(clinic.queue_url), states=states)
        clinic.image_sets(1)
        await until(lambda: _in_flight() == 1)
        await asyncio.sleep(0.2)
        await first.stop()
        assert first.stored == first.outbound == []
        assert clinic.left() > 0
        # Nor may the watcher take it for a fact that was stored.
        async with Triggerer() as second:
            second.start(HealthImagingEventQueueTrigger(clinic.queue_url), states=states)
            await until(lambda: len(second.stored) == 1)

    asyncio.run(main())


def test_a_watcher_that_leaves_costs_the_others_no_double(clinic: Clinic) -> None:
    async def main() -> None:
        async with Triggerer() as triggerer:
            triggerer.blocked.add(2)
            triggerer.start(
                HealthImagingEventQueueTrigger(clinic.queue_url),
                HealthImagingEventQueueTrigger(clinic.queue_url, phases=["ready"]),
                states=AssetStates(),
            )
            clinic.image_sets(1)
            await until(lambda: len(triggerer.stored) == 1)
            triggerer.tasks[2].cancel()
            # As when its Dag was changed.
            triggerer.start(HealthImagingEventQueueTrigger(clinic.queue_url, phases=["ready", "deleted"]))
            await until(lambda: len(triggerer.event_keys(3)) == 1 and clinic.left() == 0)
            assert len(triggerer.event_keys(1)) == 1

    asyncio.run(main())


def test_airflow_counts_a_cancelled_watcher_as_one_that_accepted() -> None:
    """The fault of which docs/upstream-shared-stream.md is the report, with the code that is there."""
    [code] = blocks(CHECKOUT / "docs/upstream-shared-stream.md", "python")
    namespace: dict[str, Any] = {"__name__": "report"}
    exec(compile(code, "upstream-shared-stream.md", "exec"), namespace)  # our own page
    [item] = namespace["ADVANCED"]
    assert item.outcome.is_clean, (
        "This Airflow no longer has the fault. Once no supported Airflow has it, `dealt_with` in "
        "airflow_imgver/triggers/shared_streams.py can go, and the report with it."
    )


def _in_flight() -> int:
    import gc

    streams = [each for each in gc.get_objects() if type(each) is queue_stream.QueueStream]
    return sum(len(each._in_flight) for each in streams if not each._closed)


def test_a_triggerer_that_is_killed_soon_after_its_start_has_sent_few_of_a_backlog(clinic: Clinic) -> None:
    async def main() -> None:
        clinic.image_sets(20)
        triggerer = Triggerer()
        triggerer.storing = False
        triggerer.start(HealthImagingEventQueueTrigger(clinic.queue_url))
        await until(lambda: len(triggerer.outbound) == FIRST)
        await asyncio.sleep(1.0)
        assert len(triggerer.outbound) == FIRST
        triggerer.storing = True
        await until(lambda: len(triggerer.stored) == 20 and clinic.left() == 0)
        await triggerer.stop()

    asyncio.run(main())
