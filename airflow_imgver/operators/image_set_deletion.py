"""Deleting image sets of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.exceptions import ResourceMissingError
from airflow_imgver.operators.image_set import ImageSetOperator, started
from airflow_imgver.operators.started import Started
from airflow_imgver.versions import Phase


class HealthImagingDeleteImageSetOperator(ImageSetOperator):
    """
    Deletes an image set with all its versions, and waits until it is deleted.

    Returns the last entry that AWS shows; None where AWS shows none any more. Further arguments are those of
    :class:`~airflow_imgver.operators.acting.ActingOperator` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_DeleteImageSet.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise.
    """

    operation = "DeleteImageSet"
    waits_until = "deleted"
    template_fields = aws_template_fields("datastore_id", "image_set_id")

    def __init__(self, *, datastore_id: str, image_set_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id

    def _read(self) -> dict[str, Any]:
        return self.service.check({"datastore_id": self.datastore_id, "image_set_id": self.image_set_id})

    def _versions(self) -> dict[str, Any]:
        return {}

    def _call(self, versions: Mapping[str, Any]) -> Started:
        try:
            answer = self.hook.delete_image_set(**self._request)
        except ResourceMissingError:
            # Nothing is kept of an earlier try: what is gone may be gone because of it.
            if self._record.is_stored or not self._record.is_after_a_try:
                raise
            answer = {}
        return started(self._request, answer, watch=False)

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        try:
            found = self.hook.observe(self._request)
        except ResourceMissingError:
            return Started(self._request, None, {})
        if found is None or found.phase is Phase.DELETED or found.status == "DELETING":
            return Started(self._request, None, dict(found.entry) if found else {})
        return None
