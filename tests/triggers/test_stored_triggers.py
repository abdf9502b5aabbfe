"""A trigger's keyword arguments are stored: what goes in comes out, what a release stored is still read."""

from __future__ import annotations

import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow import __version__ as AIRFLOW
from airflow.models.trigger import Trigger
from support import DATASTORE, IMAGE, IMAGE_SET

from airflow_imgver.triggers.base import GateTrigger
from airflow_imgver.triggers.event_base import ImageVersionEventTrigger
from airflow_imgver.triggers.healthimaging import (
    HealthImagingDatastoreWatchTrigger,
    HealthImagingDICOMImportJobTrigger,
    HealthImagingEventQueueTrigger,
    HealthImagingImageSetVersionTrigger,
)
from airflow_imgver.triggers.sagemaker_image import (
    SageMakerImageEventQueueTrigger,
    SageMakerImageVersionTrigger,
    SageMakerImageWatchTrigger,
)

STORED = json.loads(Path(__file__).with_name("stored_triggers.json").read_text(encoding="utf-8"))
ROWS = json.loads(Path(__file__).with_name("stored_rows.json").read_text(encoding="utf-8"))
WATCHERS = json.loads(Path(__file__).with_name("stored_watchers.json").read_text(encoding="utf-8"))
EACH_WATCHER = pytest.mark.parametrize(
    "stored", WATCHERS, ids=lambda stored: stored["classpath"].rsplit(".", 1)[1]
)
EACH = pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored["classpath"].rsplit(".", 1)[1])

PLAIN = [
    HealthImagingImageSetVersionTrigger(datastore_id=DATASTORE, image_set_id=IMAGE_SET),
    SageMakerImageVersionTrigger(image_name=IMAGE),
    HealthImagingDICOMImportJobTrigger(datastore_id=DATASTORE, job_id=IMAGE_SET),
]


def made_again(classpath: str, kwargs: dict[str, Any]) -> GateTrigger:
    """Make a trigger as the triggerer does, from what Airflow stored."""
    return resolve_name(classpath)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs)))


@EACH
def test_what_an_earlier_release_stored_still_makes_a_trigger_that_means_the_same(stored: Any) -> None:
    trigger = made_again(stored["classpath"], stored["kwargs"])
    classpath, kwargs = trigger.serialize()
    assert classpath == stored["classpath"]
    assert {name: kwargs[name] for name in stored["kwargs"]} == stored["kwargs"]
    trigger.watch.gate()
    trigger.hook()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["task"])
def test_a_row_of_airflows_table_as_an_earlier_release_left_it_still_makes_a_trigger(
    row: dict[str, str],
) -> None:
    if AIRFLOW.startswith("3.1."):
        pytest.skip(f"Airflow {row['airflow']} wrote the row, and 3.1 stores triggers in another form")
    # `make test-stack` puts the same rows into the database of a running Airflow. They are not encrypted: the
    # execution API stores what a task sends, and Airflow encrypts only what it makes of an asset's watchers.
    kwargs = Trigger._decrypt_kwargs(row["kwargs"])
    trigger = resolve_name(row["classpath"])(**kwargs)
    assert set(kwargs) == set(trigger.serialize()[1])
    trigger.watch.gate()


@EACH
def test_the_sample_holds_every_argument_that_is_stored_today(stored: Any) -> None:
    # A new argument needs a default, so that what is stored already can be read; then it joins the sample.
    _, kwargs = made_again(stored["classpath"], stored["kwargs"]).serialize()
    assert set(kwargs) == set(stored["kwargs"])


@pytest.mark.parametrize("trigger", PLAIN, ids=lambda trigger: type(trigger).__name__)
def test_a_trigger_survives_airflows_storage_and_json_as_it_was(trigger: GateTrigger) -> None:
    classpath, kwargs = trigger.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    again = made_again(classpath, kwargs)
    assert type(again) is type(trigger)
    assert again.serialize() == (classpath, kwargs)


@pytest.mark.parametrize("trigger", PLAIN, ids=lambda trigger: type(trigger).__name__)
def test_every_argument_of_the_constructor_is_stored(trigger: GateTrigger) -> None:
    import inspect

    arguments: set[str] = set()
    for cls in type(trigger).__mro__:
        if issubclass(cls, GateTrigger):
            arguments |= set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    # Stored only where there are any, so that an earlier release reads all other rows.
    assert set(trigger.serialize()[1]) == arguments - {"not_found_answers", "not_before"}


@pytest.mark.parametrize("trigger", PLAIN, ids=lambda trigger: type(trigger).__name__)
def test_polls_that_found_nothing_are_stored_and_read_again(trigger: GateTrigger) -> None:
    _, kwargs = trigger.serialize()
    again = type(trigger)(**kwargs, not_found_answers={"image a, version latest": 1})
    assert again.serialize()[1] == {**kwargs, "not_found_answers": {"image a, version latest": 1}}
    assert again.watch.not_found_answers == {"image a, version latest": 1}


def test_a_stored_turn_still_makes_a_trigger_that_means_the_same() -> None:
    stored = {
        "service": "medical-imaging",
        "operation": "CopyImageSet",
        "pause": None,
        "deadline": "2026-11-28T03:57:10.123456+00:00",
        "aws_conn_id": "aws_default",
        "region_name": "us-east-1",
        "verify": None,
        "botocore_config": None,
    }
    trigger = resolve_name("airflow_imgver.triggers.turn.TurnTrigger")(
        **Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(stored))
    )
    assert trigger.serialize() == ("airflow_imgver.triggers.turn.TurnTrigger", stored)


@pytest.mark.parametrize("trigger", PLAIN, ids=lambda trigger: type(trigger).__name__)
def test_the_time_before_which_a_gate_does_not_open_is_stored_and_read_again(trigger: GateTrigger) -> None:
    _, kwargs = trigger.serialize()
    later = {**kwargs, "not_before": "2026-11-28T03:57:10+00:00"}
    assert type(trigger)(**later).serialize()[1] == later


# --- watchers of assets ---------------------------------------------------------------------------------

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/image-versions"
PLAIN_WATCHERS = [
    HealthImagingEventQueueTrigger(QUEUE),
    HealthImagingEventQueueTrigger(QUEUE, phases=("ready",), datastore_ids=(DATASTORE,)),
    HealthImagingDatastoreWatchTrigger(DATASTORE),
    SageMakerImageEventQueueTrigger(QUEUE, image_names=("studio-*",)),
    SageMakerImageWatchTrigger(name_contains="studio"),
]


@EACH_WATCHER
def test_a_watcher_that_an_earlier_release_stored_still_means_the_same(stored: Any) -> None:
    watcher: Any = made_again(stored["classpath"], stored["kwargs"])
    assert watcher.serialize() == (stored["classpath"], stored["kwargs"])
    # Otherwise its cursor, and what it remembers, would be lost with an upgrade.
    assert watcher.place_name == stored["place_name"]
    assert watcher.wanted.phases


def test_the_sample_has_every_watcher() -> None:
    classes = {type(each) for each in PLAIN_WATCHERS}
    assert {resolve_name(stored["classpath"]) for stored in WATCHERS} == classes


@pytest.mark.parametrize("watcher", PLAIN_WATCHERS, ids=lambda watcher: type(watcher).__name__)
def test_a_watcher_survives_airflows_storage_and_json_as_it_was(watcher: ImageVersionEventTrigger) -> None:
    classpath, kwargs = watcher.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    again: Any = made_again(classpath, kwargs)
    assert again.serialize() == (classpath, kwargs)
    # Airflow finds a watcher's row by this; another one each time would start it anew with each parsing.
    assert watcher.hash(classpath, kwargs) == again.hash(*again.serialize())


@pytest.mark.parametrize("watcher", PLAIN_WATCHERS, ids=lambda watcher: type(watcher).__name__)
def test_every_argument_of_a_watchers_constructor_is_stored(watcher: ImageVersionEventTrigger) -> None:
    import inspect

    arguments: set[str] = set()
    for cls in type(watcher).__mro__:
        if issubclass(cls, ImageVersionEventTrigger):
            arguments |= set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    assert set(watcher.serialize()[1]) == arguments


@pytest.mark.parametrize(
    "cls",
    sorted({type(each) for each in PLAIN_WATCHERS}, key=lambda cls: cls.__name__),
    ids=lambda cls: cls.__name__,
)
def test_no_argument_can_keep_a_stored_watcher_from_being_made(cls: Any) -> None:
    # Airflow makes them on the triggerer's loop, which an error but a TypeError would end.
    cls(**dict.fromkeys(cls.arguments, object()), aws_conn_id=1, region_name=[])
