"""Gates on one version, one of each kind, each with a task behind it."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "deferrable": {"deferrable": True},
}
FAILING: dict[str, dict[str, Any]] = {
    "hard": {},
    "soft": {"soft_fail": True},
    "never": {"never_fail": True},
}


def gates(timeout: pendulum.Duration) -> None:
    """Put a gate of every mode and every way to fail into the Dag."""
    for mode, how in MODES.items():
        for failing, ends in FAILING.items():
            gate = HealthImagingImageSetVersionSensor(
                task_id=f"{mode}_{failing}",
                datastore_id="12345678901234567890123456789012",
                image_set_id="{{ params.image_set_id }}",
                version="{{ params.version }}",
                poke_interval=3,
                timeout=timeout,
                **how,
                **ends,
            )

            @task(task_id=f"after_{mode}_{failing}")
            def use_version() -> None:
                """Stand for the work on the version."""

            gate >> use_version()


with DAG("gates_on_a_version_that_fails", schedule=None, params={"image_set_id": "", "version": ""}):
    gates(pendulum.duration(minutes=10))

with DAG("gates_that_time_out", schedule=None, params={"image_set_id": "", "version": ""}):
    gates(pendulum.duration(seconds=20))
