"""The news come first: Airflow's UI cuts a log line at about 110 characters, and two ids fill them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from modes import ended
from support import (
    DATASTORE,
    IMAGE_SET,
    MISMATCH,
    changes_after,
    image_set_entry,
    load_image_set,
    logged,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import (
    AwsCallError,
    ResourceMissingError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

SEEN = 90
"""The characters of a line that the UI shows at 1,440 px, after the time and the level."""

pytestmark = pytest.mark.usefixtures("aws_connection")


def gate(**more: Any) -> HealthImagingImageSetVersionSensor:
    return HealthImagingImageSetVersionSensor(
        **{"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, **more}
    )


def error_of_a_gate(**more: Any) -> str:
    error = ended(gate, "deferrable", **more).error
    assert error is not None
    return f"{type(error).__name__}: {error}"


def assert_ids_once_at_the_end(text: str) -> None:
    for full in (IMAGE_SET, DATASTORE):
        assert text.count(full) == 1, text
        assert text.index(full) > SEEN, text


def test_a_failure_begins_with_awss_status_and_reason() -> None:
    load_image_set(image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    text = error_of_a_gate()
    assert text.startswith(f"{VersionFailedError.__name__}: COPY_FAILED: {MISMATCH[:50]}"[:SEEN])
    assert_ids_once_at_the_end(text)


@pytest.mark.parametrize("reason", ["no room", "no room.", "no room!"])
def test_awss_reason_does_not_run_into_the_next_sentence(reason: str) -> None:
    load_image_set(image_set_entry(2, "COPY_FAILED", message=reason))
    end = reason if reason[-1] in ".!" else f"{reason}."
    assert f"COPY_FAILED: {end} Fix the cause" in error_of_a_gate()


def test_a_deleted_version_is_named_first() -> None:
    load_image_set(image_set_entry(2, "DELETED", "DELETED"))
    text = error_of_a_gate()
    assert text.startswith(f"{VersionDeletedError.__name__}: DELETED, and this gate waits until")
    assert_ids_once_at_the_end(text)


def test_a_refused_call_begins_with_awss_code_and_words() -> None:
    load_image_set(image_set_entry(2))
    refusal = {"code": "AccessDeniedException", "message": "not yours"}
    inject_fault("medical-imaging", "ListImageSetVersions", error=refusal, times=None)
    text = error_of_a_gate()
    assert text.startswith(f"{AwsCallError.__name__}: AccessDeniedException from ListImageSetVersions: not")
    assert_ids_once_at_the_end(text)


def test_what_does_not_exist_names_the_region_and_the_connection() -> None:
    refusal = {"code": "ResourceNotFoundException", "message": "It does not exist"}
    inject_fault("medical-imaging", "ListImageSetVersions", error=refusal, times=None)
    text = error_of_a_gate(not_found_retries=0)
    assert text.startswith(f"{ResourceMissingError.__name__}: ResourceNotFoundException from ")
    assert "does not exist. The call went to us-east-1 with the connection aws_default." in text
    assert_ids_once_at_the_end(text)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_waiting_gate_logs_the_status_and_the_next_poll_first(mode: str) -> None:
    load_image_set(image_set_entry(2, "COPYING", "LOCKED"))
    with changes_after(polls=3), logged() as log:
        assert ended(gate, mode).error is None
    lines = [line.partition("Waiting until ")[2] for line in log.about("Waiting until ")]
    assert lines
    for line in lines:
        assert line.startswith("ready: COPYING (LOCKED, version 2)")
        assert line.index(IMAGE_SET) < line.index(DATASTORE)
    if mode == "deferrable":
        assert any(0 < line.find(", next poll in ") < SEEN for line in lines), lines


def test_a_throttled_poll_logs_the_reason_and_the_next_poll_first(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    load_image_set(image_set_entry(2))
    throttled = {"code": "ThrottlingException", "message": "Rate exceeded"}
    inject_fault("medical-imaging", "ListImageSetVersions", error=throttled, times=2)
    with logged() as log:
        assert ended(gate, "deferrable").error is None
    line = log.about("This may pass (1 so far, 1 in a row)")[0].partition("ThrottlingException")[2]
    assert line.startswith(" from ListImageSetVersions: Rate exceeded. This may pass")
    assert line.index("next poll in") < line.index(IMAGE_SET)
