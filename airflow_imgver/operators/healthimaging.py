"""Listing and reporting the versions of image sets of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.listing import Listing
from airflow_imgver.links.healthimaging import HealthImagingImageSetLink
from airflow_imgver.operators.base import ListVersionsOperator
from airflow_imgver.operators.report import TEMPLATED, VersionReportOperator, checked_names
from airflow_imgver.reports.found import Candidate
from airflow_imgver.reports.rows import IMAGE_SETS, Scope


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


class HealthImagingVersionReportOperator(VersionReportOperator[HealthImagingHook]):
    """
    Reports the versions of image sets that changed in an interval; further arguments are the base class's.

    An image set belongs into the report when one of its versions changed in the interval, or when it has been
    busy for longer than ``stuck_after`` and was not so yet at the end of the interval before. All its
    versions are reported then. They are found with ``SearchImageSets``, whose DICOM attributes are let go of
    as soon as they arrive: what the report says is what ``ListImageSetVersions`` returned.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_ids: report these, and search for none: a list of ids, or the text that a template makes
        of one; all their versions, whenever they changed.
    """

    aws_hook_class = HealthImagingHook
    table = IMAGE_SETS
    template_fields = aws_template_fields("datastore_id", "image_set_ids", *TEMPLATED)

    def __init__(
        self, *, datastore_id: str, image_set_ids: Sequence[str] | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_ids = image_set_ids

    def _where(self) -> str:
        HealthImagingHook.check_datastore(self.datastore_id)
        return f"data store {self.datastore_id}"

    def _identify(self, name: str) -> Mapping[str, str]:
        return {"datastore_id": self.datastore_id, "image_set_id": name}

    def _candidates(self, scope: Scope) -> Iterator[Candidate]:
        if self.image_set_ids is None:
            return self._changed(scope)
        check = HealthImagingHook.check
        names = checked_names(self.image_set_ids, "image_set_ids", lambda name: check(self._identify(name)))
        return map(Candidate, names)

    def _changed(self, scope: Scope) -> Iterator[Candidate]:
        """
        Search the interval, and then on both sides of it.

        A search knows of each image set its last change only. So an image set that changed in the interval
        and again since is found behind it; and one that became busy at the end of the interval before, and
        was not stuck yet when that was reported, stands before it. Behind comes last: what changes while the
        search goes on moves there.
        """
        find = partial(self.hook.iter_image_set_ids, self.datastore_id)
        yield from map(Candidate, find(updated_after=scope.after, updated_before=scope.before))
        if scope.after is not None and scope.stuck_after:
            earlier = find(updated_after=scope.after - scope.stuck_after, updated_before=scope.after)
            yield from (Candidate(name, certain=False) for name in earlier)
        if scope.before is not None and scope.before < scope.made_at:
            yield from (Candidate(name, certain=False) for name in find(updated_after=scope.before))
