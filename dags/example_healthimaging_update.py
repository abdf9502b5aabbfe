"""
### Update the metadata of a HealthImaging image set, and revert it if the update failed

`UpdateImageSetMetadata` returns the number of the new version at once, and AWS updates afterwards. A failed
update leaves this version with the status UPDATE_FAILED, and the next update starts from it. So this gate
waits until AWS has finished, with success or without, and a branch decides: use the version, or revert to the
one before and wait for that.

After a failed update, the run reverts the image set, and then fails with AWS's message.
"""

from __future__ import annotations

import json
from typing import Any

import pendulum
from airflow.sdk import Param, dag, get_current_context, task

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"
ATTRIBUTES = {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "De-identified"}}}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "image_set_id": Param("ea92b0d8838c72a3f25d00d13616f87e", type="string", pattern=HEALTHIMAGING_ID),
        "updatable_attributes": Param(
            json.dumps(ATTRIBUTES), type="string", description="DICOM attributes as JSON, in AWS's form"
        ),
    },
)
def example_healthimaging_update() -> None:
    """Update an image set, wait until AWS has finished, and continue or revert."""

    @task
    def update_metadata() -> dict[str, str]:
        """Start the update of the newest version; return this version, and the one that the update makes."""
        params = get_current_context()["params"]
        hook = HealthImagingHook()
        newest = hook.get_image_set_version(params["datastore_id"], params["image_set_id"])
        if newest is None:
            raise ValueError(f"Image set {params['image_set_id']} has no versions.")
        started = hook.conn.update_image_set_metadata(
            datastoreId=params["datastore_id"],
            imageSetId=params["image_set_id"],
            latestVersionId=newest["versionId"],
            updateImageSetMetadataUpdates={
                "DICOMUpdates": {"updatableAttributes": params["updatable_attributes"].encode()}
            },
        )
        return {"before": newest["versionId"], "version": started["latestVersionId"]}

    updated: Any = update_metadata()

    wait_for_update = HealthImagingImageSetVersionSensor(
        task_id="wait_for_update",
        datastore_id="{{ params.datastore_id }}",
        image_set_id="{{ params.image_set_id }}",
        version=updated["version"],
        wait_until="settled",
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=1),
    )

    @task.branch
    def good_or_bad(settled: Any) -> str:
        """Return the id of the next task."""
        return "revert" if settled["ImageSetWorkflowStatus"] == "UPDATE_FAILED" else "use_update"

    @task
    def use_update(settled: Any) -> str:
        """Replace this with the work on the updated image set; it returns the version to read."""
        return str(settled["versionId"])

    @task
    def revert(version: str, before: str) -> str:
        """Start the revert. HealthImaging makes a new version of it; return its number."""
        params = get_current_context()["params"]
        started = HealthImagingHook().conn.update_image_set_metadata(
            datastoreId=params["datastore_id"],
            imageSetId=params["image_set_id"],
            latestVersionId=version,
            updateImageSetMetadataUpdates={"revertToVersionId": before},
        )
        return str(started["latestVersionId"])

    reverted = revert(updated["version"], updated["before"])

    wait_for_revert = HealthImagingImageSetVersionSensor(
        task_id="wait_for_revert",
        datastore_id="{{ params.datastore_id }}",
        image_set_id="{{ params.image_set_id }}",
        version=reverted,
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=1),
    )

    @task
    def report_failed_update(settled: Any, restored: Any) -> None:
        """Fail the run with AWS's message."""
        raise RuntimeError(
            f"Version {settled['versionId']} of image set {settled['imageSetId']} could not be made: "
            f"{settled.get('message', 'AWS gave no reason')} "
            f"Version {restored['versionId']} has put back what was there before."
        )

    good_or_bad(wait_for_update.output) >> [use_update(wait_for_update.output), reverted]
    report_failed_update(wait_for_update.output, wait_for_revert.output)


example_healthimaging_update()
