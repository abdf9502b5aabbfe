"""AWS HealthImaging: the calls that change image sets, and how to find what a lost call made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.text import whole_second


class ImageSetActions(ImageVersionHook):
    """
    Copy, update and delete image sets, and start imports.

    Each call is sent once, and never repeated by botocore: a copy of which only the answer was lost would be
    made twice. A failure whose ``transient`` is set may pass.
    """

    service = HEALTHIMAGING

    def copy_image_set(
        self,
        datastore_id: str,
        source_image_set_id: str,
        *,
        source_version: int | str,
        destination_image_set_id: str | None = None,
        destination_version: int | str | None = None,
        copiable_attributes: str | None = None,
        force: bool = False,
        promote_to_primary: bool = False,
    ) -> dict[str, Any]:
        """
        Start to copy an image set into another, or into a new one.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_CopyImageSet.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param source_image_set_id: the image set to copy, likewise.
        :param source_version: its latest version.
        :param destination_image_set_id: the image set to copy into; None for a new one.
        :param destination_version: its latest version.
        :param copiable_attributes: JSON that names the instances to copy; None copies all.
        :param force: copy even if Patient, Study or Series attributes differ.
        :param promote_to_primary: make the new image set the primary one.
        :return: AWS's answer.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        source = {"datastore_id": datastore_id, "image_set_id": source_image_set_id}
        of_source: dict[str, Any] = {"latestVersionId": str(source_version)}
        if copiable_attributes is not None:
            of_source["DICOMCopies"] = {"copiableAttributes": copiable_attributes}
        information: dict[str, Any] = {"sourceImageSet": of_source}
        if destination_image_set_id is not None:
            self.service.check({**source, "image_set_id": destination_image_set_id})
            information["destinationImageSet"] = {
                "imageSetId": destination_image_set_id,
                "latestVersionId": str(destination_version),
            }
        flags = {"force": force or None, "promoteToPrimary": promote_to_primary or None}
        about = self.service.describe(self.service.check(source))
        return self.act(
            "copy_image_set",
            {
                "datastoreId": datastore_id,
                "sourceImageSetId": source_image_set_id,
                "copyImageSetInformation": information,
                **flags,
            },
            f"{about}, to be copied into {destination_image_set_id or 'a new one'}",
        )

    def update_image_set_metadata(
        self,
        datastore_id: str,
        image_set_id: str,
        *,
        latest_version: int | str,
        updates: str | None = None,
        removals: str | None = None,
        revert_to_version: int | str | None = None,
        force: bool = False,
        include_study_image_sets: bool = False,
    ) -> dict[str, Any]:
        """
        Start to update the metadata of an image set, or to revert it to an older version.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_UpdateImageSetMetadata.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param image_set_id: the image set, likewise.
        :param latest_version: its latest version; AWS refuses the call if there is a newer one.
        :param updates: JSON with the attributes to set.
        :param removals: JSON with the attributes, series or instances to remove.
        :param revert_to_version: the version to go back to, instead of updates and removals.
        :param force: allow the changes for which AWS demands it.
        :param include_study_image_sets: update all primary image sets of the study.
        :return: AWS's answer.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        identity = self.service.check({"datastore_id": datastore_id, "image_set_id": image_set_id})
        changes: dict[str, Any] = {}
        if revert_to_version is not None:
            changes["revertToVersionId"] = str(revert_to_version)
        attributes = {"updatableAttributes": updates, "removableAttributes": removals}
        if given := {name: text.encode() for name, text in attributes.items() if text is not None}:
            changes["DICOMUpdates"] = given
        return self.act(
            "update_image_set_metadata",
            {
                **self.service.members(identity),
                "latestVersionId": str(latest_version),
                "updateImageSetMetadataUpdates": changes,
                "force": force or None,
                "includeStudyImageSets": include_study_image_sets or None,
            },
            self.service.describe(identity),
        )

    def delete_image_set(self, datastore_id: str, image_set_id: str) -> dict[str, Any]:
        """
        Start to delete an image set with all its versions.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_DeleteImageSet.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param image_set_id: the image set, likewise.
        :return: AWS's answer.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        identity = self.service.check({"datastore_id": datastore_id, "image_set_id": image_set_id})
        return self.act("delete_image_set", self.service.members(identity), self.service.describe(identity))

    def start_dicom_import_job(
        self, datastore_id: str, *, client_token: str, **members: Any
    ) -> dict[str, Any]:
        """
        Start to import DICOM files from S3 into a data store.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_StartDICOMImportJob.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param client_token: a second call with the same token starts no second job.
        :param members: the other members of the request, under the API's own names, for example
            ``inputS3Uri``.
        :return: AWS's answer.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.service.check({"datastore_id": datastore_id}, only=("datastore_id",))
        request = {"datastoreId": datastore_id, "clientToken": client_token, **members}
        return self.act("start_dicom_import_job", request, f"data store {datastore_id}")

    def find_copies(
        self,
        datastore_id: str,
        source_image_set_id: str,
        *,
        created_after: datetime,
        created_before: datetime,
    ) -> list[str]:
        """
        Return the ids of the image sets with the series of another one that were created between two times.

        SearchImageSets answers with DICOM attributes of patients and studies; only ids leave this method.

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param source_image_set_id: the image set of which they may be copies, which is not among them.
        :raises AwsCallError: AWS refused or did not answer.
        """
        source = self.find_version({"datastore_id": datastore_id, "image_set_id": source_image_set_id}).latest
        created = source.entry.get("createdAt") if source else None
        if not isinstance(created, datetime):
            return []
        of_source = [
            _series(found)
            for found in self._created(datastore_id, created, created)
            if found.get("imageSetId") == source_image_set_id
        ]
        return [
            str(found["imageSetId"])
            for found in self._created(datastore_id, created_after, created_before)
            if found.get("imageSetId") != source_image_set_id
            # AWS does not say whether a search shows the attributes of a copy that is still being made.
            and (not of_source or _series(found) in (of_source[0], (None, None)))
        ]

    def _created(self, datastore_id: str, after: datetime, before: datetime) -> list[dict[str, Any]]:
        ends = (after.replace(microsecond=0), whole_second(before + timedelta(microseconds=1)))
        between = {"operator": "BETWEEN", "values": [{"createdAt": end} for end in ends]}
        members = {"datastoreId": datastore_id, "searchCriteria": {"filters": [between]}}
        return list(self._versions(self.service.finding, members, f"data store {datastore_id}"))


def _series(found: Mapping[str, Any]) -> tuple[Any, Any]:
    tags = found.get("DICOMTags") or {}
    return tags.get("DICOMStudyInstanceUID"), tags.get("DICOMSeriesInstanceUID")
