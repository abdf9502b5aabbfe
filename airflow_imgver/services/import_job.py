"""AWS HealthImaging's DICOM import jobs."""

from __future__ import annotations

from airflow_imgver.exceptions import ImportJobFailedError
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.waitable import Commands, ConsolePage, IdentityField, Job, Poll
from airflow_imgver.versions import EntryFields, Failure, Phase

DICOM_IMPORT_JOB = Job(
    name=HEALTHIMAGING.name,
    docs=HEALTHIMAGING.docs,
    client_type=HEALTHIMAGING.client_type,
    thing="import job",
    identity=(
        HEALTHIMAGING.identity[0],
        IdentityField(
            name="job_id",
            member="jobId",
            thing="import job",
            pattern=r"[0-9a-z]{1,32}",
            rule="1 to 32 digits and lower-case letters",
            example="3a4b5c6d7e8f90a1b2c3d4e5f6071829",
        ),
    ),
    about="import job {job_id} in data store {datastore_id}",
    # https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_GetDICOMImportJob.html
    polled_by=Poll("GetDICOMImportJob", "observe_import_job"),
    # https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_DICOMImportJobProperties.html
    fields=EntryFields(
        number=None,
        status="jobStatus",
        reason="message",
        changed=("endedAt", "submittedAt"),
        phases={
            "SUBMITTED": Phase.BUSY,
            "IN_PROGRESS": Phase.BUSY,
            "COMPLETED": Phase.READY,
            "FAILED": Phase.FAILED,
        },
    ),
    failure=Failure(ImportJobFailedError, "Fix the cause and start another import."),
    # Inferred as the page of an image set is, not checked in a signed-in console.
    console=ConsolePage(
        label="AWS HealthImaging import job",
        key="healthimaging_import_job",
        path="/medical-imaging/home?region={region_name}#/dataStores/{datastore_id}/importJobs/{job_id}",
    ),
    commands=Commands(wait="wait-dicom-import-job"),
    hook=HEALTHIMAGING.hook,
    sensor="airflow_imgver.sensors.healthimaging.HealthImagingDICOMImportJobSensor",
    link="airflow_imgver.links.healthimaging.HealthImagingDICOMImportJobLink",
)
