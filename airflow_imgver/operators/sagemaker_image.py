"""Listing the versions of an image of Amazon SageMaker AI."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.listing import Listing
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook, SortBy, SortOrder
from airflow_imgver.links.sagemaker_image import SageMakerImageLink
from airflow_imgver.operators.base import ListVersionsOperator

_FILTERS = (
    "creation_time_after",
    "creation_time_before",
    "last_modified_time_after",
    "last_modified_time_before",
    "sort_by",
    "sort_order",
)


class SageMakerListImageVersionsOperator(ListVersionsOperator[SageMakerImageHook]):
    """
    Lists the versions of an image and returns them; further arguments are the base class's.

    A time is a datetime or an ISO 8601 text; one that names no offset is UTC.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
    :param creation_time_after: only versions created then or later.
    :param creation_time_before: only versions created then or earlier.
    :param last_modified_time_after: only versions modified then or later.
    :param last_modified_time_before: only versions modified then or earlier.
    :param sort_by: ``CREATION_TIME`` (AWS's default), ``LAST_MODIFIED_TIME`` or ``VERSION``.
    :param sort_order: ``DESCENDING`` (AWS's default) or ``ASCENDING``.
    """

    aws_hook_class = SageMakerImageHook
    link_class = SageMakerImageLink
    operator_extra_links = (SageMakerImageLink(),)
    identity_fields = ("image_name",)
    template_fields = aws_template_fields(
        "image_name", *_FILTERS, "query", "page_size", "max_items", "starting_token"
    )

    def __init__(
        self,
        *,
        image_name: str,
        creation_time_after: datetime | str | None = None,
        creation_time_before: datetime | str | None = None,
        last_modified_time_after: datetime | str | None = None,
        last_modified_time_before: datetime | str | None = None,
        sort_by: SortBy | None = None,
        sort_order: SortOrder | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
        self.creation_time_after = creation_time_after
        self.creation_time_before = creation_time_before
        self.last_modified_time_after = last_modified_time_after
        self.last_modified_time_before = last_modified_time_before
        self.sort_by = sort_by
        self.sort_order = sort_order

    def _list(self, **paging: Any) -> Listing:
        filters: dict[str, Any] = {name: getattr(self, name) for name in _FILTERS}
        return self.hook.list_image_versions(self.image_name, **filters, **paging)
