"""Waiting for image sets and import jobs of AWS HealthImaging, and events of image sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_imgver.events.filters import DEFAULT_PHASES, EventFilter
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.triggers.base import GateTrigger, ImageVersionTrigger
from airflow_imgver.triggers.event_base import EventQueueTrigger, WatchTrigger, as_list

if TYPE_CHECKING:
    from airflow_imgver.events.scans import DatastoreWatch


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


class HealthImagingDICOMImportJobTrigger(GateTrigger):
    """
    Polls a DICOM import job until it ends; further arguments are the base class's.

    The ``entry`` of its event is the job's properties with ``jobSummary``, the manifest's counts and image
    sets.

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param job_id: the job, 1 to 32 digits and lower-case letters, or a list of them.
    :param fail_on_failed_files: a job that could not import some files counts as failed.
    """

    service = DICOM_IMPORT_JOB

    def __init__(
        self,
        *,
        datastore_id: str,
        job_id: str | Sequence[str],
        fail_on_failed_files: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.job_id = job_id
        self.fail_on_failed_files = fail_on_failed_files


class HealthImagingEventQueueTrigger(EventQueueTrigger):
    """
    Sends an event for each version of an image set that a message of a queue is about; for ``AssetWatcher``.

    A message is a hint: the version is listed, and what AWS says then is the event. All watchers of a queue
    in a triggerer share one receive loop. Messages that are not about image sets are left in the queue, for
    its dead-letter policy. Takes the connection's arguments of the base class too.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/devguide/event-notifications.html

    :param queue_url: the address of an SQS queue to which EventBridge delivers; not a FIFO queue.
    :param phases: which versions: ``ready``, ``failed``, ``deleted``, ``busy``, or one of them.
    :param datastore_ids: only image sets of these data stores, or of one; None for any.
    :param image_set_ids: only these image sets, or one; None for any.
    :param primary_only: only primary image sets.
    """

    service = HEALTHIMAGING
    arguments = ("queue_url", "phases", "datastore_ids", "image_set_ids", "primary_only")

    def __init__(
        self,
        queue_url: str,
        *,
        phases: str | Sequence[str] = DEFAULT_PHASES,
        datastore_ids: str | Sequence[str] | None = None,
        image_set_ids: str | Sequence[str] | None = None,
        primary_only: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(queue_url=queue_url, phases=phases, **kwargs)
        self.datastore_ids = as_list(datastore_ids)
        self.image_set_ids = as_list(image_set_ids)
        self.primary_only = primary_only

    @cached_property
    def wanted(self) -> EventFilter:
        """The filter, from the arguments."""
        return EventFilter.of(
            self.service,
            phases=self.phases,
            ids={"datastore_id": self.datastore_ids, "image_set_id": self.image_set_ids},
            primary_only=self.primary_only,
        )


class HealthImagingDatastoreWatchTrigger(WatchTrigger):
    """
    Sends an event for each version of a data store's image sets, without a queue; for ``AssetWatcher``.

    It searches for what changed since its cursor and lists those image sets. Every version is reported, also
    one that came and went while no triggerer ran. Takes the connection's arguments of the base class too.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param phases: which versions: ``ready``, ``failed``, ``deleted``, ``busy``, or one of them.
    :param image_set_ids: only these image sets, or one; None for any.
    :param primary_only: only primary image sets.
    :param poll_interval: seconds between two scans, 1 or more.
    :param cursor_name: the name under which the cursor is kept; None for one made of the arguments.
    """

    service = HEALTHIMAGING
    arguments = ("datastore_id", "phases", "image_set_ids", "primary_only", "poll_interval", "cursor_name")

    def __init__(
        self,
        datastore_id: str,
        *,
        phases: str | Sequence[str] = DEFAULT_PHASES,
        image_set_ids: str | Sequence[str] | None = None,
        primary_only: bool = False,
        poll_interval: float = 30.0,
        cursor_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(phases=phases, poll_interval=poll_interval, cursor_name=cursor_name, **kwargs)
        self.datastore_id = datastore_id
        self.image_set_ids = as_list(image_set_ids)
        self.primary_only = primary_only

    @cached_property
    def wanted(self) -> EventFilter:
        """The filter, from the arguments."""
        return EventFilter.of(
            self.service,
            phases=self.phases,
            ids={"image_set_id": self.image_set_ids},
            primary_only=self.primary_only,
        )

    def watch(self) -> DatastoreWatch:
        """Return what scans for changes."""
        from airflow_imgver.events.scans import DatastoreWatch

        return DatastoreWatch(self.datastore_id, self.wanted, **self.connection)
