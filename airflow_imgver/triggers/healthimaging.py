"""Waiting for an image set of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_imgver.triggers.base import ImageVersionTrigger

if TYPE_CHECKING:
    from airflow_imgver.gate import Gate


class HealthImagingImageSetVersionTrigger(ImageVersionTrigger):
    """
    Looks at an image set's version until the gate opens; further arguments are the base class's.

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise, or a list of them.
    :param allow_read_only: take the source of a running copy, which may be read, for ready.
    """

    hook_path = "airflow_imgver.hooks.healthimaging.HealthImagingHook"
    identity_fields = ("datastore_id", "image_set_id")
    waiting_fields = (*ImageVersionTrigger.waiting_fields, "allow_read_only")

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

    def gate(self, **rule: Any) -> Gate:
        """Return the gate that these arguments describe."""
        return super().gate(allow_read_only=self.allow_read_only, **rule)
