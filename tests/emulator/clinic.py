"""A data store with image sets, for tests to work on through boto3."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from answers import check_every_answer
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api import state_manager

from airflow_imgver.emulator.medicalimaging.models import HealthImagingBackend, medicalimaging_backends
from airflow_imgver.emulator.registration import register

REGION = "us-east-1"
MODELS = ("medical-imaging::datastore", "medical-imaging::image-set", "medical-imaging::import-job")


class Clinic:
    """One data store, and the calls that tests make most."""

    def __init__(self) -> None:
        # Unchecked, so that a test can send what boto3 would refuse.
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        self.client = check_every_answer(boto3.client("medical-imaging", region_name=REGION, config=config))
        self.datastore_id = self.client.create_datastore(datastoreName="clinic", clientToken="clinic")[
            "datastoreId"
        ]

    @property
    def backend(self) -> HealthImagingBackend:
        return medicalimaging_backends[DEFAULT_ACCOUNT_ID][REGION]

    def start_import(self, uri: str = "s3://bucket/input/", **arguments: Any) -> str:
        request = {
            "dataAccessRoleArn": "arn:aws:iam::123456789012:role/import",
            "datastoreId": self.datastore_id,
            "clientToken": uri.replace("/", "-").replace(":", "-").replace("=", "-"),
            "inputS3Uri": uri,
            "outputS3Uri": "s3://bucket/output/",
        }
        return str(self.client.start_dicom_import_job(**request | arguments)["jobId"])

    def import_image_sets(self, count: int, uri: str = "s3://bucket/input") -> list[str]:
        """Import image sets of one study, each of a series of its own."""
        before = {one["imageSetId"] for one in self.search()}
        self.start_import(f"{uri}/series={count}/")
        return [one["imageSetId"] for one in self.search() if one["imageSetId"] not in before]

    def search(self, **criteria: Any) -> list[dict[str, Any]]:
        answer = self.client.search_image_sets(datastoreId=self.datastore_id, searchCriteria=criteria or None)
        return list(answer["imageSetsMetadataSummaries"])

    def versions(self, image_set_id: str, **arguments: Any) -> list[dict[str, Any]]:
        answer = self.client.list_image_set_versions(
            datastoreId=self.datastore_id, imageSetId=image_set_id, **arguments
        )
        return list(answer["imageSetPropertiesList"])

    def statuses(self, image_set_id: str) -> list[tuple[str, str, str]]:
        """List version, state and status of an image set, newest first."""
        return [
            (entry["versionId"], entry["imageSetState"], entry["ImageSetWorkflowStatus"])
            for entry in self.versions(image_set_id)
        ]

    def get(self, image_set_id: str, **arguments: Any) -> dict[str, Any]:
        answer = self.client.get_image_set(
            datastoreId=self.datastore_id, imageSetId=image_set_id, **arguments
        )
        return dict(answer)

    def copy(
        self,
        source: str,
        destination: str | None = None,
        *,
        source_version: str = "1",
        destination_version: str = "1",
        subset: str | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        information: dict[str, Any] = {"sourceImageSet": {"latestVersionId": source_version}}
        if subset is not None:
            information["sourceImageSet"]["DICOMCopies"] = {"copiableAttributes": subset}
        if destination:
            information["destinationImageSet"] = {
                "imageSetId": destination,
                "latestVersionId": destination_version,
            }
        return dict(
            self.client.copy_image_set(
                datastoreId=self.datastore_id,
                sourceImageSetId=source,
                copyImageSetInformation=information,
                **arguments,
            )
        )

    def update(
        self, image_set_id: str, latest: str, document: Any = None, **arguments: Any
    ) -> dict[str, Any]:
        """Update the DICOM attributes of an image set; the document may be JSON or what pretends to be."""
        document = document or {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "CHEST"}}}
        blob = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.send_update(
            image_set_id, latest, {"DICOMUpdates": {"updatableAttributes": blob}}, **arguments
        )

    def send_update(self, image_set_id: str, latest: str, updates: Any, **arguments: Any) -> dict[str, Any]:
        return dict(
            self.client.update_image_set_metadata(
                datastoreId=self.datastore_id,
                imageSetId=image_set_id,
                latestVersionId=latest,
                updateImageSetMetadataUpdates=updates,
                **arguments,
            )
        )

    def revert(self, image_set_id: str, latest: str, to: str, **arguments: Any) -> dict[str, Any]:
        return self.send_update(image_set_id, latest, {"revertToVersionId": to}, **arguments)

    def metadata(self, image_set_id: str, **arguments: Any) -> dict[str, Any]:
        """Get the document of a version."""
        answer = self.client.get_image_set_metadata(
            datastoreId=self.datastore_id, imageSetId=image_set_id, **arguments
        )
        return dict(json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read())))

    def instances(self, image_set_id: str, **arguments: Any) -> dict[str, dict[str, Any]]:
        """Get the instances of a version by their SOP Instance UIDs."""
        (series,) = self.metadata(image_set_id, **arguments)["Study"]["Series"].values()
        return dict(series["Instances"])

    def naming(self, image_set_id: str, *uids: str, level: str = "Instances") -> str:
        """Write attributes that name the series of an image set, and instances of it."""
        (series_uid,) = self.metadata(image_set_id)["Study"]["Series"]
        named = {level: {uid: {} for uid in uids}} if uids else {}
        return json.dumps({"SchemaVersion": 1.1, "Study": {"Series": {series_uid: named}}})

    def not_primary(self, image_set_id: str) -> str:
        """Copy an image set to a new one, which is not primary."""
        return str(self.copy(image_set_id)["destinationImageSetProperties"]["imageSetId"])

    def delete(self, image_set_id: str) -> dict[str, Any]:
        return dict(self.client.delete_image_set(datastoreId=self.datastore_id, imageSetId=image_set_id))


@contextmanager
def clinic() -> Iterator[Clinic]:
    """Open a clinic in an embedded AWS of its own, in process; state changes are immediate."""
    register()
    with mock_aws():
        try:
            yield Clinic()
        finally:
            for model in MODELS:
                state_manager.unset_transition(model)


def takes_reads(count: int, model: str = "medical-imaging::image-set") -> None:
    """Let each state change take so many reads, for a test that wants to see what is in between."""
    state_manager.set_transition(model, {"progression": "manual", "times": count})


def error_of(call: Any, *arguments: Any, **keywords: Any) -> tuple[str, int, str]:
    """Give code, HTTP status and message of the error that a call must end in."""
    try:
        call(*arguments, **keywords)
    except ClientError as error:
        answer = error.response
        return (
            answer["Error"]["Code"],
            answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"]["Message"],
        )
    raise AssertionError("the call must fail, and did not")
