"""
### Start by itself when HealthImaging image sets become ready, and go on with them

The watcher of the asset searches the data store for changes, and needs no queue. It runs in the triggerer and
sends an event for each version that becomes ready, on which Airflow starts this Dag. To have events within
seconds, from Amazon EventBridge, put a `HealthImagingEventQueueTrigger` beside it or in its place.

Airflow may start one run for several events, and leaves some of them to the next run. `new_events` returns
each once, also those that no run has. The image sets are listed in a mapped task, whose instances Airflow
names by them.

The Dag is paused at first, because its watcher sends requests to AWS as long as the Dag is not.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Asset, AssetWatcher, dag, get_current_context, task

from airflow_imgver.events import new_events
from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.triggers.healthimaging import HealthImagingDatastoreWatchTrigger

DATASTORE_ID = "12345678901234567890123456789012"
READY = Asset(
    "healthimaging_image_set_ready",
    watchers=[
        AssetWatcher(
            name="datastore",
            trigger=HealthImagingDatastoreWatchTrigger(DATASTORE_ID, phases=["ready"], poll_interval=15),
        )
    ],
)


@dag(
    schedule=[READY],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
)
def example_healthimaging_ready() -> None:
    """List the versions of each image set that became ready, and use it."""

    @task(inlets=[READY], retries=2)
    def image_sets() -> list[dict[str, str]]:
        """Return the image sets that became ready since the last run, each once."""
        context: Any = get_current_context()
        ids = {event["image_set_id"]: event["datastore_id"] for event in new_events(context)}
        return [{"datastore_id": ids[each], "image_set_id": each} for each in ids]

    found: Any = image_sets()
    list_versions = HealthImagingListImageSetVersionsOperator.partial(
        task_id="list_versions", map_index_template="{{ task.image_set_id }}"
    ).expand_kwargs(found)

    @task(map_index_template="{{ image_set_id }}")
    def use_image_set(versions: Any) -> str:
        """Replace this with the work on one image set; it returns the version to read."""
        context: Any = get_current_context()
        context["image_set_id"] = versions[0]["imageSetId"]
        return str(versions[0]["versionId"])

    use_image_set.expand(versions=list_versions.output)


example_healthimaging_ready()
