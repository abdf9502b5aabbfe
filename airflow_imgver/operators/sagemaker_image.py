"""Operators for images of Amazon SageMaker AI: create and delete versions, list versions, report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.listing import Listing
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook, SortBy, SortOrder
from airflow_imgver.links.sagemaker_image import SageMakerImageLink
from airflow_imgver.operators.base import ListVersionsOperator
from airflow_imgver.operators.image_version import (
    SageMakerCreateImageVersionOperator,
    SageMakerDeleteImageVersionOperator,
)
from airflow_imgver.operators.report import TEMPLATED, VersionReportOperator
from airflow_imgver.reports.found import Candidate
from airflow_imgver.reports.rows import Scope
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE

__all__ = [
    "SageMakerCreateImageVersionOperator",
    "SageMakerDeleteImageVersionOperator",
    "SageMakerImageVersionReportOperator",
    "SageMakerListImageVersionsOperator",
]

_FILTERS = tuple(each.name for each in SAGEMAKER_IMAGE.listing.filters)


class SageMakerListImageVersionsOperator(ListVersionsOperator[SageMakerImageHook]):
    """
    Lists the versions of an image and returns them; further arguments are the base class's.

    A time is a datetime or an ISO 8601 text, in UTC unless it has an offset.

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

    service = SAGEMAKER_IMAGE
    aws_hook_class = SageMakerImageHook
    link_class = SageMakerImageLink
    operator_extra_links = (SageMakerImageLink(),)
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


class SageMakerImageVersionReportOperator(VersionReportOperator[SageMakerImageHook]):
    """
    Reports the versions of images; further arguments are the base class's.

    With an interval, an image is in the report when one of its versions changed in it, or is stuck; the
    report then has all its versions. AWS does not say whether a build changes the last-modified time of its
    image, so the versions of all images are listed.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImages.html

    :param image_names: report these images, and do not search: a list of names, or the text that a template
        makes of one; all their versions, whenever they changed.
    :param name_contains: report images with this text in their names; None for all images of the region.
    """

    service = SAGEMAKER_IMAGE
    aws_hook_class = SageMakerImageHook
    template_fields = aws_template_fields("image_names", "name_contains", *TEMPLATED)

    def __init__(
        self,
        *,
        image_names: Sequence[str] | str | None = None,
        name_contains: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_names = image_names
        self.name_contains = name_contains

    def _where(self) -> str:
        if self.image_names is not None:
            if self.name_contains:
                raise ValueError("Give image_names or name_contains, not both.")
            names = self._checked_names(self.image_names, "image_names")
            return f"image {names[0]}" if len(names) == 1 else f"{len(names)} images by name"
        return f"images with {self.name_contains} in their names" if self.name_contains else "all images"

    def _is_search(self) -> bool:
        return self.image_names is None

    def _candidates(self, scope: Scope) -> Iterable[Candidate]:
        if self.image_names is None:
            return super()._candidates(scope)
        return map(Candidate, self._checked_names(self.image_names, "image_names"))

    def _find(self) -> Iterator[str]:
        return self.hook.iter_image_names(name_contains=self.name_contains)
