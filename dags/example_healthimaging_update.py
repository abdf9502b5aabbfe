"""
### Update the metadata of a HealthImaging image set, and revert it if the update failed

`UpdateImageSetMetadata` returns the number of the new version at once, and AWS updates afterwards. A failed
update leaves this version with the status UPDATE_FAILED, and the next update starts from it. Here the update
does not wait; a gate waits until AWS has finished, with success or without, and a branch decides: use the
version, or revert to the one before.

After a failed update, the run reverts the image set, and then fails with AWS's message.
"""

from __future__ import annotations

import json
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_imgver.operators.healthimaging import (
    HealthImagingListImageSetVersionsOperator,
    HealthImagingUpdateImageSetMetadataOperator,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"
ATTRIBUTES = {"Study": {"DICOM": {"StudyDescription": "De-identified"}}}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "image_set_id": Param("ea92b0d8838c72a3f25d00d13616f87e", type="string", pattern=HEALTHIMAGING_ID),
        "updates": Param(
            json.dumps(ATTRIBUTES), type="string", description="DICOM attributes as JSON, in AWS's form"
        ),
    },
)
def example_healthimaging_update() -> None:
    """Update an image set, wait until AWS has finished, and continue or revert."""
    image_set: dict[str, Any] = {
        "datastore_id": "{{ params.datastore_id }}",
        "image_set_id": "{{ params.image_set_id }}",
    }
    waiting: dict[str, Any] = {
        "deferrable": True,
        "poke_interval": pendulum.duration(seconds=15),
        "timeout": pendulum.duration(hours=1),
    }

    version_before = HealthImagingListImageSetVersionsOperator(
        task_id="version_before", query="imageSetPropertiesList[0].versionId", max_items=1, **image_set
    )

    before: Any = version_before.output

    update_metadata = HealthImagingUpdateImageSetMetadataOperator(
        task_id="update_metadata",
        latest_version=before,
        updates="{{ params.updates }}",
        wait_for_completion=False,
        **image_set,
        **waiting,
    )

    wait_for_update = HealthImagingImageSetVersionSensor(
        task_id="wait_for_update",
        version="{{ ti.xcom_pull('update_metadata')['versionId'] }}",
        wait_until="settled",
        **image_set,
        **waiting,
    )

    @task.branch
    def good_or_bad(settled: Any) -> str:
        """Return the id of the next task."""
        return "revert" if settled["ImageSetWorkflowStatus"] == "UPDATE_FAILED" else "use_update"

    @task
    def use_update(settled: Any) -> str:
        """Replace this with the work on the updated image set; it returns the version to read."""
        return str(settled["versionId"])

    # HealthImaging makes a new version of the old one, on top of the one that failed.
    revert = HealthImagingUpdateImageSetMetadataOperator(
        task_id="revert",
        latest_version="{{ ti.xcom_pull('update_metadata')['versionId'] }}",
        revert_to_version=before,
        **image_set,
        **waiting,
    )

    @task
    def report_failed_update(settled: Any, restored: Any) -> None:
        """Fail the run with AWS's message."""
        raise RuntimeError(
            f"Version {settled['versionId']} of image set {settled['imageSetId']} could not be made: "
            f"{settled.get('message', 'AWS gave no reason')} "
            f"Version {restored['versionId']} has put back what was there before."
        )

    update_metadata >> wait_for_update
    good_or_bad(wait_for_update.output) >> [use_update(wait_for_update.output), revert]
    report_failed_update(wait_for_update.output, revert.output)


example_healthimaging_update()
