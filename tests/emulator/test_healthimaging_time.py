"""State changes take no time, a number of seconds, or a number of reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from clinic import REGION, Clinic, clinic, takes_reads
from moto.moto_api import state_manager

IMAGE_SET = "a" * 32


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


def loaded(ours: Clinic, state: str, status: str) -> str:
    entry: dict[str, Any] = {
        "versionId": "3",
        "imageSetState": state,
        "ImageSetWorkflowStatus": status,
        "createdAt": datetime(2024, 1, 1, tzinfo=UTC),
    }
    ours.backend.load_image_set(ours.datastore_id, IMAGE_SET, [entry])
    return IMAGE_SET


def take_seconds(seconds: float) -> None:
    state_manager.set_transition("medical-imaging::image-set", {"progression": "time", "seconds": seconds})


def test_the_answer_to_a_change_never_shows_its_end(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    assert ours.update(image_set, "1")["imageSetState"] == "LOCKED"
    assert ours.get(image_set)["imageSetState"] == "ACTIVE"
    assert ours.delete(image_set)["imageSetState"] == "LOCKED"
    assert ours.get(image_set)["imageSetState"] == "DELETED"


def test_a_change_takes_its_seconds_from_the_call(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    take_seconds(0.5)
    called = time.monotonic()
    ours.update(image_set, "1")
    assert ours.statuses(image_set)[0] == ("2", "LOCKED", "UPDATING")
    while ours.statuses(image_set)[0] != ("2", "ACTIVE", "UPDATED"):
        assert time.monotonic() < called + 10
    assert time.monotonic() >= called + 0.5


def test_a_change_ends_when_its_time_is_up_and_not_at_the_next_read(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    take_seconds(0.1)
    begun = ours.update(image_set, "1")["updatedAt"]
    wait_until(begun + timedelta(seconds=0.4))
    assert ours.versions(image_set)[0]["updatedAt"] == begun + timedelta(seconds=0.1)


def test_a_source_is_free_again_when_its_copy_is_over(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    take_seconds(0.2)
    ours.copy(image_set)
    with pytest.raises(ours.client.exceptions.ConflictException):
        ours.copy(image_set)
    wait_until(datetime.now(UTC) + timedelta(seconds=0.2))
    ours.copy(image_set)
    assert len(ours.search()) == 3


def wait_until(time_: datetime) -> None:
    while datetime.now(UTC) <= time_:
        time.sleep(0.01)


def test_a_write_does_not_count_as_a_read(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    takes_reads(2)
    ours.update(image_set, "1")
    for _ in range(5):
        with pytest.raises(ours.client.exceptions.ConflictException):
            ours.update(image_set, "2")
    assert ours.get(image_set)["imageSetState"] == "LOCKED"
    assert ours.get(image_set)["imageSetState"] == "ACTIVE"


def test_a_search_does_not_count_as_a_read(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    takes_reads(1)
    ours.delete(image_set)
    assert [one["imageSetId"] for one in ours.search()] == [image_set]
    assert ours.get(image_set)["imageSetState"] == "DELETED"
    assert ours.search() == []


@pytest.mark.parametrize(
    ("busy", "settled"),
    [
        ("COPYING", "COPIED"),
        ("COPYING_WITH_READ_ONLY_ACCESS", "COPIED"),
        ("UPDATING", "UPDATED"),
        ("UPDATING_FOR_STUDY_CONSISTENCY", "UPDATED"),
        ("IMPORTING", "IMPORTED"),
    ],
)
def test_an_image_set_that_was_loaded_busy_settles(ours: Clinic, busy: str, settled: str) -> None:
    takes_reads(2)
    image_set = loaded(ours, "LOCKED", busy)
    assert ours.statuses(image_set) == [("3", "LOCKED", busy)]
    assert ours.statuses(image_set) == [("3", "ACTIVE", settled)]
    assert "updatedAt" in ours.versions(image_set)[0]


def test_a_deletion_that_was_loaded_busy_settles(ours: Clinic) -> None:
    image_set = loaded(ours, "LOCKED", "DELETING")
    assert ours.statuses(image_set) == [("3", "DELETED", "DELETED")]
    assert "deletedAt" in ours.versions(image_set)[0]


@pytest.mark.parametrize("state", ["LOCKED", "ACTIVE", "DELETED"])
def test_an_unknown_status_stays(ours: Clinic, state: str) -> None:
    image_set = loaded(ours, state, "DEFROSTING")
    # A client that does not hold the answer against the enumeration, as no client of AWS does.
    client = boto3.client("medical-imaging", region_name=REGION)
    for _ in range(2):
        answer = client.list_image_set_versions(datastoreId=ours.datastore_id, imageSetId=image_set)
        (entry,) = answer["imageSetPropertiesList"]
        assert (entry["imageSetState"], entry["ImageSetWorkflowStatus"]) == (state, "DEFROSTING")
        assert entry.keys() == {
            "imageSetId",
            "versionId",
            "imageSetState",
            "ImageSetWorkflowStatus",
            "createdAt",
        }
