"""Listing the versions of an image set of AWS HealthImaging."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.listing import Listing
from airflow_imgver.links.healthimaging import HealthImagingImageSetLink
from airflow_imgver.operators.base import ListVersionsOperator


class HealthImagingListImageSetVersionsOperator(ListVersionsOperator[HealthImagingHook]):
    """
    Lists the versions of an image set and returns them; further arguments are the base class's.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise.
    """

    aws_hook_class = HealthImagingHook
    link_class = HealthImagingImageSetLink
    operator_extra_links = (HealthImagingImageSetLink(),)
    identity_fields = ("datastore_id", "image_set_id")
    template_fields = aws_template_fields(
        "datastore_id", "image_set_id", "query", "page_size", "max_items", "starting_token"
    )

    def __init__(self, *, datastore_id: str, image_set_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id

    def _list(self, **paging: Any) -> Listing:
        return self.hook.list_image_set_versions(self.datastore_id, self.image_set_id, **paging)
