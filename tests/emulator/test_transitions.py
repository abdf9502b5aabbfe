"""Time passes by itself: a status is a function of the clock, whether or not anything reads it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clinic import Clinic, clinic
from hypothesis import given
from hypothesis import strategies as st
from moto.moto_api import state_manager

from airflow_imgver.emulator import transitions
from airflow_imgver.emulator.medicalimaging.image_sets import Version
from airflow_imgver.emulator.registration import MANAGED_MODELS
from airflow_imgver.emulator.transitions import Change, Changing, Timeline

STEP = timedelta(milliseconds=200)


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        one.search()  # The data store becomes ACTIVE.
        yield one


@pytest.fixture
def changes() -> Iterator[list[Change]]:
    heard: list[Change] = []
    transitions.listeners.append(heard.append)
    yield heard
    transitions.listeners.remove(heard.append)


def take(step: timedelta) -> None:
    for model in MANAGED_MODELS:
        state_manager.set_transition(model, {"progression": "time", "seconds": step.total_seconds()})


@pytest.fixture(autouse=True)
def default_transitions() -> Iterator[None]:
    yield
    for model in MANAGED_MODELS:
        state_manager.unset_transition(model)


def wait_until(then: datetime) -> None:
    while datetime.now(UTC) <= then:
        time.sleep(0.01)


def job_of(ours: Clinic, job_id: str) -> dict[str, Any]:
    return dict(
        ours.client.get_dicom_import_job(datastoreId=ours.datastore_id, jobId=job_id)["jobProperties"]
    )


def test_an_import_is_over_at_its_time_although_nothing_polls_it(ours: Clinic) -> None:
    take(STEP)
    job_id = ours.start_import()
    submitted = ours.backend.datastores[ours.datastore_id].import_jobs[job_id].submitted_at
    wait_until(submitted + 4 * STEP)
    job = job_of(ours, job_id)
    assert job["jobStatus"] == "COMPLETED"
    assert job["endedAt"] == submitted + 2 * STEP
    for found in ours.search():
        assert found["createdAt"] == submitted + 2 * STEP


def test_what_two_resources_did_meanwhile_happened_in_the_order_of_the_clock(
    ours: Clinic, changes: list[Change]
) -> None:
    first, second = ours.import_image_sets(2)
    changes.clear()
    take(STEP)
    begun = ours.update(first, "1")["updatedAt"]
    wait_until(begun + STEP / 2)
    begun_later = ours.delete(second)
    wait_until(begun + 4 * STEP)
    assert ours.get(first)["updatedAt"] == begun + STEP
    assert ours.get(second)["imageSetState"] == "DELETED"
    assert begun_later["imageSetWorkflowStatus"] == "DELETING"
    heard = [(change.resource.image_set.image_set_id, change.after) for change in changes]  # type: ignore[attr-defined]
    assert heard == [(first, "UPDATING"), (second, "DELETING"), (first, "UPDATED"), (second, "DELETED")]
    assert [change.time for change in changes] == sorted(change.time for change in changes)
    assert changes[2].time == begun + STEP


def test_an_import_meets_the_image_set_as_it_was_at_its_end(ours: Clinic) -> None:
    """The update is over before the import ends, although both are found by one read."""
    (image_set,) = ours.import_image_sets(1)
    take(STEP)
    same = {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "SYNTHETIC"}}}
    ours.update(image_set, "1", same)
    job = ours.start_import("s3://bucket/input/series=1/", clientToken="again")
    wait_until(datetime.now(UTC) + 4 * STEP)
    assert job_of(ours, job)["jobStatus"] == "COMPLETED"
    assert [each[2] for each in ours.statuses(image_set)] == ["IMPORTED", "UPDATED", "CREATED"]


def test_listeners_hear_of_each_change_of_an_import(ours: Clinic, changes: list[Change]) -> None:
    ours.start_import()
    ours.search()
    heard = [(type(change.resource).__name__, change.before, change.after) for change in changes]
    assert heard == [
        ("ImportJob", None, "SUBMITTED"),
        ("ImportJob", "SUBMITTED", "IN_PROGRESS"),
        ("Version", None, "CREATED"),
        ("Version", None, "CREATED"),
        ("ImportJob", "IN_PROGRESS", "COMPLETED"),
    ]
    assert {change.service for change in changes} == {"medical-imaging"}
    assert all(change.after == change.resource.status for change in changes[-1:])


def test_a_loaded_history_is_no_change(ours: Clinic, changes: list[Change]) -> None:
    entry = {"versionId": "1", "imageSetState": "LOCKED", "ImageSetWorkflowStatus": "COPYING"}
    ours.backend.load_image_set(ours.datastore_id, "a" * 32, [entry])
    assert changes == []
    ours.get("a" * 32)
    assert [(change.before, change.after) for change in changes] == [("COPYING", "COPIED")]
    assert isinstance(changes[0].resource, Version)


class Lamp(Changing):
    """A resource that goes from red over yellow to green, for a test of the timeline alone."""

    def __init__(self, model: str, log: list[tuple[datetime, str]]) -> None:
        self.model = model  # type: ignore[misc]
        self.log = log

    def next_status(self) -> str | None:
        return {"RED": "YELLOW", "YELLOW": "GREEN"}.get(self.status)

    def enter(self, status: str, time: datetime) -> None:
        super().enter(status, time)
        self.log.append((time, status))


@given(
    starts=st.lists(st.tuples(st.integers(0, 5000), st.booleans()), min_size=1, max_size=20),
    seconds=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
)
def test_all_changes_happen_in_the_order_of_their_times(
    starts: list[tuple[int, bool]], seconds: tuple[int, int]
) -> None:
    models = ("test::slow", "test::fast")
    for model, milliseconds in zip(models, seconds, strict=True):
        state_manager.set_transition(model, {"progression": "time", "seconds": milliseconds / 1000})
    base, log, timeline = datetime(2026, 1, 1, tzinfo=UTC), [], Timeline("test")
    lamps = []
    for offset, fast in starts:
        lamp = Lamp(models[fast], [])
        timeline.create(lamp, "RED", base + timedelta(milliseconds=offset))
        lamp.log = log
        lamps.append((lamp, offset, seconds[fast]))
    timeline.settle()
    for model in models:
        state_manager.unset_transition(model)
    assert all(lamp.status == "GREEN" for lamp, _, _ in lamps)
    assert [at for at, _ in log] == sorted(at for at, _ in log)
    assert all(
        lamp.since == base + timedelta(milliseconds=offset + 2 * milliseconds)
        for lamp, offset, milliseconds in lamps
    )
    assert timeline.next_due() is None


def test_a_step_that_is_longer_than_any_date_is_not_an_error() -> None:
    state_manager.set_transition("test::slow", {"progression": "time", "seconds": 1e300})
    timeline, lamp = Timeline("test"), Lamp("test::slow", [])
    timeline.create(lamp, "RED")
    timeline.settle()
    state_manager.unset_transition("test::slow")
    assert lamp.status == "RED"
