"""A gate for each of many image sets, and one gate on many more."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, get_current_context, task

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

DATASTORE = "12345678901234567890123456789012"

with DAG("gates_at_scale", schedule=None, params={"mapped": 500, "together": 2000}):

    @task
    def image_sets(group: str, param: str) -> list[str]:
        """Name the image sets of a group."""
        count = get_current_context()["params"][param]
        return [f"{group}{number:0{32 - len(group)}d}" for number in range(count)]

    waiting: dict[str, Any] = {
        "datastore_id": DATASTORE,
        "deferrable": True,
        "poke_interval": 60,
        "timeout": pendulum.duration(hours=2),
    }
    one_each = HealthImagingImageSetVersionSensor.partial(
        task_id="one_each", max_active_tis_per_dag=None, **waiting
    ).expand(image_set_id=image_sets.override(task_id="each")("each", "mapped"))
    one_for_all = HealthImagingImageSetVersionSensor(
        task_id="one_for_all",
        image_set_id=image_sets.override(task_id="all")("all", "together"),  # type: ignore[arg-type]
        **waiting,
    )

    @task
    def opened(entries: Any) -> list[list[str]]:
        """Give the image sets and what they had become when their gate opened."""
        return [[entry["imageSetId"], entry["ImageSetWorkflowStatus"]] for entry in entries]

    opened.override(task_id="opened_each")(one_each.output)
    opened.override(task_id="opened_all")(one_for_all.output)
