"""The gate on an image set of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.links.healthimaging import HealthImagingImageSetLink
from airflow_imgver.sensors.base import ImageVersionSensor
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger


class HealthImagingImageSetVersionSensor(ImageVersionSensor[HealthImagingHook]):
    """
    Waits until an image set's version is no longer being copied, updated, imported or deleted.

    Give as ``version`` the ``latestVersionId`` that ``CopyImageSet`` or ``UpdateImageSetMetadata`` returned:
    then a late listing or another writer's newer version does not mislead the gate. Further arguments are
    those of :class:`~airflow_imgver.sensors.base.ImageVersionSensor` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise, or a list of them.
    :param allow_read_only: open on an image set that is the source of a running copy, which can be read
        (COPYING_WITH_READ_ONLY_ACCESS).
    """

    service = HEALTHIMAGING
    aws_hook_class = HealthImagingHook
    trigger_class = HealthImagingImageSetVersionTrigger
    link_class = HealthImagingImageSetLink
    operator_extra_links = (HealthImagingImageSetLink(),)
    template_fields = aws_template_fields("datastore_id", "image_set_id", "version")

    def __init__(
        self,
        *,
        datastore_id: str,
        image_set_id: str | Sequence[str],
        allow_read_only: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id
        self.allow_read_only = allow_read_only
