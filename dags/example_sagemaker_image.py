"""
### Build a SageMaker image version, and roll it out when it is ready

`CreateImageVersion` returns an ARN at once, and AWS builds afterwards. The operator starts the build and
waits for the version in this ARN: the latest version can be another build's. It fails with SageMaker's reason
if the build failed, holds no worker while it waits, and builds once, also if its worker is killed.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_imgver.operators.sagemaker_image import (
    SageMakerCreateImageVersionOperator,
    SageMakerListImageVersionsOperator,
)


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
    """Create an image version, and list all versions when it is built."""
    create_image_version = SageMakerCreateImageVersionOperator(
        task_id="create_image_version",
        image_name="{{ params.image_name }}",
        base_image="{{ params.base_image }}",
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
    def roll_out(built: Any) -> str:
        """Replace this with the roll-out to a Studio domain; it returns the version that was built."""
        return str(built["ImageVersionArn"])

    create_image_version >> list_versions
    list_versions >> roll_out(create_image_version.output)


example_sagemaker_image()
