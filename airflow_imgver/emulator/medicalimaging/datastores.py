"""Data stores, and the changes they make to the image sets in them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.managed_state_model import ManagedState

from .exceptions import ConflictException, ResourceNotFoundException, ValidationException
from .image_sets import ImageSet, Version, begin, now
from .metadata import InvalidAttributesError, parsed, updated, with_series_of

if TYPE_CHECKING:
    from .import_jobs import ImportJob

DATASTORE_MODEL = "medical-imaging::datastore"

SERIES_DIFFER = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."


class Datastore(BaseModel, ManagedState):
    """A data store with its image sets and import jobs, by their ids."""

    def __init__(self, arn: str, datastore_id: str, parameters: dict[str, Any]):
        ManagedState.__init__(
            self, DATASTORE_MODEL, transitions=[("CREATING", "ACTIVE"), ("DELETING", "DELETED")]
        )
        self.datastore_id = datastore_id
        self.arn = arn
        self.parameters = parameters
        self.created_at = self.updated_at = now()
        self.resource_tags: dict[str, str] = dict(parameters.get("tags") or {})
        self.image_sets: dict[str, ImageSet] = {}
        self.import_jobs: dict[str, ImportJob] = {}

    @property
    def last_seen_status(self) -> str:
        """The status as it was last shown: reading `status` would move it on."""
        return str(self._status)

    def properties(self) -> dict[str, Any]:
        """Give the members of DatastoreProperties."""
        # The name is required in the answer and optional in the request.
        return {
            "datastoreName": self.datastore_id,
            **self.parameters,
            "datastoreId": self.datastore_id,
            "datastoreStatus": self.status,
            "datastoreArn": self.arn,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }

    def begin_deletion(self) -> None:
        """Begin to delete a data store that holds nothing any more."""
        self.settle()
        if any(not image_set.is_deleted for image_set in self.image_sets.values()):
            raise ConflictException(
                f"Datastore {self.datastore_id} still has image sets, delete them before the data store."
            )
        if any(job.ended_at is None for job in self.import_jobs.values()):
            raise ConflictException(f"Datastore {self.datastore_id} still has an import job that runs.")
        self.status = "DELETING"
        self._tick = 0
        self._time_progressed = datetime.now()
        self.updated_at = now()

    def new_image_set(self, image_set_id: str, versions: list[Version]) -> ImageSet:
        """Put an image set into the data store."""
        image_set = ImageSet(f"{self.arn}/imageset/{image_set_id}", image_set_id, versions)
        self.image_sets[image_set_id] = image_set
        return image_set

    def image_set(self, image_set_id: str) -> ImageSet:
        """Give an image set as it is now."""
        image_set = self.image_sets.get(image_set_id)
        if image_set is None:
            raise ResourceNotFoundException(
                f"The requested ImageSet {image_set_id} does not exist in datastore {self.datastore_id}."
            )
        image_set.settle()
        return image_set

    def settle_imports(self) -> None:
        """Take in what import jobs have made by now."""
        for job in self.import_jobs.values():
            job.settle(self)

    def settle(self) -> None:
        """Bring everything in the data store up to now."""
        self.settle_imports()
        for image_set in self.image_sets.values():
            image_set.settle()

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

        Image sets hold the same series if one is a copy of the other, or if a forced update has given them
        the same SeriesInstanceUID. A copy between others fails unless forced, after the call has succeeded:
        it leaves a version COPY_FAILED. So does a subset that is not valid. A new image set is primary only
        where the source was promoted.

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
        failure = _copy_failure(source, destination, information, force=force)
        if destination and wanted:
            destination.check_latest(wanted["latestVersionId"])
            destination.begin_version("COPYING", destination.latest.tags, failure=failure, forced=force)
        else:
            destination = self._new_copy(source, failure=failure, forced=force, primary=promote_to_primary)
        source.lock_as_copy_source()
        return source, destination

    def _new_copy(self, source: ImageSet, *, failure: str | None, forced: bool, primary: bool) -> ImageSet:
        image_set_id = mock_random.get_random_hex(32)
        properties = {
            "imageSetId": image_set_id,
            "versionId": "1",
            "createdAt": now(),
            "isPrimary": primary,
            "overrides": {"forced": True} if forced else None,
        }
        # AWS shows the first version of a copied image set without updatedAt.
        version = begin(properties, "COPYING", source.latest.tags, failure=failure, stamp=None)
        return self.new_image_set(image_set_id, [version])

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
        Update the metadata of an image set, or go back to an older version, in a new version.

        An update whose attributes are not valid, or change an identifier without ``force``, fails after the
        call has succeeded: it leaves a version UPDATE_FAILED.

        :param updates: The request's ``updateImageSetMetadataUpdates``.
        :param include_study: Update all primary image sets of the study, or none.
        :return: The new version of the image set that was asked for.
        """
        image_set = self.image_set(image_set_id)
        image_set.check_writable()
        image_set.check_latest(latest_version_id)
        revert_to = updates.get("revertToVersionId")
        if revert_to is not None:
            if include_study:
                raise ValidationException("includeStudyImageSets is not supported with revertToVersionId.")
            return image_set.begin_version("UPDATING", image_set.version(revert_to).tags, forced=force)
        attributes = updates["DICOMUpdates"]
        if not attributes:
            raise ValidationException("DICOMUpdates needs updatableAttributes or removableAttributes.")
        siblings = self._rest_of_study(image_set) if include_study else []
        for sibling in siblings:
            sibling.check_writable()
        tags, failure = image_set.latest.tags, None
        try:
            tags = updated(tags, attributes, force=force)
        except InvalidAttributesError as invalid:
            failure = f"INVALID_REQUEST: {invalid}"
        for sibling in siblings:
            sibling.begin_version(
                "UPDATING_FOR_STUDY_CONSISTENCY",
                with_series_of(tags, sibling.latest.tags),
                failure=failure,
                forced=force,
            )
        return image_set.begin_version("UPDATING", tags, failure=failure, forced=force)

    def _rest_of_study(self, image_set: ImageSet) -> list[ImageSet]:
        self.settle()
        study = image_set.latest.tags["DICOMStudyInstanceUID"]
        return [
            other
            for other in self.image_sets.values()
            if other is not image_set
            and other.is_primary
            and not other.is_deleted
            and other.latest.tags["DICOMStudyInstanceUID"] == study
        ]


def _copy_failure(
    source: ImageSet, destination: ImageSet | None, information: dict[str, Any], *, force: bool
) -> str | None:
    subset = information["sourceImageSet"].get("DICOMCopies")
    if subset:
        try:
            parsed("copiableAttributes", subset["copiableAttributes"])
        except InvalidAttributesError as invalid:
            return f"INVALID_REQUEST: {invalid}"
    if destination and not force:
        series = {one.latest.tags["DICOMSeriesInstanceUID"] for one in (source, destination)}
        return SERIES_DIFFER if len(series) > 1 else None
    return None
