"""DICOM import jobs, and the image sets they make."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel

from airflow_imgver.emulator.medicalimaging.metadata import tags_of_series
from airflow_imgver.emulator.transitions import Changing

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_imgver.emulator.medicalimaging.datastores import Datastore
    from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet


class ImportJob(BaseModel, Changing):
    """
    An import, which makes image sets without reading any DICOM.

    It makes one image set for each series: two, unless ``inputS3Uri`` ends in ``series=N/``, as in
    ``s3://bucket/input/series=5/``. All are primary and belong to one study. Their ids and UIDs follow from
    the data store and the URI, so a second import from the same URI adds a version to each of them, as AWS
    does with instances that it already holds; AWS does not document that version's status, here it is
    IMPORTED.
    """

    model = "medical-imaging::import-job"
    submitted_at: datetime

    def __init__(self, number: int, job_id: str, datastore: Datastore, parameters: dict[str, Any]) -> None:
        self.number = number
        self.job_id = job_id
        self.datastore = datastore
        self.parameters = parameters
        self.ended_at: datetime | None = None
        self.message: str | None = None

    def properties(self) -> dict[str, Any]:
        """Give the members of DICOMImportJobProperties."""
        return {
            "jobName": self.job_id,
            **self.parameters,
            "jobId": self.job_id,
            "jobStatus": self.status,
            "datastoreId": self.datastore.datastore_id,
            "submittedAt": self.submitted_at,
            "endedAt": self.ended_at,
            "message": self.message,
        }

    def next_status(self) -> str | None:
        """Give the status that follows SUBMITTED or IN_PROGRESS."""
        return {"SUBMITTED": "IN_PROGRESS", "IN_PROGRESS": "COMPLETED"}.get(self.status)

    def enter(self, status: str, time: datetime) -> None:
        """Take a status; the end of the job makes the image sets, or gives the reason why it cannot."""
        if status == "SUBMITTED":
            self.submitted_at = time
        elif status == "COMPLETED":
            self.ended_at = time
            self.message = self._import(time)
            status = "FAILED" if self.message else status
        super().enter(status, time)

    def _import(self, time: datetime) -> str | None:
        source = self.parameters["inputS3Uri"]
        series = re.search(r"/series=([1-9][0-9]{0,2})/?$", source)
        names = range(1, (int(series[1]) if series else 2) + 1)
        targets = [self._target(source, name) for name in names]
        locked = [target.image_set_id for _, target in targets if target and target.latest.state == "LOCKED"]
        if locked:
            return f"ImageSet {locked[0]} is locked."
        for name, (image_set_id, target) in zip(names, targets, strict=True):
            if target is None:
                self._first_version(image_set_id, source, name, time)
            else:
                _import_again(target, time)
        return None

    def _target(self, source: str, name: int) -> tuple[str, ImageSet | None]:
        generation = 0
        while True:
            seed = f"{self.datastore.datastore_id}/{source}/{name}/{generation}"
            image_set_id = hashlib.sha256(seed.encode()).hexdigest()[:32]
            image_set = self.datastore.image_sets.get(image_set_id)
            if image_set is None or not image_set.is_deleted:
                return image_set_id, image_set
            generation += 1

    def _first_version(self, image_set_id: str, source: str, name: int, time: datetime) -> None:
        properties = {
            "imageSetId": image_set_id,
            "versionId": "1",
            "ImageSetWorkflowStatus": "CREATED",
            "createdAt": time,
            "isPrimary": True,
        }
        tags = tags_of_series(study=source, series=f"{source}/{name}")
        self.datastore.new_image_set(image_set_id).add_version(properties, tags, time)


def _import_again(image_set: ImageSet, time: datetime) -> None:
    latest = image_set.latest
    kept = latest.properties.keys() & {"imageSetId", "createdAt", "isPrimary"}
    properties = {
        **{name: latest.properties[name] for name in kept},
        "versionId": str(latest.number + 1),
        "ImageSetWorkflowStatus": "IMPORTED",
        "updatedAt": time,
    }
    image_set.add_version(properties, latest.tags, time)
