"""Gates, a list and a report on answers that no AWS promises, each image set by a script of the test."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Context

from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.operators.healthimaging import (
    HealthImagingListImageSetVersionsOperator,
    HealthImagingVersionReportOperator,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

SCRIPTED: dict[str, Any] = {
    "datastore_id": "12345678901234567890123456789012",
    "aws_conn_id": "scripted_aws",
    "botocore_config": {"retries": {"total_max_attempts": 1}},
}
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def keep_the_error(context: Context) -> None:
    """Put the fields of the error that failed the gate into XCom, where the test reads them."""
    error = context["exception"]
    assert isinstance(error, AwsCallError)
    fields = ("code", "operation", "transient", "expired", "answered", "about")
    context["ti"].xcom_push(key="return_value", value={name: getattr(error, name) for name in fields})


with DAG("gates_on_odd_answers", schedule=None, params={"hostile": "", "sequence": "", "denied": ""}):
    HealthImagingListImageSetVersionsOperator(
        task_id="hostile_list", image_set_id="{{ params.hostile }}", **SCRIPTED
    )
    HealthImagingVersionReportOperator(
        task_id="report_to_s3",
        **SCRIPTED | {"region_name": "eu-west-2", "botocore_config": {"user_agent_extra": "of-the-operator"}},
        image_set_ids=["{{ params.hostile }}"],
        outputs=["s3://reports/hostile.csv"],
    )
    for mode, how in MODES.items():
        common = {"poke_interval": 2, "timeout": pendulum.duration(minutes=5), **SCRIPTED, **how}
        HealthImagingImageSetVersionSensor(
            task_id=f"hostile_{mode}",
            image_set_id="{{ params.hostile }}",
            wait_until="settled",
            **common,
        )
        HealthImagingImageSetVersionSensor(
            task_id=f"sequence_{mode}",
            image_set_id=f"{{{{ params.sequence }}}}{list(MODES).index(mode)}",
            not_found_retries=2,
            **common,
        )
        HealthImagingImageSetVersionSensor(
            task_id=f"denied_{mode}",
            image_set_id=f"{{{{ params.denied }}}}{list(MODES).index(mode)}",
            on_failure_callback=keep_the_error,
            **common,
        )
