"""The operators that create and delete image versions of SageMaker AI."""

from __future__ import annotations

from typing import Any

import pytest
from acting import SAGEMAKER, Task, called
from modes import MODES
from support import IMAGE, changes_after, client_of, image_version_entry, load_image

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import AwsCallError, ResourceMissingError, VersionFailedError
from airflow_imgver.operators.sagemaker_image import (
    SageMakerCreateImageVersionOperator,
    SageMakerDeleteImageVersionOperator,
)

BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:1"
ROLE = "arn:aws:iam::123456789012:role/SageMaker"
CREATE, DELETE = "CreateImageVersion", "DeleteImageVersion"


@pytest.fixture(autouse=True)
def image(aws_connection: str) -> None:
    load_image(image_version_entry(2), image_version_entry(1))


def create_task(mode: str = "poke", **more: Any) -> Task:
    given = {"image_name": IMAGE, "base_image": BASE_IMAGE, **more}
    return Task(SageMakerCreateImageVersionOperator, mode, given=given)


def delete_task(mode: str = "poke", **more: Any) -> Task:
    return Task(SageMakerDeleteImageVersionOperator, mode, given={"image_name": IMAGE, **more})


@pytest.mark.parametrize("mode", MODES)
def test_a_build_returns_the_entry_of_its_version_with_what_was_asked_for(
    mode: str, emulator_url: str
) -> None:
    given = {"aliases": ["stable"], "processor": "GPU", "horovod": "True", "programming_lang": "Python 3.12"}
    with changes_after(polls=3):
        entry = create_task(mode, **given).run()
    assert (entry["Version"], entry["ImageVersionStatus"]) == (3, "CREATED")
    aws = client_of(SAGEMAKER, emulator_url)
    described = aws.describe_image_version(ImageName=IMAGE, Alias="stable")
    assert (described["Version"], described["Processor"], described["Horovod"]) == (3, "GPU", True)
    assert called(CREATE, SAGEMAKER) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_build_fails_with_sagemakers_reason(mode: str) -> None:
    with changes_after(polls=3), pytest.raises(VersionFailedError, match="is not an Amazon ECR image URI"):
        create_task(mode, base_image="not-in-ecr").run()


@pytest.mark.parametrize("mode", MODES)
def test_an_image_that_does_not_exist_is_created_first_where_a_role_is_given(mode: str) -> None:
    with changes_after(polls=3):
        entry = create_task(mode, image_name="brand-new", image_role_arn=ROLE).run()
    assert (entry["Version"], entry["ImageVersionStatus"]) == (1, "CREATED")
    assert called("CreateImage", SAGEMAKER) == 1


def test_without_a_role_an_image_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ResourceMissingError, match="from CreateImageVersion"):
        create_task(image_name="brand-new").run()
    assert called("CreateImage", SAGEMAKER) == 0


def test_without_waiting_a_build_returns_its_arn_and_number() -> None:
    entry = create_task(wait_for_completion=False).run()
    assert entry == {"ImageVersionArn": entry["ImageVersionArn"], "Version": 3}
    assert entry["ImageVersionArn"].endswith(f"/{IMAGE}/3")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", [1, "1", image_version_entry(1)["ImageVersionArn"]])
def test_a_deletion_ends_when_the_version_is_gone_and_returns_nothing(
    mode: str, version: Any, emulator_url: str
) -> None:
    with changes_after(polls=3):
        assert delete_task(mode, version=version).run() is None
    left = client_of(SAGEMAKER, emulator_url).list_image_versions(ImageName=IMAGE)["ImageVersions"]
    assert [each["Version"] for each in left] == [2]
    assert called(DELETE, SAGEMAKER) == 1


def test_a_deletion_by_alias_finds_the_version_that_has_it(emulator_url: str) -> None:
    create_task(aliases="old").run()
    delete_task(alias="old").run()
    left = client_of(SAGEMAKER, emulator_url).list_image_versions(ImageName=IMAGE)["ImageVersions"]
    assert [each["Version"] for each in left] == [2, 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "operation"), [(create_task, CREATE), (delete_task, DELETE)])
def test_a_change_at_the_same_time_is_waited_out(mode: str, make: Any, operation: str) -> None:
    error = {"code": "ResourceInUse", "message": "Resource was modified concurrently"}
    inject_fault(SAGEMAKER, operation, error=error)
    make(mode, **({"version": 1} if make is delete_task else {})).run()
    assert called(operation, SAGEMAKER) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "operation"), [(create_task, CREATE), (delete_task, DELETE)])
def test_a_missing_permission_fails_at_once_and_names_the_call(mode: str, make: Any, operation: str) -> None:
    inject_fault(SAGEMAKER, operation, error={"code": "AccessDeniedException", "message": "no"}, times=None)
    with pytest.raises(AwsCallError, match=f"AccessDeniedException from {operation}: no"):
        make(mode, **({"version": 1} if make is delete_task else {})).run()
    assert called(operation, SAGEMAKER) == 1


def test_a_version_that_does_not_exist_is_an_error() -> None:
    for given in ({"version": 7}, {"alias": "nobody"}):
        with pytest.raises(ResourceMissingError):
            delete_task(**given).run()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (create_task(image_name="-no"), "image_name must be"),
        (create_task(base_image=""), "base_image must be"),
        (create_task(horovod="perhaps"), "horovod must be True or False"),
        (create_task(aliases="[broken"), "aliases begins like a list"),
        (delete_task(), "Give the version to delete, or an alias"),
        (delete_task(version=1, alias="a"), "Give the version to delete, or an alias"),
        (delete_task(version="newest"), "version must be a version number"),
        (delete_task(version=-1), "version must be 0 or more"),
    ],
)
def test_what_cannot_be_valid_is_refused_before_any_request(task: Task, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task.run()
    assert called(CREATE, SAGEMAKER) + called(DELETE, SAGEMAKER) == 0
