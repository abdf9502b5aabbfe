"""
### Import a study into HealthImaging, and use its image sets when all are ready

An import job makes image sets, or new versions of those that are there. The operator starts the job, waits
for it, and returns the image sets that it names in its manifest. A gate waits until all of them are ready:
other jobs and updates may have locked some. Then the versions of each are listed, in a mapped task whose
instances Airflow names by their image sets, and a report shows them all.

If a task fails, the Amazon provider's notifier sends a message to an SNS topic. AWS reads the DICOM files
with the role that you name. The embedded AWS makes a small study up where there are no files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Param, dag, get_current_context, task

from airflow_imgver.operators.healthimaging import (
    HealthImagingListImageSetVersionsOperator,
    HealthImagingStartDICOMImportJobOperator,
    HealthImagingVersionReportOperator,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"
REPORTS = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "reports"
# The error's text has ids and AWS's words, and no data of patients. Airflow before 3.3 does not give it here.
TELL_THE_TEAM = SnsNotifier(
    target_arn="{{ params.topic_arn }}",
    subject="{{ dag.dag_id }}: {{ ti.task_id }} failed",
    message="{{ ti.task_id }} of run {{ run_id }} failed: {{ exception | default('see its log') }}",
)


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
    default_args={"on_failure_callback": TELL_THE_TEAM},
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "input_s3_uri": Param("s3://imaging-example/studies/one/", type="string"),
        "output_s3_uri": Param("s3://imaging-example/imports/", type="string"),
        "role_arn": Param("arn:aws:iam::123456789012:role/HealthImagingImport", type="string"),
        "topic_arn": Param("arn:aws:sns:us-east-1:123456789012:imaging-failures", type="string"),
        "folder": Param(str(REPORTS), type="string", description="a folder, or s3://bucket/prefix"),
    },
)
def example_healthimaging_import() -> None:
    """Import a study, wait for its image sets, list their versions, and report them."""
    import_study = HealthImagingStartDICOMImportJobOperator(
        task_id="import_study",
        datastore_id="{{ params.datastore_id }}",
        input_s3_uri="{{ params.input_s3_uri }}",
        output_s3_uri="{{ params.output_s3_uri }}",
        data_access_role_arn="{{ params.role_arn }}",
        fail_on_failed_files=True,
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=6),
    )

    imported: Any = import_study.output

    wait_for_image_sets = HealthImagingImageSetVersionSensor(
        task_id="wait_for_image_sets",
        datastore_id="{{ params.datastore_id }}",
        image_set_id=imported,
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=1),
    )

    @task
    def ids_of(image_sets: Any) -> list[str]:
        """Return the ids of the image sets."""
        return [image_set["imageSetId"] for image_set in image_sets]

    ids: Any = ids_of(wait_for_image_sets.output)

    list_versions = HealthImagingListImageSetVersionsOperator.partial(
        task_id="list_versions",
        datastore_id="{{ params.datastore_id }}",
        map_index_template="{{ task.image_set_id }}",
    ).expand(image_set_id=ids)

    @task(map_index_template="{{ image_set_id }}")
    def use_image_set(versions: Any) -> str:
        """Replace this with the work on one image set; it returns the version to read."""
        context: Any = get_current_context()
        context["image_set_id"] = versions[0]["imageSetId"]
        return str(versions[0]["versionId"])

    report = HealthImagingVersionReportOperator(
        task_id="report",
        datastore_id="{{ params.datastore_id }}",
        image_set_ids=ids,
        outputs=["{{ params.folder }}/import-{{ run_id | replace(':', '') }}.html"],
    )

    use_image_set.expand(versions=list_versions.output) >> report


example_healthimaging_import()
