"""Data stores, and the changes they make to the image sets in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel
from moto.moto_api._internal import mock_random

from airflow_imgver.emulator.medicalimaging.copies import CopyFailedError, copied
from airflow_imgver.emulator.medicalimaging.exceptions import (
    ConflictException,
    ResourceNotFoundException,
    ValidationException,
)
from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet, Version
from airflow_imgver.emulator.medicalimaging.metadata import InvalidAttributesError, updated, with_study_of
from airflow_imgver.emulator.medicalimaging.search import Search
from airflow_imgver.emulator.transitions import Changing

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_imgver.emulator.medicalimaging.import_jobs import ImportJob
    from airflow_imgver.emulator.transitions import Timeline


class Datastore(BaseModel, Changing):
    """
    A data store with its image sets and import jobs, by their ids.

    ``frames`` holds the image frames that are returned as they were imported, by their ids.

    :param timeline: Where the changes of the data store and of its contents happen.
    """

    model = "medical-imaging::datastore"
    created_at: datetime
    updated_at: datetime

    def __init__(self, timeline: Timeline, arn: str, datastore_id: str, parameters: dict[str, Any]) -> None:
        self.timeline = timeline
        self.datastore_id = datastore_id
        self.arn = arn
        self.parameters = parameters
        self.resource_tags: dict[str, str] = dict(parameters.get("tags") or {})
        self.image_sets: dict[str, ImageSet] = {}
        self.frames: dict[str, bytes] = {}
        self.search = Search(self.image_sets)
        self.import_jobs: dict[str, ImportJob] = {}

    def next_status(self) -> str | None:
        """Give ACTIVE for a data store that is created, and DELETED for one that is deleted."""
        return {"CREATING": "ACTIVE", "DELETING": "DELETED"}.get(self.status)

    def enter(self, status: str, time: datetime) -> None:
        """Take a status; the first one is also the creation."""
        super().enter(status, time)
        self.updated_at = time
        if not hasattr(self, "created_at"):
            self.created_at = time

    def properties(self) -> dict[str, Any]:
        """Give the members of DatastoreProperties."""
        # The name is required in the answer and optional in the request.
        return {
            "datastoreName": self.datastore_id,
            "losslessStorageFormat": "HTJ2K",
            **self.parameters,
            "datastoreId": self.datastore_id,
            "datastoreStatus": self.status,
            "datastoreArn": self.arn,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }

    def begin_deletion(self) -> None:
        """Start to delete a data store, which must be empty."""
        if any(not image_set.is_deleted for image_set in self.image_sets.values()):
            raise ConflictException(
                f"Datastore {self.datastore_id} still has image sets, delete them before the data store."
            )
        if any(job.ended_at is None for job in self.import_jobs.values()):
            raise ConflictException(f"Datastore {self.datastore_id} still has a running import job.")
        self.timeline.change(self, "DELETING")

    def new_image_set(self, image_set_id: str) -> ImageSet:
        """Add an image set, which has no versions yet, in place of one with the same id."""
        for version in self.image_sets[image_set_id].versions if image_set_id in self.image_sets else ():
            self.timeline.remove(version)
        arn = f"{self.arn}/imageset/{image_set_id}"
        image_set = ImageSet(self.timeline, arn, image_set_id, self.search.changed)
        self.image_sets[image_set_id] = image_set
        return image_set

    def image_set(self, image_set_id: str) -> ImageSet:
        """Give an image set."""
        image_set = self.image_sets.get(image_set_id)
        if image_set is None:
            raise ResourceNotFoundException(
                f"The requested ImageSet {image_set_id} does not exist in datastore {self.datastore_id}."
            )
        return image_set

    def copy(
        self,
        source_image_set_id: str,
        information: dict[str, Any],
        *,
        force: bool,
        promote_to_primary: bool,
    ) -> tuple[ImageSet, ImageSet]:
        """
        Copy an image set into another, or into a new one.

        A copy that cannot be carried out fails after the call has succeeded, and leaves a version
        COPY_FAILED. A new image set is primary only if the request promotes the source.

        :param information: The request's ``copyImageSetInformation``.
        :return: The source and the destination.
        """
        wanted = information.get("destinationImageSet")
        source = self.image_set(source_image_set_id)
        destination = self.image_set(wanted["imageSetId"]) if wanted else None
        if destination and promote_to_primary:
            raise ValidationException("promoteToPrimary takes no destinationImageSet, it makes a new one.")
        if destination is source:
            raise ValidationException("The source and the destination are the same ImageSet.")
        for image_set in filter(None, (source, destination)):
            image_set.check_writable()
        source.check_latest(information["sourceImageSet"]["latestVersionId"])
        if destination and wanted:
            destination.check_latest(wanted["latestVersionId"])
        contents, failure = source.latest.contents, None
        try:
            of_destination = destination.latest.contents if destination else None
            contents = copied(contents, of_destination, information, force=force)
        except CopyFailedError as failed:
            failure = str(failed)
        if destination is None:
            destination = self.new_image_set(mock_random.get_random_hex(32))
        destination.begin_version(
            "COPYING",
            contents,
            failure=failure,
            forced=force,
            primary=promote_to_primary,
            source_arn=source.arn,
        )
        source.lock_as_copy_source()
        return source, destination

    def update_metadata(
        self,
        image_set_id: str,
        latest_version_id: str,
        updates: dict[str, Any],
        *,
        force: bool,
        include_study: bool,
    ) -> Version:
        """
        Update the metadata of an image set, or revert it to an older version, in a new version.

        An update with invalid attributes, or with a change of an identifier without ``force``, fails after
        the call has succeeded, and leaves a version UPDATE_FAILED.

        :param updates: The request's ``updateImageSetMetadataUpdates``.
        :param include_study: Update all primary image sets of the study, or none.
        :return: The new version of the requested image set.
        """
        image_set = self.image_set(image_set_id)
        image_set.check_writable()
        image_set.check_latest(latest_version_id)
        revert_to = updates.get("revertToVersionId")
        if revert_to is not None:
            if include_study:
                raise ValidationException("includeStudyImageSets is not supported with revertToVersionId.")
            contents = image_set.version(revert_to).contents
            return image_set.begin_version("UPDATING", contents, forced=force)
        attributes = updates["DICOMUpdates"]
        if not attributes:
            raise ValidationException("DICOMUpdates needs updatableAttributes or removableAttributes.")
        siblings = self._rest_of_study(image_set) if include_study else []
        for sibling in siblings:
            sibling.check_writable()
        contents, failure = image_set.latest.contents, None
        try:
            contents = updated(
                contents,
                attributes,
                force=force,
                primary=image_set.is_primary,
                include_study=include_study,
            )
        except InvalidAttributesError as invalid:
            failure = f"INVALID_REQUEST: {invalid}"
        for sibling in siblings:
            sibling.begin_version(
                "UPDATING_FOR_STUDY_CONSISTENCY",
                with_study_of(contents, sibling.latest.contents),
                failure=failure,
                forced=force,
            )
        return image_set.begin_version("UPDATING", contents, failure=failure, forced=force)

    def _rest_of_study(self, image_set: ImageSet) -> list[ImageSet]:
        study = image_set.latest.contents.tags["DICOMStudyInstanceUID"]
        return [
            other
            for other in self.search.members("DICOMStudyInstanceUID", study)
            if other is not image_set and other.is_primary
        ]
