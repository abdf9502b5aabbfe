"""The AWS console's pages of image sets and import jobs."""

from __future__ import annotations

from airflow_imgver.links.console import ConsoleLink
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB


class HealthImagingImageSetLink(ConsoleLink, service=HEALTHIMAGING):
    """
    Link to an image set in the HealthImaging console.

    AWS does not document the address of one image set; the description of the service says how it was
    inferred.

    https://docs.aws.amazon.com/healthimaging/latest/devguide/get-image-set-properties.html
    """


class HealthImagingDICOMImportJobLink(ConsoleLink, service=DICOM_IMPORT_JOB):
    """
    Link to an import job in the HealthImaging console.

    AWS does not document the address of one import job; the description of the job says how it was inferred.

    https://docs.aws.amazon.com/healthimaging/latest/devguide/get-import-job-properties.html
    """
