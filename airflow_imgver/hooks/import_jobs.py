"""AWS HealthImaging: DICOM import jobs, and what they made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from threading import Lock
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.exceptions import IncompleteReadError
from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import AwsCallError, ManifestMissingError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.import_manifest import LARGEST, Manifest, detail
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.versions import Phase, VersionStatus, read_entry

_GET_OBJECT = "GetObject"
_ADVICE: dict[str, tuple[type[AwsCallError], str]] = {
    "NoSuchKey": (
        ManifestMissingError,
        "The import job is COMPLETED, and S3 has no manifest: AWS has not written it yet, or it was deleted.",
    ),
    "AccessDenied": (
        AwsCallError,
        (
            "The connection needs s3:GetObject on the job's output. S3 answers the same for an object that "
            "does not exist, where the connection has no s3:ListBucket on the bucket."
        ),
    ),
}


class ImportJobs(ImageVersionHook):
    """
    The part of HealthImaging's hook that reads import jobs.

    The manifest of a job is read from S3 with the same connection and region; ``service_config`` in the
    connection may give S3 an endpoint of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._s3: Any = None
        self._s3_lock = Lock()

    def get_dicom_import_job(self, datastore_id: str, job_id: str) -> dict[str, Any]:
        """
        Return the properties of an import job, AWS's own ``jobProperties``, with times as aware datetimes.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_GetDICOMImportJob.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param job_id: the job, 1 to 32 digits and lower-case letters.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer; :class:`ResourceMissingError` for a 404.
        """
        identity = DICOM_IMPORT_JOB.check({"datastore_id": datastore_id, "job_id": job_id})
        operation = DICOM_IMPORT_JOB.poll.operation
        with self.named_errors(DICOM_IMPORT_JOB.describe(identity), operation):
            answer = self.conn.get_dicom_import_job(datastoreId=datastore_id, jobId=job_id)
            job = answer.get("jobProperties")
            if not isinstance(job, dict):
                # botocore takes half an answer, or a proxy's page, for an answer with nothing in it.
                raise ResponseParserError(
                    "the answer has no jobProperties; it was cut off, or AWS did not send it"
                )
        return job

    def get_import_summary(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the ``jobSummary`` of a completed job from its manifest in S3.

        Of AWS's members it has the counts and ``imageSetsSummary``: nothing that could name a patient.

        :param job: the job's properties, as :meth:`get_dicom_import_job` returns them.
        :raises ManifestMissingError: the manifest is not in S3, or not yet.
        :raises UnexpectedAnswerError: it cannot be read.
        :raises AwsCallError: S3 refused or did not answer.
        """
        manifest = Manifest(job)
        return manifest.read(self._object(manifest))

    def observe_import_job(self, identity: Mapping[str, Any], version: int | None = None) -> VersionStatus:
        """
        Poll an import job: one request, and where it is COMPLETED its manifest too.

        :param identity: ``datastore_id`` and ``job_id``.
        :param version: not used; a job has no versions.
        :return: its status, with the job's properties as the entry; of a completed job they have the
            ``jobSummary`` of :meth:`get_import_summary` too.
        """
        job = self.get_dicom_import_job(identity["datastore_id"], identity["job_id"])
        found = read_entry(job, DICOM_IMPORT_JOB.fields)
        self.log_unknown_status(found, DICOM_IMPORT_JOB)
        if found.phase is not Phase.READY:
            return found
        manifest = Manifest(job)
        summary = manifest.read(self._object(manifest))
        return replace(
            found,
            entry={**job, "jobSummary": summary},
            detail=detail(summary),
            shortfall=manifest.shortfall(summary),
        )

    def _object(self, manifest: Manifest) -> bytes:
        try:
            with self.named_errors(manifest.uri, _GET_OBJECT):
                answer = self._s3_client().get_object(Bucket=manifest.bucket, Key=manifest.key)
                return _content(answer["Body"])
        except AwsCallError as error:
            raise _explained(error) from error.__cause__

    def _s3_client(self) -> Any:
        """Return a client of S3, built once and for all threads."""
        with self._s3_lock:
            if self._s3 is None:
                hook: AwsGenericHook[Any] = AwsGenericHook(
                    aws_conn_id=self.aws_conn_id,
                    verify=self._verify,
                    region_name=self._region_name,
                    client_type="s3",
                )
                # Resolved already; and a triggerer's threads may not ask Airflow for a connection.
                hook.conn_config = self.conn_config
                self._s3 = hook.get_client_type(self.region_name, self.client_settings())
            return self._s3

    def close(self) -> None:
        """Close the clients' connections."""
        super().close()
        with self._s3_lock:
            if self._s3 is not None:
                self._s3.close()
                self._s3 = None


def _content(body: Any) -> bytes:
    """Read an object; one byte more than is accepted shows that there are more."""
    with closing(body):
        try:
            content: bytes = body.read(LARGEST + 1)
        except IncompleteReadError as error:
            raise ResponseParserError(f"the object was cut off: {error}") from error
    return content


def _explained(error: AwsCallError) -> AwsCallError:
    """Add to an error of S3 what it means for a manifest."""
    kind, advice = _ADVICE.get(error.code, (type(error), ""))
    details = error.details()
    return kind(**{**details, "message": f"{details['message']} {advice}".rstrip()})
