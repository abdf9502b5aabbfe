"""DICOM import jobs, and the image sets they make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel

from airflow_imgver.emulator.medicalimaging.contents import Contents
from airflow_imgver.emulator.medicalimaging.dicom_files import (
    ImportedFile,
    NotImportedError,
    document_of,
    read_file,
    synthetic_study,
)
from airflow_imgver.emulator.medicalimaging.import_output import (
    ImportResult,
    read_objects,
    split,
    write_output,
)
from airflow_imgver.emulator.medicalimaging.metadata import merged
from airflow_imgver.emulator.transitions import Changing

if TYPE_CHECKING:
    from datetime import datetime

    from moto.s3.models import S3Backend

    from airflow_imgver.emulator.medicalimaging.datastores import Datastore
    from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet


class ImportJob(BaseModel, Changing):
    """
    An import of the objects under ``inputS3Uri``, or of a synthetic study where there are none.

    The instances of a series become one primary image set, or the next version of the one that there is. They
    become an image set that is not primary where their Patient, Study or Series attributes differ from those
    of the primary image sets of their study. AWS does not document the status of a version that an import
    adds: here it is IMPORTED.

    :param datastore: The data store.
    :param parameters: The parameters of the request.
    :param storage: moto's S3 backend, for the input and the output.
    :param region: The region of the data store.
    """

    model = "medical-imaging::import-job"

    def __init__(
        self,
        number: int,
        job_id: str,
        datastore: Datastore,
        parameters: dict[str, Any],
        storage: S3Backend,
        region: str,
    ) -> None:
        self.number = number
        self.job_id = job_id
        self.datastore = datastore
        self.parameters = parameters
        given = parameters["outputS3Uri"].rstrip("/")
        self.output_uri = f"{given}/{datastore.datastore_id}-DicomImport-{job_id}/"
        self.submitted_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.message: str | None = None
        self._storage = storage
        self._region = region

    def properties(self) -> dict[str, Any]:
        """Give the members of DICOMImportJobProperties."""
        return {
            "jobName": self.job_id,
            **self.parameters,
            "outputS3Uri": self.output_uri,
            "jobId": self.job_id,
            "jobStatus": self.status,
            "datastoreId": self.datastore.datastore_id,
            "submittedAt": self.submitted_at,
            "endedAt": self.ended_at,
            "message": self.message,
        }

    def load(self, properties: dict[str, Any]) -> None:
        """Take a job as it is."""
        self.status = properties["jobStatus"]
        self.output_uri = properties["outputS3Uri"]
        self.submitted_at, self.ended_at = properties.get("submittedAt"), properties.get("endedAt")
        self.message = properties.get("message")

    def next_status(self) -> str | None:
        """Give the status that follows SUBMITTED or IN_PROGRESS."""
        return {"SUBMITTED": "IN_PROGRESS", "IN_PROGRESS": "COMPLETED"}.get(self.status)

    def enter(self, status: str, time: datetime) -> None:
        """Take a status; the end of the job makes the image sets, or gives the reason why it cannot."""
        if status == "SUBMITTED":
            self.submitted_at = time
        elif status == "COMPLETED":
            self.ended_at = time
            result = ImportResult()
            self.message = self._import(time, result) or write_output(
                self._storage, self._region, self.properties(), result
            )
            status = "FAILED" if self.message else status
        super().enter(status, time)

    def _import(self, time: datetime, result: ImportResult) -> str | None:
        groups = _grouped(self._files(result))
        targets = [self._primary_of(group[0].series_uid) for group in groups]
        locked = [target.image_set_id for target in targets if target and target.latest.state == "LOCKED"]
        if locked:
            return f"ImageSet {locked[0]} is locked."
        for group in groups:
            contents = Contents(document_of(group))
            image_set = self._image_set_with(contents, group[0].series_uid, time)
            for each in group:
                self.datastore.frames |= each.frames
                version, primary = image_set.latest.number, image_set.is_primary
                result.imported.append((each.name, image_set.image_set_id, version, primary))
        return None

    def _files(self, result: ImportResult) -> list[ImportedFile]:
        source = self.parameters["inputS3Uri"]
        objects = list(read_objects(self._storage, source))
        if not objects:
            return synthetic_study(split(source)[1], source)
        storage_format = self.datastore.properties()["losslessStorageFormat"]
        files = []
        for name, content in objects:
            try:
                files.append(read_file(name, content, storage_format))
            except NotImportedError as reason:
                result.failed.append((name, str(reason)))
        return files

    def _primary_of(self, series_uid: str) -> ImageSet | None:
        found = self.datastore.search.members("DICOMSeriesInstanceUID", series_uid)
        return next((each for each in found if each.is_primary), None)

    def _image_set_with(self, contents: Contents, series_uid: str, time: datetime) -> ImageSet:
        """Make an image set with the instances of a series, or a new version of its primary image set."""
        primary = self._primary_of(series_uid)
        consistent = self._is_consistent(contents, series_uid)
        if primary is not None and consistent:
            _import_again(primary, merged(primary.latest.contents, contents), time)
            return primary
        image_set = self.datastore.new_image_set(self._free_id(series_uid))
        properties = {
            "versionId": "1",
            "ImageSetWorkflowStatus": "CREATED",
            "createdAt": time,
            "isPrimary": consistent,
        }
        image_set.add_version(properties, contents, time)
        return image_set

    def _is_consistent(self, contents: Contents, series_uid: str) -> bool:
        """Compare the Patient, Study and Series attributes with the primary image sets of the study."""
        document = contents.document
        study = document["Study"]["DICOM"]["StudyInstanceUID"]
        for other in self.datastore.search.members("DICOMStudyInstanceUID", study):
            if not other.is_primary:
                continue
            existing = other.latest.contents.document
            if any(existing[level]["DICOM"] != document[level]["DICOM"] for level in ("Patient", "Study")):
                return False
            series = existing["Study"]["Series"].get(series_uid)
            if series and series["DICOM"] != document["Study"]["Series"][series_uid]["DICOM"]:
                return False
        same_series = self._primary_of(series_uid)
        return same_series is None or same_series.latest.contents.tags["DICOMStudyInstanceUID"] == study

    def _free_id(self, series_uid: str) -> str:
        """Make an id that the same imports make again in a data store with the same id."""
        number = 0
        while True:
            seed = f"{self.datastore.datastore_id}/{series_uid}/{number}"
            image_set_id = hashlib.sha256(seed.encode()).hexdigest()[:32]
            if image_set_id not in self.datastore.image_sets:
                return image_set_id
            number += 1


def _grouped(files: list[ImportedFile]) -> list[list[ImportedFile]]:
    """Group instances whose Patient, Study and Series attributes are equal, in the order of the files."""
    groups: list[list[ImportedFile]] = []
    of_series: dict[str, list[list[ImportedFile]]] = {}
    for each in files:
        candidates = of_series.setdefault(each.series_uid, [])
        group = next((one for one in candidates if one[0].levels == each.levels), None)
        if group is None:
            group = []
            groups.append(group)
            candidates.append(group)
        group.append(each)
    return groups


def _import_again(image_set: ImageSet, contents: Contents, time: datetime) -> None:
    latest = image_set.latest
    kept = latest.properties.keys() & {"createdAt", "isPrimary"}
    properties = {
        **{name: latest.properties[name] for name in kept},
        "versionId": str(latest.number + 1),
        "ImageSetWorkflowStatus": "IMPORTED",
        "updatedAt": time,
    }
    image_set.add_version(properties, contents, time)
