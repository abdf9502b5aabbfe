"""A gate as an Airflow sensor: deferral, the trigger's event, templates, defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow.sdk import DAG, timezone
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    TaskInstance,
    changes_after,
    context_of,
    image_set_entry,
    load_image_set,
)

from airflow_imgver import exceptions
from airflow_imgver.exceptions import TriggerFailedError, UnexpectedEventError, VersionFailedError
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor


def gate(**more: Any) -> HealthImagingImageSetVersionSensor:
    given = {"task_id": "gate", "datastore_id": DATASTORE, "image_set_id": IMAGE_SET, "deferrable": True}
    return HealthImagingImageSetVersionSensor(**{**given, **more})


@pytest.fixture
def deferred(aws_connection: str) -> Any:
    """How a gate on a busy image set defers, and what it has left in XCom by then."""

    def defer(**more: Any) -> tuple[TaskDeferred, dict[str, Any]]:
        ti = TaskInstance()
        with changes_after(polls=1_000_000):
            load_image_set(image_set_entry(4, "UPDATING", "LOCKED"))
            with pytest.raises(TaskDeferred) as caught:
                gate(**more).execute(context_of(ti))
        return caught.value, ti.xcoms

    return defer


def test_a_deferred_gate_hands_every_argument_to_its_trigger(deferred: Any) -> None:
    settings = {
        "version": "4",
        "wait_until": "settled",
        "not_found_retries": 5,
        "exponential_backoff": True,
        "silent_fail": True,
        "aws_conn_id": "aws_default",
        "region_name": "us-east-1",
        "verify": False,
        "botocore_config": {"read_timeout": 30},
        "allow_read_only": False,
    }
    found, _ = deferred(poke_interval=timedelta(seconds=7), max_wait=timedelta(minutes=2), **settings)
    _, kwargs = found.trigger.serialize()
    assert {name: kwargs[name] for name in settings} == settings
    assert (kwargs["poke_interval"], kwargs["max_wait"]) == (7.0, 120.0)
    assert (kwargs["datastore_id"], kwargs["image_set_id"]) == (DATASTORE, IMAGE_SET)


def test_the_triggers_deadline_is_the_sensors_timeout_and_airflows_is_a_little_later(
    deferred: Any,
) -> None:
    before = timezone.utcnow()
    found, _ = deferred(timeout=3600)
    deadline = datetime.fromisoformat(found.trigger.deadline)
    assert before + timedelta(hours=1) <= deadline <= timezone.utcnow() + timedelta(hours=1)
    assert found.timeout == timedelta(hours=1, minutes=1)
    assert found.method_name == "execute_complete"


def test_the_link_is_persisted_before_deferring(deferred: Any) -> None:
    _, xcoms = deferred()
    assert xcoms["healthimaging_image_set"]["image_set_id"] == IMAGE_SET


def test_polls_that_found_nothing_before_deferring_are_counted(aws_connection: str) -> None:
    with pytest.raises(TaskDeferred) as caught:
        gate(not_found_retries=3).execute(context_of())
    trigger = caught.value.trigger
    assert trigger.not_found_retries == 3
    assert list(trigger.not_found_answers.values()) == [1]


# --- the event ------------------------------------------------------------------------------------------


def test_an_open_gate_returns_the_entry_of_the_event() -> None:
    assert gate().execute_complete({}, {"status": "open", "entry": {"versionId": "4"}}) == {"versionId": "4"}
    assert gate().execute_complete({}, {"status": "open", "entry": None}) is None


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        [],
        "open",
        True,
        {"status": "open"},
        {"status": "open", "entry": "4"},
        {"status": "open", "entry": [1]},
        {"status": "success", "entry": {}},
        {"status": "error"},
        {"status": "error", "error": "VersionFailedError"},
        {"status": "error", "error": "SystemExit", "message": "no"},
        {"status": "error", "error": 3, "message": "no"},
        {"status": "timeout"},
        {"status": "timeout", "message": None},
    ],
)
@pytest.mark.parametrize("flags", [{}, {"soft_fail": True}], ids=["plain", "soft_fail"])
def test_no_event_or_a_strange_one_is_an_error_and_never_a_success_or_a_skip(
    event: Any, flags: dict[str, bool]
) -> None:
    with pytest.raises(UnexpectedEventError, match="Clear the task to wait again"):
        gate(**flags).resume_execution("execute_complete", {"event": event}, {})


def test_a_gate_resumed_without_an_event_at_all_fails() -> None:
    with pytest.raises(UnexpectedEventError):
        gate().execute_complete({})


@pytest.mark.parametrize(
    "name",
    [
        "VersionFailedError",
        "VersionDeletedError",
        "ResourceMissingError",
        "AwsCallError",
        "UnexpectedAnswerError",
        "TriggerFailedError",
    ],
)
def test_an_error_of_the_trigger_is_raised_as_the_class_it_was(name: str) -> None:
    event = {"status": "error", "error": name, "message": "AWS's own words"}
    for flags in ({}, {"soft_fail": True}):
        with pytest.raises(getattr(exceptions, name), match=r"^AWS's own words$") as caught:
            gate(**flags).resume_execution("execute_complete", {"event": event}, {})
        assert type(caught.value).__name__ == name
    with pytest.raises(AirflowSkipException):
        gate(never_fail=True).resume_execution("execute_complete", {"event": event}, {})


def test_a_timeout_of_the_trigger_is_the_sensors() -> None:
    with pytest.raises(AirflowSensorTimeout, match=r"^Last seen: x$"):
        gate().execute_complete({}, {"status": "timeout", "message": "Last seen: x"})


def test_no_error_of_this_package_is_an_airflow_exception() -> None:
    from airflow.providers.common.compat.sdk import AirflowException

    for error in (TriggerFailedError, UnexpectedEventError, VersionFailedError):
        assert not issubclass(error, AirflowException)


# --- templates and defaults -----------------------------------------------------------------------------


def test_identities_and_versions_may_be_templates(aws_connection: str) -> None:
    load_image_set(image_set_entry(3), image_set_entry(4))
    sensor = gate(
        datastore_id="{{ made['datastoreId'] }}",
        image_set_id="{{ made['imageSetId'] }}",
        version="{{ made['latestVersionId'] }}",
        region_name="{{ 'us-east-1' }}",
    )
    made = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "latestVersionId": 3}
    context = context_of(made=made)
    sensor.render_template_fields(context)
    assert sensor.version == "3"
    assert sensor.execute(context)["versionId"] == "3"


def test_ids_come_from_the_xcom_of_the_task_before_and_order_the_two() -> None:
    with DAG("clinic", schedule=None):
        from airflow.sdk import task

        @task
        def copied() -> dict[str, str]:
            return {}

        sensor = gate(image_set_id=copied()["imageSetId"], version=copied()["latestVersionId"])
    assert {one.split("__")[0] for one in sensor.upstream_task_ids} == {"copied"}


@pytest.mark.parametrize("cls", [HealthImagingImageSetVersionSensor, SageMakerImageVersionSensor])
def test_what_says_what_is_watched_is_templated(cls: Any) -> None:
    assert {*cls.service.identity_names, "version", "aws_conn_id", "region_name"} <= {*cls.template_fields}


def test_the_default_of_deferrable_is_airflows() -> None:
    code = (
        "from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor as S;"
        f"print('deferrable', S(task_id='gate', image_name='{IMAGE}').deferrable)"
    )
    environment = {**os.environ, "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    assert "deferrable True" in run.stdout
    assert SageMakerImageVersionSensor(task_id="gate", image_name=IMAGE).deferrable is False
