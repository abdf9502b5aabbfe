"""The operator that imports DICOM files: what it returns, refuses, and finds on a retry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from acting import HEALTHIMAGING, Task, WorkerKilled, called, killed_after, lose_answer
from modes import MODES
from moto.moto_api import state_manager
from support import DATASTORE, changes_after, client_of, image_set_entry, load_image_set

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import AwsCallError, ImportJobFailedError, ResourceMissingError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.operators.healthimaging import HealthImagingStartDICOMImportJobOperator

START = "StartDICOMImportJob"
BUCKET = "imaging"
GIVEN = {
    "datastore_id": DATASTORE,
    "input_s3_uri": f"s3://{BUCKET}/studies/one/",
    "output_s3_uri": f"s3://{BUCKET}/imports/",
    "data_access_role_arn": "arn:aws:iam::123456789012:role/import",
}


@pytest.fixture(autouse=True)
def datastore(aws_connection: str, emulator_url: str) -> None:
    load_image_set(image_set_entry(1))
    s3 = client_of("s3", emulator_url)
    s3.create_bucket(Bucket=BUCKET)
    s3.close()


def import_task(mode: str = "poke", **more: Any) -> Task:
    return Task(HealthImagingStartDICOMImportJobOperator, mode, given={**GIVEN, **more})


def jobs(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client_of(HEALTHIMAGING, url).list_dicom_import_jobs(datastoreId=DATASTORE)[
        "jobSummaries"
    ]
    return found


@pytest.mark.parametrize("mode", MODES)
def test_an_import_returns_the_image_sets_that_it_made(mode: str, emulator_url: str) -> None:
    with changes_after(polls=2):
        made = import_task(mode, job_name="nightly").run()
    assert made
    assert all(each["datastoreId"] == DATASTORE and each["isPrimary"] for each in made)
    assert json.loads(json.dumps(made)) == made
    (job,) = jobs(emulator_url)
    assert (job["jobName"], job["jobStatus"]) == ("nightly", "COMPLETED")


def test_without_waiting_an_import_returns_awss_answer() -> None:
    answer = import_task(wait_for_completion=False).run()
    assert set(answer) == {"datastoreId", "jobId", "jobStatus", "submittedAt"}
    assert isinstance(answer["submittedAt"], str)


@pytest.fixture
def locked_study(emulator_url: str) -> Iterator[None]:
    """A study that is imported already, and whose image set is locked by an update."""
    (made, *_) = import_task().run()
    model = "medical-imaging::image-set"
    state_manager.set_transition(model, {"progression": "manual", "times": 1_000})
    HealthImagingHook().update_image_set_metadata(
        DATASTORE,
        made["imageSetId"],
        latest_version=made["imageSetVersion"],
        updates='{"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDescription":"A"}}}',
    )
    yield
    state_manager.unset_transition(model)


@pytest.mark.usefixtures("locked_study")
@pytest.mark.parametrize("mode", MODES)
def test_a_failed_import_fails_with_awss_reason(mode: str) -> None:
    task = import_task(mode)
    # Another task, so another token than that of the first import.
    task.instance.task_id = "again"
    with pytest.raises(ImportJobFailedError, match="is locked"):
        task.run()


@pytest.mark.parametrize("mode", MODES)
def test_a_worker_killed_right_after_aws_answered_imports_once(mode: str, emulator_url: str) -> None:
    task = import_task(mode)
    with killed_after(HealthImagingHook, "start_dicom_import_job"), pytest.raises(WorkerKilled):
        task.run()
    assert task.retry()
    assert len(jobs(emulator_url)) == 1


def test_without_a_store_a_retry_still_has_its_token(emulator_url: str) -> None:
    task = import_task()
    task.store = None
    with killed_after(HealthImagingHook, "start_dicom_import_job"), pytest.raises(WorkerKilled):
        task.run()
    assert task.retry()
    assert len(jobs(emulator_url)) == 1


def test_an_answer_that_is_lost_starts_no_second_job(emulator_url: str) -> None:
    lose_answer(START)
    assert import_task().run()
    assert len(jobs(emulator_url)) == 1
    assert called(START) == 2


@pytest.mark.usefixtures("locked_study")
def test_a_retry_of_a_failed_import_imports_again(emulator_url: str) -> None:
    task = import_task()
    task.instance.task_id = "again"
    for attempt in (task.run, task.retry):
        with pytest.raises(ImportJobFailedError):
            attempt()
    assert len(jobs(emulator_url)) == 3


def test_a_task_that_has_succeeded_imports_again_when_it_is_cleared(emulator_url: str) -> None:
    task = import_task()
    task.run()
    task.clear_and_run()
    assert len(jobs(emulator_url)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_permission_fails_at_once_and_names_the_call(mode: str) -> None:
    denied = {"code": "AccessDeniedException", "message": "not authorized"}
    inject_fault(HEALTHIMAGING, START, error=denied, times=None)
    with pytest.raises(AwsCallError, match=f"AccessDeniedException from {START}: not authorized"):
        import_task(mode).run()
    assert called(START) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_refusal_that_passes_is_waited_out(mode: str) -> None:
    error = {"code": "ServiceQuotaExceededException", "message": "100 jobs"}
    inject_fault(HEALTHIMAGING, START, error=error)
    assert import_task(mode).run()
    assert called(START) == 2


def test_a_data_store_that_does_not_exist_is_awss_answer() -> None:
    with pytest.raises(ResourceMissingError):
        import_task(datastore_id="0" * 32).run()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"datastore_id": "one"}, "datastore_id must be"),
        ({"input_s3_uri": f"s3://{BUCKET}"}, "input_s3_uri must be an S3 URI with a bucket and a prefix"),
        ({"input_s3_uri": f"s3://{BUCKET}/"}, "input_s3_uri must be"),
        ({"output_s3_uri": "/tmp/imports/"}, "output_s3_uri must be"),
        ({"data_access_role_arn": "role/import"}, "data_access_role_arn must be"),
        ({"job_name": "a name"}, "job_name must be"),
        ({"client_token": "a b"}, "client_token must be"),
        ({"input_owner_account_id": "12"}, "input_owner_account_id must be"),
        ({"import_configuration": "{broken"}, "import_configuration is a text that is not JSON"),
    ],
)
def test_what_cannot_be_valid_is_refused_before_any_request(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_task(**given).run()
    assert called(START) == 0
