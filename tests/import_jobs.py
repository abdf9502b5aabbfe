"""Import jobs of the embedded AWS over HTTP, and what they write to S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from support import DATASTORE, client_of

from airflow_imgver.emulator.state import load

JOB = "3a4b5c6d7e8f90a1b2c3d4e5f6071829"
BUCKET = "imaging-output"
OUTPUT = f"s3://{BUCKET}/clinic/{DATASTORE}-DicomImport-{JOB}/"
MANIFEST = f"clinic/{DATASTORE}-DicomImport-{JOB}/job-output-manifest.json"
CANNOT_READ = "INVALID_INPUT: The access role cannot read s3 input"


def job(status: str = "COMPLETED", job_id: str = JOB, **more: Any) -> dict[str, Any]:
    """An import job, as GetDICOMImportJob shows it."""
    return {
        "jobId": job_id,
        "jobName": "nightly",
        "jobStatus": status,
        "datastoreId": DATASTORE,
        "dataAccessRoleArn": "arn:aws:iam::123456789012:role/import",
        "inputS3Uri": "s3://imaging-input/study/",
        "outputS3Uri": OUTPUT.replace(JOB, job_id),
        "submittedAt": "2026-11-20T06:00:00+00:00",
        **more,
    }


def load_jobs(*jobs: Mapping[str, Any]) -> None:
    """Put import jobs into the embedded AWS of this process, in place of what was there."""
    load({"healthimaging": {DATASTORE: {"importJobs": [dict(each) for each in jobs]}}})


def image_set(number: int, **more: Any) -> dict[str, Any]:
    """An image set, as a manifest summarizes it."""
    return {
        "imageSetId": f"{number:032d}",
        "imageSetVersion": 1,
        "isPrimary": True,
        "numberOfMatchedSOPInstances": 3,
        **more,
    }


def summary(*image_sets: Mapping[str, Any], failed: tuple[int, int] = (0, 0), **more: Any) -> dict[str, Any]:
    """The summary of a manifest."""
    return {
        "jobId": JOB,
        "datastoreId": DATASTORE,
        "outputS3Uri": OUTPUT,
        "failureOutputS3Uri": f"{OUTPUT}FAILURE/",
        "numberOfScannedFiles": 3 * len(image_sets) + sum(failed),
        "numberOfImportedFiles": 3 * len(image_sets),
        "numberOfFilesWithCustomerError": failed[0],
        "numberOfFilesWithServerError": failed[1],
        "numberOfGeneratedImageSets": len(image_sets),
        "imageSetsSummary": [dict(each) for each in image_sets],
        **more,
    }


def put_manifest(url: str, document: Any = None, *, raw: bytes | None = None, key: str = MANIFEST) -> None:
    """Write a manifest to the embedded S3; a document is its ``jobSummary``."""
    s3 = client_of("s3", url)
    try:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(
            Bucket=BUCKET, Key=key, Body=json.dumps({"jobSummary": document}).encode() if raw is None else raw
        )
    finally:
        s3.close()


def returned(*image_sets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a gate returns for the image sets of a manifest."""
    return [{"datastoreId": DATASTORE, **each} for each in image_sets]
