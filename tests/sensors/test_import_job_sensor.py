"""The gate on an import job ends the same way in poke, reschedule and deferrable mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from import_jobs import (
    BUCKET,
    CANNOT_READ,
    JOB,
    MANIFEST,
    OUTPUT,
    image_set,
    job,
    load_jobs,
    put_manifest,
    returned,
    summary,
)
from modes import MODES, Outcome, ended
from support import DATASTORE, changes_after, client_of, connection_json, context_of, logged

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.exceptions import (
    AwsCallError,
    ImportJobFailedError,
    InvalidIdentityError,
    ManifestMissingError,
    ResourceMissingError,
    UnexpectedAnswerError,
)
from airflow_imgver.sensors.healthimaging import (
    HealthImagingDICOMImportJobSensor,
    HealthImagingImageSetVersionSensor,
)

pytestmark = pytest.mark.usefixtures("aws_connection")

IN_EACH_MODE = pytest.mark.parametrize("mode", MODES)
# The file name of a patient's study, as a hostile or careless manifest may have it.
PATIENT = "DOE^JOHN^19700101"


def gate(**more: Any) -> HealthImagingDICOMImportJobSensor:
    return HealthImagingDICOMImportJobSensor(**{"datastore_id": DATASTORE, "job_id": JOB, **more})


def outcome_of(mode: str, **more: Any) -> Outcome:
    return ended(gate, mode, **more)


def job_calls() -> int:
    return calls().get("medical-imaging", {}).get("GetDICOMImportJob", 0)


# --- the whole way: an import of the embedded AWS, its manifest, and the gate on what it made ---


def start_import(client: Any, datastore_id: str) -> str:
    started = client.start_dicom_import_job(
        dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
        datastoreId=datastore_id,
        clientToken="import",
        inputS3Uri="s3://nowhere/series=3/",
        outputS3Uri=f"s3://{BUCKET}/clinic",
    )
    return str(started["jobId"])


@IN_EACH_MODE
def test_an_import_is_waited_for_and_its_image_sets_are_gated_on_as_they_come(
    mode: str, emulator_url: str
) -> None:
    client = client_of("medical-imaging", emulator_url, inject_host_prefix=False)
    datastore_id = client.create_datastore(datastoreName="clinic", clientToken="a")["datastoreId"]
    client.get_datastore(datastoreId=datastore_id)
    with changes_after(polls=3):
        job_id = start_import(client, datastore_id)
        imported = outcome_of(mode, datastore_id=datastore_id, job_id=job_id)
    assert imported.error is None, imported.error
    assert [each["imageSetVersion"] for each in imported.value] == [1, 1, 1]
    assert all(each["isPrimary"] and each["datastoreId"] == datastore_id for each in imported.value)
    assert job_calls() >= 3
    json.dumps(imported.value)

    entries = ended(
        HealthImagingImageSetVersionSensor,
        mode,
        datastore_id=datastore_id,
        image_set_id=imported.value,
    )
    assert entries.error is None, entries.error
    assert [each["imageSetId"] for each in entries.value] == [each["imageSetId"] for each in imported.value]
    client.close()


# --- statuses ---


@IN_EACH_MODE
def test_a_completed_job_returns_the_image_sets_of_its_manifest(mode: str, emulator_url: str) -> None:
    made = [image_set(1), image_set(2, imageSetVersion=4, isPrimary=False)]
    load_jobs(job())
    put_manifest(emulator_url, summary(*made))
    outcome = outcome_of(mode)
    assert outcome.error is None, outcome.error
    assert outcome.value == returned(*made)


@IN_EACH_MODE
def test_the_jobs_of_a_list_return_their_image_sets_in_the_order_of_the_list(
    mode: str, emulator_url: str
) -> None:
    other = "b" * 32
    load_jobs(job(), job(job_id=other))
    put_manifest(emulator_url, summary(image_set(1)))
    put_manifest(emulator_url, summary(image_set(2), jobId=other), key=MANIFEST.replace(JOB, other))
    assert outcome_of(mode, job_id=[other, JOB]).value == returned(image_set(2), image_set(1))


@IN_EACH_MODE
def test_a_failed_job_raises_with_awss_message(mode: str) -> None:
    load_jobs(job("FAILED", message=CANNOT_READ))
    error = outcome_of(mode).error
    assert type(error) is ImportJobFailedError
    assert str(error) == (
        f"FAILED: {CANNOT_READ}. Fix the cause and start another import. "
        f"It is import job {JOB} in data store {DATASTORE}."
    )


@IN_EACH_MODE
def test_a_status_that_nobody_knows_yet_waits(mode: str) -> None:
    load_jobs(job("IN_PROGRESS"))
    with changes_after(polls=1_000_000):
        outcome = outcome_of(mode, timeout=4)
    assert type(outcome.error) is AirflowSensorTimeout
    assert f"Last seen: IN_PROGRESS: import job {JOB}" in str(outcome.error)


@IN_EACH_MODE
@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_that_does_not_exist_is_asked_for_so_many_times_more(mode: str, retries: int) -> None:
    load_jobs(job())
    error = outcome_of(mode, job_id="0" * 32, not_found_retries=retries).error
    assert type(error) is ResourceMissingError
    assert "GetDICOMImportJob" in str(error)
    assert job_calls() == retries + 1


# --- files that were not imported ---


@IN_EACH_MODE
def test_failed_files_fail_the_gate_where_it_says_so(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1), failed=(2, 1)))
    assert outcome_of(mode).error is None
    error = outcome_of(mode, fail_on_failed_files=True).error
    assert type(error) is ImportJobFailedError
    assert str(error) == (
        "COMPLETED, and 3 of 6 files were not imported (2 with a customer error and 1 with a server error). "
        f"AWS's reasons are in {OUTPUT}FAILURE/; fail_on_failed_files=False opens the gate all the same. "
        f"It is import job {JOB} in data store {DATASTORE}."
    )


@IN_EACH_MODE
def test_without_failed_files_the_gate_opens(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    assert outcome_of(mode, fail_on_failed_files=True).error is None


@IN_EACH_MODE
def test_a_manifest_without_the_counts_fails_only_a_gate_that_needs_them(
    mode: str, emulator_url: str
) -> None:
    document = summary(image_set(1), numberOfFilesWithServerError=None)
    load_jobs(job())
    put_manifest(emulator_url, document)
    assert outcome_of(mode).error is None
    error = outcome_of(mode, fail_on_failed_files=True).error
    assert type(error) is ImportJobFailedError
    assert "does not say how many files were not imported" in str(error)


# --- the manifest ---


@IN_EACH_MODE
def test_a_manifest_that_is_late_is_waited_for(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    missing = {"code": "NoSuchKey", "message": "The specified key does not exist.", "status": 404}
    inject_fault("s3", "GetObject", error=missing, times=2)
    assert outcome_of(mode).value == returned(image_set(1))


@IN_EACH_MODE
def test_a_manifest_that_stays_away_is_an_error_that_names_it(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(), key="clinic/other")
    error = outcome_of(mode, not_found_retries=1).error
    assert type(error) is ManifestMissingError
    assert str(error).startswith("NoSuchKey from GetObject: ")
    assert f"s3://{BUCKET}/{MANIFEST}" in str(error)
    assert job_calls() == 2


@IN_EACH_MODE
def test_trouble_of_s3_that_may_pass_is_waited_out(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    inject_fault("s3", "GetObject", error={"code": "SlowDown", "status": 503}, times=2)
    assert outcome_of(mode).value == returned(image_set(1))


DENIED = {"code": "AccessDenied", "message": "Access Denied", "status": 403}


@IN_EACH_MODE
@pytest.mark.parametrize(
    ("service", "operation", "code", "advice"),
    [
        ("s3", "GetObject", "AccessDenied", "s3:GetObject on the job's output"),
        ("medical-imaging", "GetDICOMImportJob", "AccessDeniedException", "not yours"),
    ],
)
def test_a_missing_permission_fails_at_once_and_says_which(
    mode: str, service: str, operation: str, code: str, advice: str, emulator_url: str
) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    inject_fault(service, operation, error={"code": code, "message": "not yours", "status": 403}, times=None)
    error = outcome_of(mode).error
    assert type(error) is AwsCallError
    assert str(error).startswith(f"{code} from {operation}: not yours.")
    assert advice in str(error)
    assert job_calls() == 1


UNREADABLE = {
    "not JSON": (b"<html>", "it is not JSON"),
    "deep": (b"[" * 100_000, "it is not JSON"),
    "a list": (b"[]", "it has no jobSummary"),
    "without a summary": (b'{"jobSummary": 7}', "it has no jobSummary"),
    "of another job": (json.dumps({"jobSummary": summary(jobId="b" * 32)}).encode(), "of another job"),
    "without image sets": (
        json.dumps({"jobSummary": {"jobId": JOB}}).encode(),
        "its imageSetsSummary is not a list",
    ),
    "an item": (json.dumps({"jobSummary": summary() | {"imageSetsSummary": [7]}}).encode(), "not an object"),
    "an id": (
        json.dumps({"jobSummary": summary(image_set(1, imageSetId=PATIENT))}).encode(),
        "without a valid imageSetId",
    ),
    "a version": (
        json.dumps({"jobSummary": summary(image_set(1, imageSetVersion=PATIENT))}).encode(),
        "whose imageSetVersion is not a number",
    ),
    "huge": (b" " * (32 * 1024 * 1024 + 1), "more than 33,554,432 bytes"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_manifest_that_cannot_be_read_is_an_error_that_says_why(what: str, emulator_url: str) -> None:
    content, why = UNREADABLE[what]
    load_jobs(job())
    put_manifest(emulator_url, raw=content)
    for mode in MODES if what == "not JSON" else ("deferrable",):
        error = outcome_of(mode).error
        assert type(error) is UnexpectedAnswerError, error
        assert f"The manifest s3://{BUCKET}/{MANIFEST} cannot be read: " in str(error)
        assert why in str(error)
        assert PATIENT not in str(error)


@IN_EACH_MODE
def test_of_a_manifest_nothing_but_ids_numbers_and_booleans_gets_out(mode: str, emulator_url: str) -> None:
    hostile = image_set(
        1, patientName=PATIENT, isPrimary=f"yes\x1b[31m{PATIENT}", numberOfMatchedSOPInstances="3"
    )
    load_jobs(job())
    put_manifest(
        emulator_url,
        summary(hostile, failed=(1, 0), failureOutputS3Uri=f"s3://x/{PATIENT}", note=PATIENT),
    )
    with logged() as printed:
        outcome = outcome_of(mode)
        failed = outcome_of(mode, fail_on_failed_files=True)
    assert outcome.value == returned({"imageSetId": f"{1:032d}", "imageSetVersion": 1})
    assert PATIENT not in printed.getvalue() + str(outcome.xcoms) + str(failed.error)


def test_an_import_of_thousands_says_what_goes_to_xcom(emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(*map(image_set, range(10_000))))
    with logged() as printed:
        outcome = outcome_of("deferrable")
    assert len(outcome.value) == 10_000
    (line,) = printed.about("which go to XCom")
    assert "10,000 image sets" in line
    assert "An XCom backend in object storage" in line


# --- arguments ---


@IN_EACH_MODE
@pytest.mark.parametrize(
    "bad", [{"job_id": "JOB"}, {"job_id": None}, {"datastore_id": "clinic"}, {"job_id": ["a", ""]}]
)
def test_what_cannot_be_asked_for_is_refused_before_any_request(mode: str, bad: dict[str, Any]) -> None:
    outcome = outcome_of(mode, **bad)
    assert isinstance(outcome.error, InvalidIdentityError)
    assert next(iter(bad)) in str(outcome.error)
    assert calls() == {}


@IN_EACH_MODE
def test_the_console_link_is_there_from_the_first_leg_on(mode: str, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    assert outcome_of(mode).xcoms["healthimaging_import_job"] == {
        "region_name": "us-east-1",
        "aws_domain": "aws.amazon.com",
        "datastore_id": DATASTORE,
        "job_id": JOB,
    }


def test_the_manifest_is_read_with_the_endpoint_that_the_connection_gives_s3(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    connection = connection_json(emulator_url, service_config={"s3": {"endpoint_url": "http://127.0.0.1:9"}})
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
    error = outcome_of("poke", timeout=0.5).error
    assert type(error) is AirflowSensorTimeout
    assert "GetObject got no answer" in str(error)


def test_a_completed_job_needs_no_triggerer(emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1)))
    assert gate(task_id="gate", deferrable=True).execute(context_of()) == returned(image_set(1))
    assert job_calls() == 1
