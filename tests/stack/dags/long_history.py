"""A history of ten thousand versions through XCom, on workers that keep XComs in different places."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator

# The second queue is that of a worker with Airflow's object storage backend.
QUEUES = {"database": "default", "object_storage": "object-storage"}

for place, queue in QUEUES.items():
    with DAG(f"long_history_in_{place}", schedule=None, params={"image_set_id": ""}):
        history = HealthImagingListImageSetVersionsOperator(
            task_id="history",
            datastore_id="12345678901234567890123456789012",
            image_set_id="{{ params.image_set_id }}",
            queue=queue,
        )

        @task(queue=queue)
        def summary(versions: Any) -> dict[str, Any]:
            """Tell how long the history is, and its ends."""
            return {"versions": len(versions), "newest": versions[0], "oldest": versions[-1]}

        summary(history.output)
