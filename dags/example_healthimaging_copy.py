"""
### Copy a HealthImaging image set, and use the copy when it is complete

`CopyImageSet` returns at once, and AWS copies afterwards. Meanwhile the newest version of the destination is
LOCKED. If the copy fails, the destination is ACTIVE again, with a version whose status is COPY_FAILED: the
state does not show the failure. The gate is a sensor that waits for the version that this copy makes. It
fails with AWS's message if the copy failed, and holds no worker while it waits.

The ids are Dag params: set your own, or pass them from the Dag that triggers this one. The image sets of the
defaults are of different series, which AWS copies only with force. Turn `force` off to see the gate fail.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Param, dag, get_current_context, task

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "source_id": Param("6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60", type="string", pattern=HEALTHIMAGING_ID),
        "destination_id": Param("ea92b0d8838c72a3f25d00d13616f87e", type="string", pattern=HEALTHIMAGING_ID),
        "force": Param(True, type="boolean", description="copy even if patient, study or series differ"),
    },
)
def example_healthimaging_copy() -> None:
    """Copy an image set into another, wait for the copy, and list the versions of the destination."""

    @task
    def copy_image_set() -> str:
        """Start the copy between the newest versions; return the number of the version that it makes."""
        params = get_current_context()["params"]
        hook = HealthImagingHook()

        def newest(image_set_id: str) -> str:
            version = hook.get_image_set_version(params["datastore_id"], image_set_id)
            if version is None:
                raise ValueError(f"Image set {image_set_id} has no versions.")
            return str(version["versionId"])

        started = hook.conn.copy_image_set(
            datastoreId=params["datastore_id"],
            sourceImageSetId=params["source_id"],
            copyImageSetInformation={
                "sourceImageSet": {"latestVersionId": newest(params["source_id"])},
                "destinationImageSet": {
                    "imageSetId": params["destination_id"],
                    "latestVersionId": newest(params["destination_id"]),
                },
            },
            force=params["force"],
        )
        return str(started["destinationImageSetProperties"]["latestVersionId"])

    wait_for_copy = HealthImagingImageSetVersionSensor(
        task_id="wait_for_copy",
        datastore_id="{{ params.datastore_id }}",
        image_set_id="{{ params.destination_id }}",
        version=copy_image_set(),
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=1),
    )

    list_versions = HealthImagingListImageSetVersionsOperator(
        task_id="list_versions",
        datastore_id="{{ params.datastore_id }}",
        image_set_id="{{ params.destination_id }}",
    )

    @task
    def versions_to_read(versions: Any) -> list[str]:
        """Return the versions that did not fail: an export can read them, and a revert can restore them."""
        return [
            version["versionId"]
            for version in versions
            if not version.get("ImageSetWorkflowStatus", "").endswith("_FAILED")
        ]

    wait_for_copy >> list_versions
    versions_to_read(list_versions.output)


example_healthimaging_copy()
