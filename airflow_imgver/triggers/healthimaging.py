"""Waiting for an image set of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.triggers.base import ImageVersionTrigger


class HealthImagingImageSetVersionTrigger(ImageVersionTrigger):
    """
    Polls an image set's version until the gate opens; further arguments are the base class's.

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise, or a list of them.
    :param allow_read_only: the source of a running copy, which can be read, counts as ready.
    """

    service = HEALTHIMAGING

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
