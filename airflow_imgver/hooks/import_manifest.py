"""
The manifest of a DICOM import job: which image sets the job made, and how many files it could not import.

AWS writes it under the job's ``outputS3Uri``. Only ids, numbers and booleans are taken out of it here, so
nothing about a patient leaves with them.

https://docs.aws.amazon.com/healthimaging/latest/devguide/understanding-import-jobs.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_imgver.exceptions import UnexpectedAnswerError
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.text import counted, joined, number
from airflow_imgver.versions import VERSIONS

NAME = "job-output-manifest.json"
FAILURES = "FAILURE/"
# AWS imports at most 5,000 files a job, and an image set takes about 200 bytes of the manifest.
LARGEST = 32 * 1024 * 1024

_COUNTS = (
    "numberOfScannedFiles",
    "numberOfImportedFiles",
    "numberOfFilesWithCustomerError",
    "numberOfFilesWithServerError",
    "numberOfGeneratedImageSets",
)
_IMAGE_SET_ID = r"[0-9a-z]{32}"


class Manifest:
    """
    Where the manifest of a job is, and how to read it.

    :param job: the job's properties, as GetDICOMImportJob returns them.
    :raises UnexpectedAnswerError: the job has no ``outputS3Uri``.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        found = re.fullmatch(r"s3://([^/]+)/(.*)", str(job.get("outputS3Uri")))
        if found is None:
            raise UnexpectedAnswerError(
                "GetDICOMImportJob answered with a job whose outputS3Uri is not an S3 URI.", about=self._about
            )
        self.bucket, prefix = found.groups()
        self._prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
        self.key = f"{self._prefix}{NAME}"

    @property
    def uri(self) -> str:
        """The URI of the manifest."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def _about(self) -> str:
        identity = {"job_id": self._job.get("jobId"), "datastore_id": self._job.get("datastoreId")}
        return f"It is {DICOM_IMPORT_JOB.about.format(**identity)}."

    def read(self, content: bytes) -> dict[str, Any]:
        """
        Read the manifest's ``jobSummary``: its counts, and ``imageSetsSummary``.

        :raises UnexpectedAnswerError: it is not the manifest of this job.
        """
        if len(content) > LARGEST:
            raise self._unreadable(f"it has more than {number(LARGEST)} bytes")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise self._unreadable("it is not JSON") from None
        summary = document.get("jobSummary") if isinstance(document, dict) else None
        if not isinstance(summary, dict):
            raise self._unreadable("it has no jobSummary")
        if summary.get("jobId") != self._job.get("jobId"):
            raise self._unreadable("it is that of another job")
        found = summary.get("imageSetsSummary")
        if not isinstance(found, list):
            raise self._unreadable("its imageSetsSummary is not a list")
        counts = {name: summary[name] for name in _COUNTS if _is_count(summary.get(name))}
        return {**counts, "imageSetsSummary": [self._image_set(each) for each in found]}

    def _image_set(self, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise self._unreadable("its imageSetsSummary has an item that is not an object")
        image_set_id, version = found.get("imageSetId"), found.get("imageSetVersion")
        if not (isinstance(image_set_id, str) and re.fullmatch(_IMAGE_SET_ID, image_set_id)):
            raise self._unreadable("its imageSetsSummary has an item without a valid imageSetId")
        if not _is_count(version):
            raise self._unreadable("its imageSetsSummary has an item whose imageSetVersion is not a number")
        image_set: dict[str, Any] = {"imageSetId": image_set_id, "imageSetVersion": version}
        if isinstance(primary := found.get("isPrimary"), bool):
            image_set["isPrimary"] = primary
        if _is_count(instances := found.get("numberOfMatchedSOPInstances")):
            image_set["numberOfMatchedSOPInstances"] = instances
        return image_set

    def _unreadable(self, why: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"The manifest {self.uri} cannot be read: {why}. Check what else writes to this folder.",
            about=self._about,
        )

    def shortfall(self, summary: Mapping[str, Any]) -> str:
        """Return which files the job did not import, and where AWS's reasons are; empty where it did all."""
        customer = summary.get("numberOfFilesWithCustomerError")
        server = summary.get("numberOfFilesWithServerError")
        if customer is None or server is None:
            return f"its manifest {self.uri} does not say how many files were not imported."
        if customer + server == 0:
            return ""
        scanned = summary.get("numberOfScannedFiles")
        of = f" of {number(scanned)}" if scanned else ""
        parts = [(customer, "a customer error"), (server, "a server error")]
        kinds = joined([f"{number(count)} with {kind}" for count, kind in parts if count])
        files = f"{number(customer + server)}{of} files were"
        if customer + server == 1 and not of:
            files = "1 file was"
        return (
            f"{files} not imported ({kinds}). AWS's reasons are in "
            f"s3://{self.bucket}/{self._prefix}{FAILURES}; "
            "fail_on_failed_files=False opens the gate all the same."
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in VERSIONS


def detail(summary: Mapping[str, Any]) -> str:
    """Return what messages add to the status of a completed job."""
    imported = summary.get("numberOfImportedFiles")
    files = [] if imported is None else [f"{counted(imported, 'file')} imported"]
    return ", ".join([counted(len(summary["imageSetsSummary"]), "image set"), *files])


def imported_image_sets(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the image sets that a completed job made or changed, ready for a gate.

    :param job: the job's properties with ``jobSummary``, as the hook's
        :meth:`~airflow_imgver.hooks.healthimaging.HealthImagingHook.observe_import_job` finds them.
    """
    return [
        {"datastoreId": job["datastoreId"], **image_set}
        for image_set in job["jobSummary"]["imageSetsSummary"]
    ]
