"""
### Build a SageMaker image version, and roll it out when it is ready

`CreateImageVersion` returns an ARN at once, and AWS builds afterwards. The gate is a sensor that waits for
the version in this ARN: the latest version can be another build's. It fails with SageMaker's reason if the
build failed, and holds no worker while it waits.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Param, dag, get_current_context, task

from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.operators.sagemaker_image import SageMakerListImageVersionsOperator
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "aws", "sagemaker"],
    params={
        "image_name": Param("studio-imaging", type="string"),
        "base_image": Param(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio-imaging:2026.11",
            type="string",
            description="the container image in Amazon ECR from which AWS builds the version",
        ),
    },
)
def example_sagemaker_image() -> None:
    """Create an image version, wait for it, and list all versions."""

    @task
    def create_image_version() -> str:
        """Start the build; return the ARN of the version, which ends with its number."""
        params = get_current_context()["params"]
        started = SageMakerImageHook().conn.create_image_version(
            ImageName=params["image_name"], BaseImage=params["base_image"]
        )
        return str(started["ImageVersionArn"])

    wait_for_image = SageMakerImageVersionSensor(
        task_id="wait_for_image",
        image_name="{{ params.image_name }}",
        version=create_image_version(),
        deferrable=True,
        poke_interval=pendulum.duration(seconds=15),
        timeout=pendulum.duration(hours=1),
    )

    list_versions = SageMakerListImageVersionsOperator(
        task_id="list_versions",
        image_name="{{ params.image_name }}",
        sort_by="VERSION",
        sort_order="DESCENDING",
    )

    @task
    def roll_out(versions: Any) -> str:
        """Replace this with the roll-out to a Studio domain; it returns the newest version that is ready."""
        return str(
            next(
                version["ImageVersionArn"]
                for version in versions
                if version["ImageVersionStatus"] == "CREATED"
            )
        )

    wait_for_image >> list_versions
    roll_out(list_versions.output)


example_sagemaker_image()
