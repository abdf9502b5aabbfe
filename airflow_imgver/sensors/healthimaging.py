"""The gates on image sets and import jobs of AWS HealthImaging."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.arguments.searches import ATTRIBUTES, way_of
from airflow_imgver.arguments.times import duration_value
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.import_manifest import imported_image_sets
from airflow_imgver.links.healthimaging import HealthImagingDICOMImportJobLink, HealthImagingImageSetLink
from airflow_imgver.sensors.base import GateSensor
from airflow_imgver.sensors.searching import SearchingSensor
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.text import counted, number
from airflow_imgver.triggers.healthimaging import (
    HealthImagingDICOMImportJobTrigger,
    HealthImagingImageSetVersionTrigger,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

# Some hundred kilobytes; MySQL, for example, has other limits than PostgreSQL.
MANY_IMAGE_SETS = 1_000


class HealthImagingImageSetVersionSensor(SearchingSensor):
    """
    Waits until an image set's version is no longer being copied, updated, imported or deleted.

    Give as ``version`` the ``latestVersionId`` that ``CopyImageSet`` or ``UpdateImageSetMetadata`` returned:
    then a late listing or another writer's newer version does not mislead the gate. Further arguments are
    those of :class:`~airflow_imgver.sensors.base.ImageVersionSensor` and of Airflow's ``BaseSensorOperator``.

    Name the image sets in exactly one way: by ``image_set_id``, or by one of the arguments that search. The
    search is made when the gate starts, and returns a list. What is searched for may identify a patient:
    Airflow stores it with the rendered fields; the log, XCom, errors and the trigger's arguments have ids
    only.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param image_set_id: the image set, likewise, or a list of them; also what the gate on an import returned,
        with the versions that the import made.
    :param study_instance_uid: all image sets of the study with this DICOM UID.
    :param series_instance_uid: all image sets of the series with this DICOM UID.
    :param accession_number: all image sets of the order with this accession number.
    :param all_in_datastore: all image sets of the data store.
    :param updated_after: with ``all_in_datastore``, only those that changed then or later: a datetime or an
        ISO 8601 text, UTC unless it names an offset.
    :param settle_for: seconds, or a timedelta, during which no search may find a new image set before the
        gate opens, for example because an import is still making some; 0 searches once.
    :param allow_empty: open where the search finds nothing, and return an empty list; else fail.
    :param allow_read_only: open on an image set that is the source of a running copy, which can be read
        (COPYING_WITH_READ_ONLY_ACCESS).
    """

    service = HEALTHIMAGING
    aws_hook_class = HealthImagingHook
    trigger_class = HealthImagingImageSetVersionTrigger
    link_class = HealthImagingImageSetLink
    operator_extra_links = (HealthImagingImageSetLink(),)
    template_fields = aws_template_fields(
        "datastore_id", "image_set_id", "version", *ATTRIBUTES, "updated_after"
    )

    def __init__(
        self,
        *,
        datastore_id: str,
        image_set_id: str | Sequence[str] | Sequence[Mapping[str, Any]] | None = None,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
        accession_number: str | None = None,
        all_in_datastore: bool = False,
        updated_after: datetime | str | None = None,
        settle_for: float | timedelta = 0.0,
        allow_empty: bool = False,
        allow_read_only: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.image_set_id = image_set_id
        self.study_instance_uid = study_instance_uid
        self.series_instance_uid = series_instance_uid
        self.accession_number = accession_number
        self.all_in_datastore = all_in_datastore
        self.updated_after = updated_after
        # Not templates, so a mistake shows when the Dag is parsed.
        self.way = way_of(vars(self), updated_after=updated_after)
        self.settle_for = duration_value(settle_for, "settle_for").total_seconds()
        self.allow_empty = allow_empty
        self.allow_read_only = allow_read_only


class HealthImagingDICOMImportJobSensor(GateSensor[HealthImagingHook]):
    """
    Waits until a DICOM import job has ended, and returns the image sets that it made or changed.

    SUBMITTED and IN_PROGRESS wait, COMPLETED opens, FAILED raises with AWS's message. A status that this
    package does not know waits, and the log names it once; one that ends in ``_FAILED`` raises. The image
    sets come from the manifest that AWS writes to S3 under the job's ``outputS3Uri``; it is read with the
    same connection and region. Further arguments are those of
    :class:`~airflow_imgver.sensors.base.GateSensor` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_GetDICOMImportJob.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param job_id: the job, 1 to 32 digits and lower-case letters, or a list of them.
    :param fail_on_failed_files: fail where the job could not import some files.
    """

    service = DICOM_IMPORT_JOB
    aws_hook_class = HealthImagingHook
    trigger_class = HealthImagingDICOMImportJobTrigger
    link_class = HealthImagingDICOMImportJobLink
    operator_extra_links = (HealthImagingDICOMImportJobLink(),)
    template_fields = aws_template_fields("datastore_id", "job_id")

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

    def execute(self, context: Context) -> Any:
        """
        Wait, here or in the triggerer.

        :return: the image sets, ready for the gate on image sets: ``datastoreId``, and AWS's own
            ``imageSetId``, ``imageSetVersion``, ``isPrimary`` and ``numberOfMatchedSOPInstances``. Of a list
            of jobs, those of all, in the order of the list.
        :raises InvalidIdentityError: an id cannot be valid; before any request.
        :raises ImportJobFailedError: the job failed, with AWS's own reason; or it could not import some
            files, under ``fail_on_failed_files``.
        :raises ManifestMissingError: the job is completed, and its manifest stays away.
        :raises UnexpectedAnswerError: the manifest cannot be read.
        :raises ResourceMissingError: AWS keeps answering that the job does not exist.
        :raises AwsCallError: a call failed, and repeating it cannot help.
        """
        return super().execute(context)

    def _result(self, found: Any) -> list[dict[str, Any]]:
        return image_sets_for_xcom(found, self.log)


def image_sets_for_xcom(found: Any, log: Any) -> list[dict[str, Any]]:
    """
    Return the image sets of one completed import job, or of a list, and log how much that is.

    :param found: the job's properties with ``jobSummary``, or a list of them.
    :param log: the task's logger.
    """
    jobs = found if isinstance(found, list) else [found]
    image_sets = [image_set for job in jobs for image_set in imported_image_sets(job)]
    many = len(image_sets) > MANY_IMAGE_SETS
    (log.warning if many else log.info)(
        "The import made %s, which go to XCom with about %s kB.%s",
        counted(len(image_sets), "image set"),
        number(len(json.dumps(image_sets)) // 1_000),
        " An XCom backend in object storage keeps them out of Airflow's database." if many else "",
    )
    return image_sets
