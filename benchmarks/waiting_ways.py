"""The two ways to wait that are compared: Airflow's own, and this package's. Each imports what it needs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

DATASTORE_ID = "0" * 32
INTERVAL = 10

Make = Callable[[str], Any]
"""Makes a trigger that waits for what is named."""


def names(service: str, count: int) -> list[str]:
    """Different names of image sets or images."""
    return [f"{number:032d}" if service == "healthimaging" else f"image-{number}" for number in range(count)]


# For Airflow's waiter: the client, the API's operation, and the path to the status of the latest version.
_LISTS = {
    "healthimaging": (
        "medical-imaging",
        "ListImageSetVersions",
        "imageSetPropertiesList[0].ImageSetWorkflowStatus",
    ),
    "sagemaker": ("sagemaker", "ListImageVersions", "ImageVersions[0].ImageVersionStatus"),
}
_ENDS = {
    "healthimaging": [("UPDATED", "success"), ("COPIED", "success"), ("UPDATE_FAILED", "failure")],
    "sagemaker": [("CREATED", "success"), ("CREATE_FAILED", "failure")],
}


def airflow_s_own(service: str) -> Make:
    """
    A trigger on ``AwsBaseWaiterTrigger`` with a custom waiter, as the amazon provider's own are written.

    It needs aiobotocore, and so an environment of its own, because that pins boto3 back.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger

    client_type, operation, status = _LISTS[service]
    acceptors = [
        {"matcher": "path", "argument": status, "expected": expected, "state": state}
        for expected, state in _ENDS[service]
    ]
    waiter = {"operation": operation, "delay": INTERVAL, "maxAttempts": 999, "acceptors": acceptors}
    path = Path(tempfile.mkdtemp()) / "waiters.json"
    path.write_text(json.dumps({"version": 2, "waiters": {"version_ready": waiter}}))

    class ListHook(AwsBaseHook):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "client_type": client_type})

        @cached_property
        def waiter_path(self) -> Any:
            return path

    class ListTrigger(AwsBaseWaiterTrigger):
        aws_hook_class = ListHook

    def make(name: str) -> Any:
        asked = {"ImageName": name, "SortBy": "VERSION", "SortOrder": "DESCENDING", "MaxResults": 1}
        if service == "healthimaging":
            asked = {"datastoreId": DATASTORE_ID, "imageSetId": name}
        return ListTrigger(
            serialized_fields={},
            waiter_name="version_ready",
            waiter_args=asked,
            failure_message="failed",
            status_message="waiting",
            status_queries=[status],
            return_value=None,
            waiter_delay=INTERVAL,
            waiter_max_attempts=999,
        )

    return make


def this_package_s(service: str) -> Make:
    """Give this package's trigger."""
    from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger
    from airflow_imgver.triggers.sagemaker_image import SageMakerImageVersionTrigger

    if service == "sagemaker":
        return lambda name: SageMakerImageVersionTrigger(image_name=name, poke_interval=INTERVAL)
    return lambda name: HealthImagingImageSetVersionTrigger(
        datastore_id=DATASTORE_ID, image_set_id=name, poke_interval=INTERVAL
    )


def first_poll_at_once() -> None:
    """Remove the pause before the first poll, which Airflow's own triggers do not have."""
    from airflow_imgver.triggers import schedule
    from airflow_imgver.triggers.schedule import Schedule

    schedule.SOONEST_FIRST_POLL = 0.0
    Schedule.first = lambda self: 0.0  # type: ignore[method-assign]
