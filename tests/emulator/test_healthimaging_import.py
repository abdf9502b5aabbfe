"""What an import makes of the objects in S3, and what it writes there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from clinic import REGION, Clinic, clinic, takes_reads
from dicom import EXPLICIT, file_of, written
from pydicom.dataset import Dataset


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


@pytest.fixture
def s3(ours: Clinic) -> Any:
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket="scans")
    return client


class Import:
    """A finished import job, with what it wrote."""

    def __init__(self, ours: Clinic, s3: Any, job_id: str) -> None:
        answer = ours.client.get_dicom_import_job(datastoreId=ours.datastore_id, jobId=job_id)
        self.job = answer["jobProperties"]
        self._s3 = s3
        self._bucket, self._prefix = self.job["outputS3Uri"][len("s3://") :].split("/", 1)

    def text(self, name: str) -> str:
        found = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
        return str(found["Body"].read().decode())

    def names(self) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix).get("Contents", [])
        return sorted(each["Key"][len(self._prefix) :] for each in listed)

    @property
    def summary(self) -> dict[str, Any]:
        return dict(json.loads(self.text("job-output-manifest.json"))["jobSummary"])

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(name).splitlines()]


def run(ours: Clinic, s3: Any, prefix: str = "input/", **files: bytes) -> Import:
    """Put files under a prefix of their own and import them; a name's last underscore becomes a dot."""
    for name, content in files.items():
        s3.put_object(Bucket="scans", Key=f"{prefix}{'.'.join(name.rsplit('_', 1))}", Body=content)
    token = f"t{len(ours.client.list_dicom_import_jobs(datastoreId=ours.datastore_id)['jobSummaries'])}"
    job = ours.start_import(f"s3://scans/{prefix}", outputS3Uri="s3://scans/output", clientToken=token)
    return Import(ours, s3, job)


def test_the_output_is_under_the_data_store_and_the_job(ours: Clinic, s3: Any) -> None:
    done = run(ours, s3, a_dcm=file_of())
    job = done.job
    assert job["outputS3Uri"] == f"s3://scans/output/{ours.datastore_id}-DicomImport-{job['jobId']}/"
    assert done.names() == ["SUCCESS/success.ndjson", "job-output-manifest.json"]


def test_the_manifest_counts_files_and_names_image_sets(ours: Clinic, s3: Any) -> None:
    done = run(
        ours, s3, a_dcm=file_of("1.2.3.1.1"), b_dcm=file_of("1.2.3.1.2"), notes_txt=b"not DICOM at all"
    )
    (found,) = ours.search()
    output = done.job["outputS3Uri"]
    assert done.summary == {
        "jobId": done.job["jobId"],
        "datastoreId": ours.datastore_id,
        "inputS3Uri": "s3://scans/input/",
        "outputS3Uri": output,
        "successOutputS3Uri": f"{output}SUCCESS/",
        "failureOutputS3Uri": f"{output}FAILURE/",
        "numberOfScannedFiles": 3,
        "numberOfImportedFiles": 2,
        "numberOfFilesWithCustomerError": 1,
        "numberOfFilesWithServerError": 0,
        "numberOfGeneratedImageSets": 1,
        "imageSetsSummary": [
            {
                "imageSetId": found["imageSetId"],
                "imageSetVersion": 1,
                "isPrimary": True,
                "numberOfMatchedSOPInstances": 2,
            }
        ],
    }


def test_each_imported_file_has_a_line_with_its_image_set(ours: Clinic, s3: Any) -> None:
    done = run(ours, s3, a_dcm=file_of())
    (found,) = ours.search()
    assert done.lines("SUCCESS/success.ndjson") == [
        {
            "inputFile": "input/a.dcm",
            "importResponse": {"imageSetId": found["imageSetId"], "imageSetVersion": 1, "isPrimary": True},
        }
    ]


def without_series() -> bytes:
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3"
    dataset.PatientName = "DOE^JANE"
    return written(dataset, EXPLICIT)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is not a DICOM Part 10 file"),
        (b"x" * 500, "The file is not a DICOM Part 10 file"),
        (file_of()[:300], "DICOM attribute StudyInstanceUID does not exist or is not valid"),
        (file_of(frames=[b"\xff\x4f"], NumberOfFrames="9"), "DICOM attribute NumberOfFrames does not match"),
        (file_of(NumberOfFrames="999999999"), "DICOM attribute NumberOfFrames does not match"),
        (file_of().replace(b"US\x02\x00", b"US\x03\x00"), "The file cannot be parsed as DICOM: "),
        (without_series(), "DICOM attribute SeriesInstanceUID does not exist or is not valid"),
    ],
    ids=["empty", "text", "cut", "frames missing", "too many frames", "bad length", "no series"],
)
def test_a_file_that_cannot_be_imported_fails_with_a_reason_and_the_job_goes_on(
    ours: Clinic, s3: Any, content: bytes, reason: str
) -> None:
    done = run(ours, s3, bad_dcm=content, good_dcm=file_of())
    assert done.job["jobStatus"] == "COMPLETED"
    (line,) = done.lines("FAILURE/failure.ndjson")
    assert line["inputFile"] == "input/bad.dcm"
    assert line["exception"]["exceptionType"] == "ValidationException"
    assert line["exception"]["message"].startswith(reason)
    assert "DOE" not in json.dumps(line)
    assert len(ours.search()) == 1


def test_instances_are_grouped_by_study_and_series(ours: Clinic, s3: Any) -> None:
    run(
        ours,
        s3,
        a_dcm=file_of("1.2.3.1.1", series="1.2.3.1"),
        b_dcm=file_of("1.2.3.1.2", series="1.2.3.1"),
        c_dcm=file_of("1.2.3.2.1", series="1.2.3.2"),
        d_dcm=file_of("1.2.4.1.1", series="1.2.4.1", study="1.2.4"),
    )
    tags = {one["DICOMTags"]["DICOMSeriesInstanceUID"]: one for one in ours.search()}
    assert sorted(tags) == ["1.2.3.1", "1.2.3.2", "1.2.4.1"]
    assert list(ours.instances(tags["1.2.3.1"]["imageSetId"])) == ["1.2.3.1.1", "1.2.3.1.2"]
    assert all(one["isPrimary"] for one in tags.values())
    assert tags["1.2.4.1"]["DICOMTags"]["DICOMStudyInstanceUID"] == "1.2.4"


def test_only_the_objects_under_the_prefix_are_read(ours: Clinic, s3: Any) -> None:
    s3.put_object(Bucket="scans", Key="elsewhere/b.dcm", Body=file_of("1.2.9.1.1", series="1.2.9.1"))
    s3.put_object(Bucket="scans", Key="input/", Body=b"")
    done = run(ours, s3, a_dcm=file_of())
    assert done.summary["numberOfScannedFiles"] == 1
    assert len(ours.search()) == 1


def test_an_instance_that_is_imported_again_makes_a_new_version_of_the_primary_image_set(
    ours: Clinic, s3: Any
) -> None:
    run(ours, s3, "first/", a_dcm=file_of("1.2.3.1.1"))
    again = run(ours, s3, "second/", a_dcm=file_of("1.2.3.1.1", WindowCenter="50"))
    ((image_set, version),) = [(one["imageSetId"], one["version"]) for one in ours.search()]
    assert version == 2
    assert ours.statuses(image_set) == [("2", "ACTIVE", "IMPORTED"), ("1", "ACTIVE", "CREATED")]
    assert again.summary["imageSetsSummary"][0]["imageSetVersion"] == 2
    centers = [
        ours.instances(image_set, versionId=each)["1.2.3.1.1"]["DICOM"]["WindowCenter"] for each in ("1", "2")
    ]
    assert centers == [["40"], ["50"]]


def test_more_instances_of_a_series_join_its_primary_image_set(ours: Clinic, s3: Any) -> None:
    run(ours, s3, "first/", a_dcm=file_of("1.2.3.1.1"))
    run(ours, s3, "second/", b_dcm=file_of("1.2.3.1.2"))
    (one,) = ours.search()
    assert list(ours.instances(one["imageSetId"])) == ["1.2.3.1.1", "1.2.3.1.2"]


@pytest.mark.parametrize(
    "conflict",
    [{"PatientID": "0815"}, {"StudyDate": "20260201"}, {"SeriesNumber": "4"}],
    ids=["patient", "study", "series"],
)
def test_a_conflict_with_the_primary_image_set_makes_one_that_is_not_primary(
    ours: Clinic, s3: Any, conflict: dict[str, str]
) -> None:
    run(ours, s3, "first/", a_dcm=file_of("1.2.3.1.1"))
    (primary,) = ours.search()
    done = run(ours, s3, "second/", b_dcm=file_of("1.2.3.1.2", **conflict))
    (summary,) = done.summary["imageSetsSummary"]
    assert summary["isPrimary"] is False
    assert done.lines("SUCCESS/success.ndjson")[0]["importResponse"]["isPrimary"] is False
    assert ours.get(summary["imageSetId"])["isPrimary"] is False
    assert ours.statuses(primary["imageSetId"]) == [("1", "ACTIVE", "CREATED")]


def test_a_patient_that_differs_from_another_series_of_the_study_is_a_conflict(ours: Clinic, s3: Any) -> None:
    run(ours, s3, "first/", a_dcm=file_of("1.2.3.1.1", series="1.2.3.1"))
    run(ours, s3, "second/", b_dcm=file_of("1.2.3.2.1", series="1.2.3.2", PatientID="0815"))
    primary = {one["DICOMTags"]["DICOMPatientId"]: one["isPrimary"] for one in ours.search()}
    assert primary == {"4711": True, "0815": False}


def test_of_files_of_one_job_that_contradict_each_other_the_first_are_primary(ours: Clinic, s3: Any) -> None:
    run(ours, s3, a_dcm=file_of("1.2.3.1.1"), b_dcm=file_of("1.2.3.1.2", PatientName="DOE^JOHN"))
    primary = {one["DICOMTags"]["DICOMPatientName"]: one["isPrimary"] for one in ours.search()}
    assert primary == {"DOE^JANE": True, "DOE^JOHN": False}


@pytest.mark.parametrize("uri", ["s3://nothing-here/input/", "s3://scans/empty/", "s3://nothing-here"])
def test_without_objects_a_small_synthetic_study_is_imported(ours: Clinic, s3: Any, uri: str) -> None:
    job = ours.start_import(uri, outputS3Uri="s3://new-bucket/output/")
    done = Import(ours, s3, job)
    assert done.summary["numberOfImportedFiles"] == 4
    assert [one["isPrimary"] for one in ours.search()] == [True, True]
    assert len({one["DICOMTags"]["DICOMStudyInstanceUID"] for one in ours.search()}) == 1
    ours.start_import(uri, clientToken="again")
    assert [one["version"] for one in ours.search()] == [2, 2]


def test_nothing_is_written_before_the_job_has_ended(ours: Clinic, s3: Any) -> None:
    takes_reads(1, "medical-imaging::import-job")
    s3.put_object(Bucket="scans", Key="input/a.dcm", Body=file_of())
    job = ours.start_import("s3://scans/input/", outputS3Uri="s3://scans/output/")
    running = Import(ours, s3, job)
    assert (running.job["jobStatus"], running.names()) == ("IN_PROGRESS", [])
    ended = Import(ours, s3, job)
    assert ended.job["jobStatus"] == "COMPLETED"
    assert "job-output-manifest.json" in ended.names()


def test_a_job_that_cannot_write_its_output_fails_with_a_reason(
    ours: Clinic, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    boto3.client("s3", region_name=REGION).create_bucket(Bucket="theirs")
    monkeypatch.delenv("MOTO_ACCOUNT_ID")
    job = ours.start_import("s3://scans/input/", outputS3Uri="s3://theirs/output")
    answer = ours.client.get_dicom_import_job(datastoreId=ours.datastore_id, jobId=job)
    properties = answer["jobProperties"]
    assert properties["jobStatus"] == "FAILED"
    assert properties["message"] == "Cannot write to outputS3Uri: BucketAlreadyExists."


def test_an_object_that_was_deleted_from_a_versioned_bucket_is_not_imported(ours: Clinic, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="scans", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="scans", Key="input/b.dcm", Body=file_of("1.2.9.1.1", series="1.2.9.1"))
    s3.delete_object(Bucket="scans", Key="input/b.dcm")
    done = run(ours, s3, a_dcm=file_of())
    assert done.summary["numberOfScannedFiles"] == 1
