"""
### Copy a HealthImaging image set, and use the copy when it is complete

`CopyImageSet` returns at once, and AWS copies afterwards. Meanwhile the newest version of the destination is
LOCKED. If the copy fails, the destination is ACTIVE again, with a version whose status is COPY_FAILED: the
state does not show the failure. The operator starts the copy and waits for the version that it makes. It
fails with AWS's message if the copy failed, holds no worker while it waits, and copies once, also if its
worker is killed after AWS has answered.

The ids are Dag params: set your own, or pass them from the Dag that triggers this one. The image sets of the
defaults are of different series, which AWS copies only with force. Turn `force` off to see the task fail.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_imgver.operators.healthimaging import (
    HealthImagingCopyImageSetOperator,
    HealthImagingListImageSetVersionsOperator,
)

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
    """Copy an image set into another, and list the versions of the destination."""
    copy_image_set = HealthImagingCopyImageSetOperator(
        task_id="copy_image_set",
        datastore_id="{{ params.datastore_id }}",
        source_image_set_id="{{ params.source_id }}",
        destination_image_set_id="{{ params.destination_id }}",
        force="{{ params.force }}",
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

    copy_image_set >> list_versions
    versions_to_read(list_versions.output)


example_healthimaging_copy()
