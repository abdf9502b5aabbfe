"""Operators for image sets of AWS HealthImaging: import, copy, update, delete, list versions, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.links.healthimaging import HealthImagingImageSetLink
from airflow_imgver.operators.base import ListVersionsOperator
from airflow_imgver.operators.dicom_import import HealthImagingStartDICOMImportJobOperator
from airflow_imgver.operators.image_set_copy import HealthImagingCopyImageSetOperator
from airflow_imgver.operators.image_set_deletion import HealthImagingDeleteImageSetOperator
from airflow_imgver.operators.image_set_update import HealthImagingUpdateImageSetMetadataOperator
from airflow_imgver.operators.report import TEMPLATED, VersionReportOperator
from airflow_imgver.reports.found import Candidate
from airflow_imgver.reports.rows import Scope
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.text import counted

__all__ = [
    "HealthImagingCopyImageSetOperator",
    "HealthImagingDeleteImageSetOperator",
    "HealthImagingListImageSetVersionsOperator",
    "HealthImagingStartDICOMImportJobOperator",
    "HealthImagingUpdateImageSetMetadataOperator",
    "HealthImagingVersionReportOperator",
]


class HealthImagingListImageSetVersionsOperator(ListVersionsOperator[HealthImagingHook]):
    """
    Lists the versions of an image set and returns them; further arguments are the base class's.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise.
    """

    service = HEALTHIMAGING
    aws_hook_class = HealthImagingHook
    link_class = HealthImagingImageSetLink
    operator_extra_links = (HealthImagingImageSetLink(),)
    template_fields = aws_template_fields(
        "datastore_id", "image_set_id", "query", "page_size", "max_items", "starting_token"
    )

    def __init__(self, *, datastore_id: str, image_set_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id


class HealthImagingVersionReportOperator(VersionReportOperator[HealthImagingHook]):
    """
    Reports the versions of image sets that changed in an interval; further arguments are the base class's.

    An image set is in the report when one of its versions changed in the interval, or when it has been busy
    for longer than ``stuck_after`` and was not yet so at the end of the interval before. The report then has
    all its versions. ``SearchImageSets`` finds the image sets; its DICOM attributes are dropped as soon as
    they arrive, and all data in the report is from ``ListImageSetVersions``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_ids: report these image sets, and do not search: a list of ids, or the text that a
        template makes of one; all their versions, whenever they changed.
    """

    service = HEALTHIMAGING
    aws_hook_class = HealthImagingHook
    template_fields = aws_template_fields("datastore_id", "image_set_ids", *TEMPLATED)

    def __init__(
        self, *, datastore_id: str, image_set_ids: Sequence[str] | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_ids = image_set_ids

    def _where(self) -> str:
        self.service.check({"datastore_id": self.datastore_id}, only=("datastore_id",))
        where = f"data store {self.datastore_id}"
        if self.image_set_ids is None:
            return where
        count = len(self._checked_names(self.image_set_ids, "image_set_ids"))
        return f"{counted(count, 'image set')} by id in {where}"

    def _is_search(self) -> bool:
        return self.image_set_ids is None

    def _candidates(self, scope: Scope) -> Iterator[Candidate]:
        if self.image_set_ids is None:
            return self._changed(scope)
        return map(Candidate, self._checked_names(self.image_set_ids, "image_set_ids"))

    def _changed(self, scope: Scope) -> Iterator[Candidate]:
        """
        Search the interval, and then the time on both sides of it.

        A search finds each image set by its last change only. An image set that changed in the interval and
        again since is found after it; one that became busy at the end of the interval before, and was not
        stuck yet in that report, is found before it. The time after comes last: an image set that changes
        during the search moves there.
        """
        find = partial(self.hook.iter_image_set_ids, self.datastore_id)
        yield from map(Candidate, find(updated_after=scope.after, updated_before=scope.before))
        if scope.after is not None and scope.stuck_after:
            earlier = find(updated_after=scope.after - scope.stuck_after, updated_before=scope.after)
            yield from (Candidate(name, certain=False) for name in earlier)
        if scope.before is not None and scope.before < scope.made_at:
            yield from (Candidate(name, certain=False) for name in find(updated_after=scope.before))
