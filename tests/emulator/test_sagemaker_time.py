"""Time passes by itself for SageMaker's images and versions too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator_clients import client_of
from moto import mock_aws
from moto.moto_api import state_manager
from moto.sagemaker.models import sagemaker_backends

from airflow_imgver.emulator.registration import register
from airflow_imgver.emulator.sagemaker import load_image

ROLE = "arn:aws:iam::123456789012:role/studio"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def entry(version: int, status: str) -> dict[str, Any]:
    return {
        "CreationTime": MARCH,
        "ImageArn": f"{ARN}:image/analysis",
        "ImageVersionArn": f"{ARN}:image-version/analysis/{version}",
        "ImageVersionStatus": status,
        "LastModifiedTime": MARCH,
        "Version": version,
    }


def test_all_changes_are_over_at_their_own_times_after_a_while_without_a_request() -> None:
    step = timedelta(seconds=0.1)
    register()
    with mock_aws():  # Nothing but the clock: no thread carries out the changes.
        for model in ("sagemaker::image", "sagemaker::image-version"):
            state_manager.set_transition(model, {"progression": "time", "seconds": step.total_seconds()})
        try:
            client = client_of("sagemaker")
            client.create_image(ImageName="analysis", RoleArn=ROLE)
            begun = client.describe_image(ImageName="analysis")["CreationTime"]
            load_image(
                sagemaker_backends["123456789012"]["us-east-1"],
                "analysis",
                [entry(1, "CREATING"), entry(2, "DELETING")],
            )
            client.create_image(ImageName="other", RoleArn=ROLE)
            while datetime.now(UTC) < begun + 10 * step:
                time.sleep(0.02)
            other = client.describe_image(ImageName="other")
            (left,) = client.list_image_versions(ImageName="analysis")["ImageVersions"]
        finally:
            for model in ("sagemaker::image", "sagemaker::image-version"):
                state_manager.unset_transition(model)

    assert (other["ImageStatus"], left["Version"], left["ImageVersionStatus"]) == ("CREATED", 1, "CREATED")
    assert other["LastModifiedTime"] == other["CreationTime"] + step
    assert begun < left["LastModifiedTime"] < other["LastModifiedTime"]
