"""DICOM import jobs, and the image sets they make."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel
from moto.moto_api._internal.managed_state_model import ManagedState

from .image_sets import Version, now
from .metadata import tags_of_series

if TYPE_CHECKING:
    from datetime import datetime

    from .datastores import Datastore
    from .image_sets import ImageSet

IMPORT_JOB_MODEL = "medical-imaging::import-job"


class ImportJob(BaseModel, ManagedState):
    """
    An import, which makes image sets without reading any DICOM.

    It makes one image set for each series: two, unless ``inputS3Uri`` ends in ``series=N/``, as in
    ``s3://bucket/input/series=5/``. All are primary and belong to one study. Their ids and UIDs follow from
    the data store and the URI, so a second import from the same URI adds a version to each of them, as AWS
    does with instances it already holds; AWS does not document that version's status, here it is IMPORTED.
    """

    def __init__(self, number: int, job_id: str, datastore_id: str, parameters: dict[str, Any]):
        ManagedState.__init__(
            self,
            IMPORT_JOB_MODEL,
            transitions=[("SUBMITTED", "IN_PROGRESS"), ("IN_PROGRESS", "COMPLETED")],
        )
        self.number = number
        self.job_id = job_id
        self.datastore_id = datastore_id
        self.parameters = parameters
        self.submitted_at = now()
        self.ended_at: datetime | None = None
        self.message: str | None = None

    @property
    def last_seen_status(self) -> str:
        """The status as it was last shown: reading `status` would move it on."""
        return "FAILED" if self.message else str(self._status)

    def properties(self) -> dict[str, Any]:
        """Give the members of DICOMImportJobProperties."""
        return {
            "jobName": self.job_id,
            **self.parameters,
            "jobId": self.job_id,
            "jobStatus": "FAILED" if self.message else self.status,
            "datastoreId": self.datastore_id,
            "submittedAt": self.submitted_at,
            "endedAt": self.ended_at,
            "message": self.message,
        }

    def settle(self, datastore: Datastore) -> None:
        """Make the image sets once the job is completed."""
        if self.ended_at is not None or self.status != "COMPLETED":
            return
        self.ended_at = now()
        source = self.parameters["inputS3Uri"]
        series = re.search(r"/series=([1-9][0-9]{0,2})/?$", source)
        names = range(1, (int(series[1]) if series else 2) + 1)
        targets = [self._target(datastore, source, name) for name in names]
        locked = [target.image_set_id for _, target in targets if target and target.latest.state == "LOCKED"]
        if locked:
            self.message = f"ImageSet {locked[0]} is locked."
            return
        for name, (image_set_id, target) in zip(names, targets, strict=True):
            if target is None:
                datastore.new_image_set(image_set_id, [self._first_version(image_set_id, source, name)])
            else:
                self._import_again(target)

    def _target(self, datastore: Datastore, source: str, name: int) -> tuple[str, ImageSet | None]:
        generation = 0
        while True:
            seed = f"{datastore.datastore_id}/{source}/{name}/{generation}"
            image_set_id = hashlib.sha256(seed.encode()).hexdigest()[:32]
            image_set = datastore.image_sets.get(image_set_id)
            if image_set is None:
                return image_set_id, None
            image_set.settle()
            if not image_set.is_deleted:
                return image_set_id, image_set
            generation += 1

    def _first_version(self, image_set_id: str, source: str, name: int) -> Version:
        properties = {
            "imageSetId": image_set_id,
            "versionId": "1",
            "imageSetState": "ACTIVE",
            "ImageSetWorkflowStatus": "CREATED",
            "createdAt": self.ended_at,
            "isPrimary": True,
        }
        return Version(properties, tags_of_series(study=source, series=f"{source}/{name}"))

    def _import_again(self, image_set: ImageSet) -> None:
        properties = image_set.latest.properties | {
            "versionId": str(image_set.latest.number + 1),
            "imageSetState": "ACTIVE",
            "ImageSetWorkflowStatus": "IMPORTED",
            "updatedAt": self.ended_at,
        }
        properties = {name: properties[name] for name in properties.keys() - {"message", "overrides"}}
        image_set.versions.append(Version(properties, image_set.latest.tags))
