"""One event: what it says, that it is plain JSON of at most 8 KB, and which events a watcher wants."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    image_set_entry,
    image_set_status,
    image_version_entry,
    image_version_status,
)

from airflow_imgver.events import events_once
from airflow_imgver.events.event import LARGEST_EVENT, Fact, event_of
from airflow_imgver.events.filters import EventFilter
from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
IDENTITY = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}


def fact(version: int = 2, status: str = "COPY_FAILED", **more: Any) -> Fact:
    """A fact about the image set."""
    return Fact(HEALTHIMAGING, IDENTITY, image_set_status(image_set_entry(version, status, **more)))


def image_fact(version: int = 3, **more: Any) -> Fact:
    """A fact about the image."""
    entry = image_version_entry(version, **more)
    return Fact(SAGEMAKER_IMAGE, {"image_name": IMAGE}, image_version_status(entry))


def test_an_event_says_what_happened_to_which_version_and_why() -> None:
    event = event_of(fact(message=MISMATCH), AT)
    assert event == {
        "key": f"medical-imaging/{DATASTORE}/{IMAGE_SET}/2/COPY_FAILED",
        "service": "medical-imaging",
        "datastore_id": DATASTORE,
        "image_set_id": IMAGE_SET,
        "version": 2,
        "phase": "failed",
        "status": "COPY_FAILED",
        "reason": MISMATCH,
        "entry": {
            "imageSetId": IMAGE_SET,
            "versionId": "2",
            "imageSetState": "ACTIVE",
            "createdAt": "2023-03-28T18:12:06+00:00",
            "updatedAt": "2023-03-28T18:14:06+00:00",
            "ImageSetWorkflowStatus": "COPY_FAILED",
            "message": MISMATCH,
        },
        "changed_at": "2023-03-28T18:14:06+00:00",
        "observed_at": "2026-11-30T12:00:00+00:00",
    }


def test_the_event_of_an_image_has_its_name() -> None:
    event = event_of(image_fact(), AT.astimezone(timezone(timedelta(hours=5))))
    assert event["key"] == f"sagemaker/{IMAGE}/3/CREATED"
    assert (event["image_name"], event["version"], event["reason"]) == (IMAGE, 3, None)
    assert event["observed_at"] == "2026-11-30T12:00:00+00:00"
    assert "datastore_id" not in event


def test_the_key_is_the_same_for_the_same_fact_and_for_no_other() -> None:
    assert fact().key == fact(message="said later", updatedAt=AT).key
    others = [fact(3), fact(status="UPDATED"), image_fact(2)]
    assert len({each.key for each in [fact(), *others]}) == 4


@pytest.mark.parametrize(
    "more",
    [
        {"message": "x" * 20_000},
        {"message": "\N{SNOWMAN}" * 6_000},
        {"message": "\x00" * 20_000, "overrides": {"note": ["y" * 9_000]}},
        {f"member{number}": "z" * 200 for number in range(200)},
        {"n" * 20_000: "v"},
    ],
)
def test_an_event_has_8_kb_at_the_most_and_says_what_was_cut(more: dict[str, Any]) -> None:
    event = event_of(fact(**more), AT)
    assert len(json.dumps(event)) <= LARGEST_EVENT
    assert event["cut"]
    assert event["key"] == fact().key
    whole = event_of(fact(), AT)
    assert {name: event[name] for name in ("version", "phase", "status", "changed_at")} == {
        name: whole[name] for name in ("version", "phase", "status", "changed_at")
    }


def test_a_long_reason_is_cut_and_still_says_how_it_begins() -> None:
    event = event_of(fact(message=f"{MISMATCH} " * 300), AT)
    assert event["reason"].startswith(MISMATCH)
    assert len(event["reason"]) < 2_100
    assert set(event["cut"]) == {"entry.message", "reason"}


# --- filters --------------------------------------------------------------------------------------------


def test_a_watcher_wants_ready_and_failed_versions() -> None:
    wanted = EventFilter.of(HEALTHIMAGING)
    assert wanted.wants(fact(status="UPDATED"))
    assert wanted.wants(fact(status="COPY_FAILED"))
    assert not wanted.wants(fact(status="COPYING", state="LOCKED"))
    assert not wanted.wants(fact(status="DELETED", state="DELETED"))
    assert not wanted.wants(image_fact())


def test_phases_ids_and_primary_sets_choose() -> None:
    assert EventFilter.of(HEALTHIMAGING, phases="busy").wants(fact(status="COPYING", state="LOCKED"))
    ids = {"datastore_id": None, "image_set_id": [IMAGE_SET]}
    assert EventFilter.of(HEALTHIMAGING, ids=ids).wants(fact())
    assert not EventFilter.of(HEALTHIMAGING, ids={"image_set_id": DATASTORE}).wants(fact())
    primary = EventFilter.of(HEALTHIMAGING, primary_only=True)
    assert primary.wants(fact(isPrimary=True))
    assert not primary.wants(fact(isPrimary=False))
    assert not primary.wants(fact())


def test_names_are_chosen_by_shell_patterns() -> None:
    assert EventFilter.of(SAGEMAKER_IMAGE, patterns={"image_name": "studio-*"}).wants(image_fact())
    assert not EventFilter.of(SAGEMAKER_IMAGE, patterns={"image_name": ["Studio-*", "x"]}).wants(image_fact())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"phases": ["done"]}, "phases must be of busy, ready, failed, deleted, not 'done'"),
        ({"phases": []}, "phases is empty"),
        ({"ids": {"image_set_id": []}}, "image_set_ids is empty"),
        ({"ids": {"image_set_id": ["nonsense"]}}, "image_set_id must be 32"),
    ],
)
def test_arguments_that_no_event_could_fit_are_refused(arguments: Any, why: str) -> None:
    with pytest.raises((ValueError, InvalidIdentityError), match=why):
        EventFilter.of(HEALTHIMAGING, **arguments)


# --- events_once ----------------------------------------------------------------------------------------


def asset_event(payload: Any) -> Any:
    """An asset's event as a task gets it from Airflow."""
    return SimpleNamespace(extra={"from_trigger": True, "payload": payload})


def test_each_event_comes_once_and_the_oldest_first() -> None:
    first, second, third = (event_of(fact(number, "UPDATED"), AT) for number in (1, 2, 3))
    again = {**second, "observed_at": "2026-11-30T13:00:00+00:00"}
    events = {
        "ready": [asset_event(third), asset_event(second), asset_event(again)],
        "also": [asset_event(second), asset_event(first)],
    }
    assert list(events_once(events)) == [first, second, third]


def test_events_of_others_and_none_are_left_out() -> None:
    ours = event_of(fact(), AT)
    odd = [SimpleNamespace(extra=None), SimpleNamespace(extra={"payload": "text"}), asset_event({"key": 7})]
    assert list(events_once({"ready": [*odd, {"extra": {"payload": ours}}]})) == [ours]
    assert list(events_once([asset_event(ours), asset_event(ours)])) == [ours]
    assert list(events_once(None)) == list(events_once({})) == []
