"""A retry finds what an earlier try started; a task that has succeeded and is cleared acts again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from acting import (
    HEALTHIMAGING,
    SAGEMAKER,
    StateStore,
    Task,
    WorkerKilled,
    called,
    killed_after,
    lose_answer,
)
from support import DATASTORE, IMAGE, IMAGE_SET, image_set_entry, image_version_entry

from airflow_imgver.emulator import inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import NotLatestVersionError, UnknownOutcomeError, VersionFailedError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.operators import image_set_copy
from airflow_imgver.operators.healthimaging import (
    HealthImagingCopyImageSetOperator,
    HealthImagingDeleteImageSetOperator,
    HealthImagingUpdateImageSetMetadataOperator,
)
from airflow_imgver.operators.record import KEY
from airflow_imgver.operators.sagemaker_image import (
    SageMakerCreateImageVersionOperator,
    SageMakerDeleteImageVersionOperator,
)

SOURCE = "6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:1"
COPY, UPDATE, DELETE = "CopyImageSet", "UpdateImageSetMetadata", "DeleteImageSet"
CREATE_VERSION, DELETE_VERSION = "CreateImageVersion", "DeleteImageVersion"
IMAGE_SETS = {"datastore_id": DATASTORE}
ATTRIBUTES = {"Study": {"DICOM": {"StudyDescription": "De-identified"}}}


def copy_into() -> Task:
    given = {
        **IMAGE_SETS,
        "source_image_set_id": SOURCE,
        "destination_image_set_id": IMAGE_SET,
        "force": True,
    }
    return Task(HealthImagingCopyImageSetOperator, given=given)


def copy_to_new() -> Task:
    return Task(HealthImagingCopyImageSetOperator, given={**IMAGE_SETS, "source_image_set_id": SOURCE})


def update() -> Task:
    given = {**IMAGE_SETS, "image_set_id": IMAGE_SET, "updates": ATTRIBUTES}
    return Task(HealthImagingUpdateImageSetMetadataOperator, given=given)


def delete() -> Task:
    return Task(HealthImagingDeleteImageSetOperator, given={**IMAGE_SETS, "image_set_id": IMAGE_SET})


def create_version() -> Task:
    given = {"image_name": IMAGE, "base_image": BASE_IMAGE}
    return Task(SageMakerCreateImageVersionOperator, given=given)


def delete_version() -> Task:
    return Task(SageMakerDeleteImageVersionOperator, given={"image_name": IMAGE, "version": 1})


ACTIONS: list[Any] = [
    pytest.param(copy_into, HealthImagingHook, "copy_image_set", COPY, id="copy into a set"),
    pytest.param(copy_to_new, HealthImagingHook, "copy_image_set", COPY, id="copy to a new set"),
    pytest.param(update, HealthImagingHook, "update_image_set_metadata", UPDATE, id="update"),
    pytest.param(delete, HealthImagingHook, "delete_image_set", DELETE, id="delete"),
    pytest.param(create_version, SageMakerImageHook, "create_image_version", CREATE_VERSION, id="build"),
    pytest.param(
        delete_version, SageMakerImageHook, "delete_image_version", DELETE_VERSION, id="delete version"
    ),
]
# A second call with the same token makes no second version.
WITH_TOKEN = (CREATE_VERSION,)


@pytest.fixture(autouse=True)
def world(aws_connection: str) -> None:
    source = [{**image_set_entry(1, "CREATED"), "imageSetId": SOURCE}]
    load(
        {
            "healthimaging": {DATASTORE: {IMAGE_SET: [image_set_entry(1, "CREATED")], SOURCE: source}},
            "sagemaker": {IMAGE: [image_version_entry(2), image_version_entry(1)]},
        }
    )


def service_of(operation: str) -> str:
    return SAGEMAKER if operation in (CREATE_VERSION, DELETE_VERSION) else HEALTHIMAGING


def versions_of(image_set_id: str = IMAGE_SET) -> list[str]:
    return [
        each["versionId"] for each in HealthImagingHook().iter_image_set_versions(DATASTORE, image_set_id)
    ]


def image_numbers() -> list[int]:
    return [each["Version"] for each in SageMakerImageHook().iter_image_versions(IMAGE)]


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
@pytest.mark.parametrize(("make", "hook", "method", "operation"), ACTIONS)
def test_a_worker_killed_right_after_aws_answered_acts_once(
    make: Any, hook: type, method: str, operation: str, mode: str
) -> None:
    task = make()
    task.mode = mode
    with killed_after(hook, method), pytest.raises(WorkerKilled):
        task.run()
    returned = task.retry()

    assert called(operation, service_of(operation)) == (2 if operation in WITH_TOKEN else 1)
    if make in (copy_into, update):
        assert (returned["versionId"], versions_of()) == ("2", ["2", "1"])
    if make is create_version:
        assert (returned["Version"], image_numbers()) == (3, [3, 2, 1])
    if make is copy_to_new:
        assert list(HealthImagingHook().iter_image_set_ids(DATASTORE)).count(returned["imageSetId"]) == 1
        assert len(set(HealthImagingHook().iter_image_set_ids(DATASTORE))) == 3


@pytest.mark.parametrize(("make", "hook", "method", "operation"), ACTIONS)
def test_an_answer_that_is_lost_on_its_way_is_looked_for_in_the_same_try(
    make: Any, hook: type, method: str, operation: str
) -> None:
    lose_answer(operation, service_of(operation))
    make().run()
    assert called(operation, service_of(operation)) == (2 if operation in WITH_TOKEN else 1)
    if make in (copy_into, update):
        assert versions_of() == ["2", "1"]
    if make is create_version:
        assert image_numbers() == [3, 2, 1]


@pytest.mark.parametrize(("make", "hook", "method", "operation"), ACTIONS)
def test_a_call_that_never_reached_aws_is_sent_again(
    make: Any, hook: type, method: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LONGEST_CALL", "CLOCK_SKEW"):
        monkeypatch.setattr(image_set_copy, name, timedelta(milliseconds=200))
    inject_fault(service_of(operation), operation, kind="drop")
    make().run()
    assert called(operation, service_of(operation)) == 2
    if make in (copy_into, update):
        assert versions_of() == ["2", "1"]


@pytest.mark.parametrize(("make", "hook", "method", "operation"), ACTIONS[:5])
def test_a_task_that_has_succeeded_acts_again_when_it_is_cleared(
    make: Any, hook: type, method: str, operation: str
) -> None:
    task = make()
    task.run()
    if make in (delete, copy_into):
        world_again = {"healthimaging": {DATASTORE: {IMAGE_SET: [image_set_entry(1, "CREATED")]}}}
        load(world_again)
    task.clear_and_run()
    assert called(operation, service_of(operation)) == 2


@pytest.mark.parametrize(("make", "hook", "method", "operation"), ACTIONS)
def test_a_retry_of_a_try_that_was_lost_after_its_success_acts_no_second_time(
    make: Any, hook: type, method: str, operation: str
) -> None:
    task = make()
    first = task.run()
    assert task.retry() == first or make in (delete,)
    assert called(operation, service_of(operation)) == 1


def test_a_task_that_is_cleared_before_it_succeeded_finds_what_it_started() -> None:
    task = update()
    with killed_after(HealthImagingHook, "update_image_set_metadata"), pytest.raises(WorkerKilled):
        task.run()
    assert task.clear_and_run()["versionId"] == "2"
    assert called(UPDATE) == 1


def test_a_task_that_asks_for_something_else_when_it_is_cleared_acts_again() -> None:
    task = update()
    with killed_after(HealthImagingHook, "update_image_set_metadata"), pytest.raises(WorkerKilled):
        task.run()
    task.given |= {"updates": {"Study": {"DICOM": {"StudyDescription": "Other"}}}}
    assert task.clear_and_run()["versionId"] == "3"


def test_a_retry_acts_again_where_aws_failed() -> None:
    task = update()
    task.given |= {"updates": {"Study": {"DICOM": {"NoSuchAttribute": "1"}}}}
    for version in ("2", "3"):
        with pytest.raises(VersionFailedError, match=f"version {version}"):
            task.run() if version == "2" else task.retry()
    assert versions_of() == ["3", "2", "1"]


def test_a_retry_builds_again_with_a_new_token_where_the_build_failed() -> None:
    task = create_version()
    task.given |= {"base_image": "not-in-ecr"}
    for attempt in (task.run, task.retry):
        with pytest.raises(VersionFailedError, match="CREATE_FAILED"):
            attempt()
    assert image_numbers() == [4, 3, 2, 1]


def test_without_a_store_a_retry_of_a_build_still_has_its_token() -> None:
    task = create_version()
    task.store = None
    with killed_after(SageMakerImageHook, "create_image_version"), pytest.raises(WorkerKilled):
        task.run()
    assert task.retry()["Version"] == 3
    assert image_numbers() == [3, 2, 1]


def test_without_a_store_a_retry_builds_again_where_the_build_failed() -> None:
    task = create_version()
    task.store = None
    task.given |= {"base_image": "not-in-ecr"}
    for attempt in (task.run, task.retry):
        with pytest.raises(VersionFailedError):
            attempt()
    assert image_numbers() == [4, 3, 2, 1]


def test_without_a_store_a_retry_with_a_given_version_is_refused_by_aws() -> None:
    task = update()
    task.store = None
    task.given |= {"latest_version": 1}
    with killed_after(HealthImagingHook, "update_image_set_metadata"), pytest.raises(WorkerKilled):
        task.run()
    with pytest.raises(NotLatestVersionError):
        task.retry()
    assert versions_of() == ["2", "1"]


def test_a_version_of_another_writer_is_not_taken_for_the_tasks_own() -> None:
    task = copy_into()
    inject_fault(HEALTHIMAGING, COPY, kind="drop")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(HealthImagingCopyImageSetOperator, "_find", killed)
        with pytest.raises(WorkerKilled):
            task.run()
    update().run()
    with pytest.raises(NotLatestVersionError, match="version 2 is UPDATED, from another writer"):
        task.retry()
    assert task.retry()["versionId"] == "3", "the next try acts on the version that there is now"


def killed(*_: Any) -> None:
    raise WorkerKilled


def test_two_copies_that_may_be_the_tasks_own_end_it_with_their_ids() -> None:
    task = copy_to_new()
    with killed_after(HealthImagingHook, "copy_image_set"), pytest.raises(WorkerKilled):
        task.run()
    other = copy_to_new().run()
    with pytest.raises(UnknownOutcomeError, match="it cannot be known which") as failed:
        task.retry()
    assert other["imageSetId"] in str(failed.value)
    assert called(COPY) == 2


def test_what_is_kept_holds_no_attribute_and_no_secret() -> None:
    task = update()
    task.given |= {"updates": {"Patient": {"DICOM": {"PatientName": "Doe^Jane"}}}}
    task.run()
    assert isinstance(task.store, StateStore)
    assert "Doe" not in str(task.store.values[KEY])


def test_the_token_is_the_task_instances_own() -> None:
    one, other = create_version(), create_version()
    other.instance.map_index = 1
    assert (one.run()["Version"], other.run()["Version"]) == (3, 4)
