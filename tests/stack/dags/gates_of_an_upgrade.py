"""Gates whose stored triggers are exchanged for those of an earlier release while they wait."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor

with DAG(
    "gates_of_an_upgrade",
    schedule=None,
    params={"image_set_id": "", "image_set_ids": [], "version": "", "image_name": "", "image_version": ""},
):
    waiting: dict[str, Any] = {
        "deferrable": True,
        "poke_interval": 5,
        # Past the life of what is stored by it.
        "timeout": pendulum.duration(years=100),
    }
    HealthImagingImageSetVersionSensor(
        task_id="one",
        datastore_id="12345678901234567890123456789012",
        image_set_id="{{ params.image_set_id }}",
        version="{{ params.version }}",
        allow_read_only=True,
        region_name="us-east-1",
        botocore_config={"read_timeout": 30},
        **waiting,
    )
    HealthImagingImageSetVersionSensor(
        task_id="many",
        datastore_id="12345678901234567890123456789012",
        image_set_id="{{ params.image_set_ids }}",  # type: ignore[arg-type]
        wait_until="settled",
        fail_fast=True,
        exponential_backoff=True,
        max_wait=10,
        **waiting,
    )
    SageMakerImageVersionSensor(
        task_id="image",
        image_name="{{ params.image_name }}",
        version="{{ params.image_version }}",
        not_found_retries=1,
        **waiting,
    )
