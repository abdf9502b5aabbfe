"""Gates for somebody to clear and to mark by hand while they wait."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

with DAG("gates_to_touch", schedule=None, params={"image_set_id": ""}):
    for name in ("cleared", "marked_success", "marked_failed"):
        HealthImagingImageSetVersionSensor(
            task_id=name,
            datastore_id="12345678901234567890123456789012",
            image_set_id="{{ params.image_set_id }}",
            deferrable=True,
            poke_interval=3,
        )
