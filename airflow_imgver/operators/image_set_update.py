"""Updating and reverting the metadata of image sets of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.arguments.attributes import attributes_text, check_update_size
from airflow_imgver.arguments.literals import bool_value
from airflow_imgver.operators.image_set import ImageSetOperator, started, version_argument
from airflow_imgver.operators.started import Started


class HealthImagingUpdateImageSetMetadataOperator(ImageSetOperator):
    """
    Updates the metadata of an image set, or reverts it to an older version, and waits for the new version.

    Returns the entry of the version that the update makes. AWS keeps the versions before it, with their
    attributes. Further arguments are those of :class:`~airflow_imgver.operators.acting.ActingOperator` and of
    Airflow's ``BaseSensorOperator``.

    Airflow stores rendered template fields and shows them in its UI, so also the values in ``updates``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_UpdateImageSetMetadata.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise.
    :param latest_version: its latest version, which the update replaces; None looks it up.
    :param updates: the attributes to set, as a dictionary in AWS's form, for example
        ``{"Study": {"DICOM": {"StudyDescription": "CHEST"}}}``, or its JSON.
    :param removals: the attributes, series or instances to remove, likewise.
    :param revert_to_version: the version to go back to, in place of updates and removals.
    :param force: allow changes of UIDs and of private attributes.
    :param include_study_image_sets: update all primary image sets of the study. The task waits for the one
        that it names.
    """

    operation = "UpdateImageSetMetadata"
    makes = frozenset({"UPDATING", "UPDATED", "UPDATE_FAILED"})
    template_fields = aws_template_fields(
        "datastore_id",
        "image_set_id",
        "latest_version",
        "updates",
        "removals",
        "revert_to_version",
        "force",
        "include_study_image_sets",
    )

    def __init__(
        self,
        *,
        datastore_id: str,
        image_set_id: str,
        latest_version: int | str | None = None,
        updates: Mapping[str, Any] | str | None = None,
        removals: Mapping[str, Any] | str | None = None,
        revert_to_version: int | str | None = None,
        force: bool | str = False,
        include_study_image_sets: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id
        self.latest_version = latest_version
        self.updates = updates
        self.removals = removals
        self.revert_to_version = revert_to_version
        self.force = force
        self.include_study_image_sets = include_study_image_sets

    def _read(self) -> dict[str, Any]:
        identity = self.service.check({"datastore_id": self.datastore_id, "image_set_id": self.image_set_id})
        key = identity["image_set_id"]
        request: dict[str, Any] = {
            **identity,
            "latest_version": version_argument(self.latest_version, key),
            "updates": attributes_text(self.updates, "updates"),
            "removals": attributes_text(self.removals, "removals"),
            "revert_to_version": version_argument(self.revert_to_version, key),
            "force": bool_value(self.force, "force"),
            "include_study_image_sets": bool_value(self.include_study_image_sets, "include_study_image_sets"),
        }
        changes = request["updates"] or request["removals"]
        if (request["revert_to_version"] is None) == (not changes):
            raise ValueError("Give either updates or removals, or both, or else revert_to_version.")
        if request["include_study_image_sets"] and not changes:
            raise ValueError("include_study_image_sets does not go with revert_to_version.")
        check_update_size(request["updates"], request["removals"])
        return request

    def _versions(self) -> dict[str, Any]:
        number = self._request["latest_version"]
        if number is None:
            number = self._latest(self._identity(self._request["image_set_id"])).number
        return {"latest_version": number}

    def _call(self, versions: Mapping[str, Any]) -> Started:
        answer = self.hook.update_image_set_metadata(**{**self._request, **versions})
        return started(self._identity(self._request["image_set_id"]), answer)

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        return self._made_after(
            self._identity(self._request["image_set_id"]), int(versions["latest_version"])
        )
