"""One gate, three modes: each row of the rule ends the same way in poke, reschedule and deferrable mode."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    changes_after,
    connection_json,
    context_of,
    image_set_entry,
    image_version_entry,
    in_pages,
    list_calls,
    load_image,
    load_image_set,
    stub_aws,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import (
    AwsCallError,
    ResourceMissingError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor
from airflow_imgver.text import as_plain

IN_EACH_MODE = pytest.mark.parametrize("mode", MODES)


def image_set_gate(**more: Any) -> HealthImagingImageSetVersionSensor:
    return HealthImagingImageSetVersionSensor(
        **{"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, **more}
    )


def image_gate(**more: Any) -> SageMakerImageVersionSensor:
    return SageMakerImageVersionSensor(**{"image_name": IMAGE, **more})


pytestmark = pytest.mark.usefixtures("aws_connection")


READY = image_set_entry(4)
FAILED = image_set_entry(4, "COPY_FAILED", message=MISMATCH)
DELETED = image_set_entry(4, "DELETED", "DELETED")
BUSY = image_set_entry(4, "UPDATING", "LOCKED")

# entry, wait_until, flags -> the class that ends it, or None where the gate opens
ROWS: list[Any] = [
    (READY, "ready", {}, None),
    (READY, "settled", {}, None),
    (FAILED, "ready", {}, VersionFailedError),
    (FAILED, "ready", {"soft_fail": True}, VersionFailedError),
    (FAILED, "ready", {"never_fail": True}, AirflowSkipException),
    (FAILED, "settled", {}, None),
    (DELETED, "ready", {}, VersionDeletedError),
    (DELETED, "ready", {"soft_fail": True}, VersionDeletedError),
    (DELETED, "settled", {}, None),
    (DELETED, "deleted", {}, None),
    (None, "ready", {}, ResourceMissingError),
    (None, "ready", {"soft_fail": True}, ResourceMissingError),
    (None, "ready", {"never_fail": True}, AirflowSkipException),
    (None, "deleted", {}, None),
]


@pytest.mark.parametrize(
    ("entry", "wait_until", "flags", "expected"),
    ROWS,
    ids=lambda value: str(value.get("ImageSetWorkflowStatus", value)) if isinstance(value, dict) else None,
)
def test_a_row_of_the_rule_ends_the_same_way_in_each_mode(
    entry: Any, wait_until: str, flags: dict[str, Any], expected: Any
) -> None:
    outcomes = []
    for mode in MODES:
        if entry is not None:
            load_image_set(entry)
        # Passing trouble first, so that a deferrable gate sees in its trigger what ends it.
        trouble = {"code": "ConflictException", "message": "not consistent yet"}
        inject_fault("medical-imaging", "ListImageSetVersions", error=trouble, times=1)
        outcomes.append(ended(image_set_gate, mode, wait_until=wait_until, **flags))
    for outcome in outcomes:
        if expected is None:
            assert outcome.error is None, outcome.error
        else:
            assert type(outcome.error) is expected
        assert outcome.value == (as_plain(entry) if entry and expected is None else None)
        assert str(outcome.error) == str(outcomes[0].error)
        assert outcome.xcoms == outcomes[0].xcoms


@pytest.mark.parametrize(
    ("flags", "expected"), [({}, VersionFailedError), ({"never_fail": True}, AirflowSkipException)]
)
def test_a_failed_version_at_the_first_poll_needs_no_triggerer(flags: Any, expected: Any) -> None:
    load_image_set(FAILED)
    with pytest.raises(expected):
        image_set_gate(task_id="gate", deferrable=True, **flags).execute(context_of())
    assert list_calls() == 1


@IN_EACH_MODE
def test_a_gate_waits_for_what_is_going_on_and_returns_the_entry(mode: str) -> None:
    with changes_after(polls=3):
        load_image_set(image_set_entry(3), BUSY)
        outcome = ended(image_set_gate, mode, version=4)
    assert outcome.error is None
    assert outcome.value["ImageSetWorkflowStatus"] == "UPDATED"
    assert outcome.value["versionId"] == "4"
    assert list_calls() >= 3


@IN_EACH_MODE
def test_a_gate_on_an_image_version_takes_its_arn(mode: str) -> None:
    load_image(image_version_entry(1, "CREATE_FAILED", FailureReason="no such tag"), image_version_entry(2))
    arn = image_version_entry(1)["ImageVersionArn"]
    assert ended(image_gate, mode).value == as_plain(image_version_entry(2))
    failed = ended(image_gate, mode, version=arn)
    assert type(failed.error) is VersionFailedError
    assert "no such tag" in str(failed.error)


@IN_EACH_MODE
def test_a_gate_on_an_image_version_that_cannot_be_deleted_fails(mode: str) -> None:
    load_image(image_version_entry(1, "DELETE_FAILED", FailureReason="in use"))
    outcome = ended(image_gate, mode, wait_until="deleted")
    assert type(outcome.error) is VersionFailedError


@IN_EACH_MODE
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
    ids=["plain", "soft_fail", "never_fail"],
)
def test_a_timeout_ends_the_gate_the_same_way_in_each_mode(
    mode: str, flags: dict[str, Any], expected: type[Exception]
) -> None:
    with changes_after(polls=1_000_000):
        load_image_set(BUSY)
        outcome = ended(image_set_gate, mode, timeout=2.5, **flags)
    assert type(outcome.error) is expected
    if not flags:
        assert str(outcome.error).endswith(
            f"Last seen: UPDATING (LOCKED, version 4): image set {IMAGE_SET} in data store {DATASTORE}."
        )


@IN_EACH_MODE
@pytest.mark.parametrize(("flag", "expected"), [(None, AwsCallError), ("never_fail", AirflowSkipException)])
def test_a_permanent_refusal_ends_the_gate_at_the_first_call(
    mode: str, flag: str | None, expected: type[Exception]
) -> None:
    load_image_set(READY)
    refusal = {"code": "AccessDeniedException", "message": "not yours"}
    inject_fault("medical-imaging", "ListImageSetVersions", error=refusal, times=None)
    outcome = ended(image_set_gate, mode, **({flag: True} if flag else {}))
    assert type(outcome.error) is expected
    assert list_calls() == 1


@IN_EACH_MODE
def test_under_silent_fail_a_failed_version_is_waited_on(mode: str) -> None:
    load_image_set(FAILED)
    outcome = ended(image_set_gate, mode, silent_fail=True, timeout=2.5)
    assert type(outcome.error) is AirflowSensorTimeout
    assert "COPY_FAILED" in str(outcome.error)
    assert list_calls() >= 2


@IN_EACH_MODE
@pytest.mark.parametrize("retries", [0, 2])
def test_something_missing_is_asked_for_so_many_times_more(mode: str, retries: int) -> None:
    outcome = ended(image_gate, mode, not_found_retries=retries)
    assert type(outcome.error) is ResourceMissingError
    assert list_calls() == retries + 1


@IN_EACH_MODE
def test_expired_credentials_have_the_connection_resolved_again(mode: str) -> None:
    load_image(image_version_entry(1))
    expired = {"code": "ExpiredTokenException", "message": "expired"}
    inject_fault("sagemaker", "ListImageVersions", error=expired, times=1)
    assert ended(image_gate, mode).value == as_plain(image_version_entry(1))
    inject_fault("sagemaker", "ListImageVersions", error=expired, times=None)
    assert type(ended(image_gate, mode).error) is AwsCallError


@IN_EACH_MODE
def test_an_error_that_nobody_foresaw_is_a_skip_under_never_fail_too(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {**READY, "ImageSetWorkflowStatus": 7}
    with stub_aws(in_pages([[odd]], "medical-imaging")) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        assert isinstance(ended(image_set_gate, mode).error, Exception)
        assert type(ended(image_set_gate, mode, never_fail=True).error) is AirflowSkipException


BAD = [
    {"image_set_id": "SHORT"},
    {"datastore_id": None},
    {"version": "latest"},
    {"version": ""},
    {"wait_until": "open"},
    {"not_found_retries": -1},
    {"not_found_retries": "two"},
]


@IN_EACH_MODE
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad}")
def test_what_cannot_be_asked_for_is_refused_before_any_request(mode: str, bad: dict[str, Any]) -> None:
    outcome = ended(image_set_gate, mode, **bad)
    assert isinstance(outcome.error, ValueError)
    assert next(iter(bad)) in str(outcome.error)
    assert list_calls() == 0
    assert outcome.xcoms == {}


@IN_EACH_MODE
@pytest.mark.parametrize("allow", [True, False])
def test_the_source_of_a_running_copy_is_ready_where_reading_is_allowed(mode: str, allow: bool) -> None:
    source = image_set_entry(1, "COPYING_WITH_READ_ONLY_ACCESS", "LOCKED")
    with changes_after(polls=1_000_000):
        load_image_set(source)
        outcome = ended(image_set_gate, mode, allow_read_only=allow, timeout=2.5)
    assert (outcome.error is None) is allow


@IN_EACH_MODE
@pytest.mark.parametrize("push", [True, False])
def test_the_console_link_is_there_from_the_first_leg_on(mode: str, push: bool) -> None:
    load_image_set(READY)
    outcome = ended(image_set_gate, mode, do_xcom_push=push)
    assert (outcome.xcoms.get("healthimaging_image_set") is not None) is push
    if push:
        assert outcome.xcoms["healthimaging_image_set"] == {
            "region_name": "us-east-1",
            "aws_domain": "aws.amazon.com",
            "datastore_id": DATASTORE,
            "image_set_id": IMAGE_SET,
        }


@IN_EACH_MODE
def test_trouble_in_assuming_the_role_that_passes_is_waited_out(
    mode: str, emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assumed = connection_json(
        emulator_url,
        role_arn="arn:aws:iam::123456789012:role/reader",
        service_config={"sts": {"endpoint_url": emulator_url}},
        # Boto's own retries would hide it.
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", assumed)
    busy = {"code": "ThrottlingException", "message": "Rate exceeded", "status": 400}
    inject_fault("sts", "AssumeRole", error=busy, times=4)
    outcome = ended(image_gate, mode, wait_until="deleted")
    assert outcome.error is None, outcome.error
