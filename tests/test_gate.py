"""A gate by itself: what it counts, what it last saw, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import (
    AwsCallError,
    GateError,
    InvalidIdentityError,
    ResourceMissingError,
    UnexpectedAnswerError,
    VersionFailedError,
)
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.text import as_plain

IDENTITY = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}
OF = f"image set {IMAGE_SET} in data store {DATASTORE}"

pytestmark = pytest.mark.usefixtures("aws_connection")


def image_set_gate(**rule: Any) -> Gate:
    return Watch(HEALTHIMAGING, IDENTITY, GateSettings(**rule)).gate()


def image_gate(**rule: Any) -> Gate:
    return Watch(SAGEMAKER_IMAGE, {"image_name": IMAGE}, GateSettings(**rule)).gate()


def test_a_gate_reports_the_status_that_it_last_saw() -> None:
    gate, hook = image_set_gate(), HealthImagingHook()
    assert str(gate) == f"no version listed yet: {OF}"
    assert gate.plain() is None
    gate.poll(hook)
    assert str(gate) == f"AWS says that it does not exist: {OF}"
    load_image_set(image_set_entry(4))
    assert gate.poll(hook)
    assert str(gate) == f"UPDATED (ACTIVE, version 4): {OF}"
    assert gate.plain() == as_plain(image_set_entry(4))


def test_a_gate_on_a_version_that_is_not_listed_yet_waits_for_it() -> None:
    load_image_set(image_set_entry(4))
    gate, hook = image_set_gate(version="5"), HealthImagingHook()
    assert not gate.poll(hook)
    assert str(gate) == f"version 5 not listed yet: {OF}"
    load_image_set(image_set_entry(4), image_set_entry(5))
    assert gate.poll(hook)


def test_what_is_missing_is_counted_in_a_row_and_forgotten_once_it_is_there() -> None:
    gate, hook = image_gate(not_found_retries=2), SageMakerImageHook()
    assert not gate.poll(hook)
    assert not gate.poll(hook)
    assert list(gate.not_found_answers.values()) == [2]
    load_image(image_version_entry(1, "ARCHIVED") | {"ImageVersionStatus": "CREATED"})
    assert gate.poll(hook)
    assert gate.not_found_answers == {}


def test_what_stays_missing_is_an_error_after_its_retries() -> None:
    gate, hook = image_gate(not_found_retries=1), SageMakerImageHook()
    assert not gate.poll(hook)
    with pytest.raises(ResourceMissingError, match=r"ListImageVersions: .* for image studio-kernel\."):
        gate.poll(hook)


def test_passing_trouble_leaves_the_count_as_it_is() -> None:
    gate, hook = image_gate(not_found_retries=2), SageMakerImageHook()
    gate.poll(hook)
    inject_fault("sagemaker", "ListImageVersions", error={"code": "AccessDeniedException"})
    with pytest.raises(AwsCallError):
        gate.poll(hook)
    assert list(gate.not_found_answers.values()) == [1]


@pytest.mark.parametrize("wait_until", ["ready", "settled"])
def test_an_image_without_versions_waits_for_its_first(wait_until: str) -> None:
    load_image()
    assert not image_gate(wait_until=wait_until).poll(SageMakerImageHook())


def test_a_deleted_version_of_an_image_is_one_that_is_listed_no_more() -> None:
    load_image(image_version_entry(2))
    assert image_gate(wait_until="deleted", version=1).poll(SageMakerImageHook())
    assert not image_gate(wait_until="deleted", version=2).poll(SageMakerImageHook())


def test_a_failed_version_names_the_image_set() -> None:
    load_image_set(image_set_entry(2, "UPDATE_FAILED"))
    with pytest.raises(
        VersionFailedError, match=f"^UPDATE_FAILED, and AWS gave no reason.*It is version 2 of {OF}"
    ):
        image_set_gate().poll(HealthImagingHook())


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"version": "newest"}, InvalidIdentityError),
        ({"wait_until": "shut"}, ValueError),
        ({"not_found_retries": -1}, ValueError),
        ({"not_found_retries": 1.5}, ValueError),
    ],
)
def test_a_rule_that_is_none_is_refused_when_the_gate_is_made(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(bad))):
        image_gate(**bad)
    assert list_calls() == 0


def test_an_identity_that_is_none_is_refused_when_the_gate_is_made() -> None:
    with pytest.raises(InvalidIdentityError, match="image_name"):
        Watch(SAGEMAKER_IMAGE, {"image_name": "--"}, GateSettings()).gate()


def test_every_error_of_a_poll_is_an_error_of_a_gate() -> None:
    polls = (AwsCallError, ResourceMissingError, UnexpectedAnswerError, VersionFailedError)
    assert all(issubclass(error, GateError) for error in polls)
