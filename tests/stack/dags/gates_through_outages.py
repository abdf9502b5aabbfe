"""Gates that wait while something under them is killed, restarted or gone."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, get_current_context, task

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

with DAG("gates_through_outages", schedule=None, params={"group": "", "count": 1}):

    @task(retries=3, retry_delay=pendulum.duration(seconds=1))
    def image_sets() -> list[str]:
        """Name the image sets."""
        params = get_current_context()["params"]
        group, count = params["group"], params["count"]
        return [f"{group}{number:0{32 - len(group)}d}" for number in range(count)]

    waiting: dict[str, Any] = {
        "datastore_id": "12345678901234567890123456789012",
        "deferrable": True,
        "poke_interval": 20,
        "timeout": pendulum.duration(hours=2),
        "retry_delay": pendulum.duration(seconds=1),
    }
    named = image_sets()
    HealthImagingImageSetVersionSensor.partial(task_id="gate", retries=3, **waiting).expand(
        image_set_id=named
    )
    HealthImagingImageSetVersionSensor.partial(task_id="gate_without_retries", retries=0, **waiting).expand(
        image_set_id=named
    )
