"""Waiting for image sets and import jobs of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.triggers.base import GateTrigger, ImageVersionTrigger


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
