"""The state that `make up` begins with: the demo's, and changes of the last days for the report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.stack import STATE

DATASTORE = "12345678901234567890123456789012"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
MISMATCH = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."
NOT_IN_ECR = "The container image was not found in Amazon ECR."

State = dict[str, Any]


def recent_state(now: datetime) -> State:
    """
    Add to the demo's state, which stays as it is, image sets and an image that changed of late.

    :param now: the time at which the changes end. Most lie in the day before, in UTC, because that day is the
        data interval of the run that Airflow schedules as soon as it reads ``example_version_report``.
    """
    yesterday = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    before = yesterday - timedelta(days=3)
    state: State = json.loads(STATE.read_text(encoding="utf-8"))
    changes: dict[str, list[tuple[str, datetime, str | None]]] = {
        "b1f0c2d3e4a5968778695a4b3c2d1e0f": [
            ("CREATED", before, None),
            ("UPDATED", yesterday + timedelta(hours=7, minutes=40), None),
            ("UPDATED", yesterday + timedelta(hours=16, minutes=5), None),
        ],
        "c7e2a9d4b6f8013579bdf02468ace135": [
            ("CREATED", before + timedelta(hours=2), None),
            ("COPY_FAILED", yesterday + timedelta(hours=21, minutes=14), MISMATCH),
        ],
        "d94b1e6f8c2a7053e1d9b4f6a8c0e273": [
            ("CREATED", yesterday + timedelta(hours=9, minutes=30), None),
            ("COPY_FAILED", yesterday + timedelta(hours=10, minutes=2), MISMATCH),
            ("COPIED", yesterday + timedelta(hours=10, minutes=48), None),
        ],
        "e05a3c7d9f1b2846a0c2e4f68091b3d5": [
            ("CREATED", before + timedelta(days=1), None),
            ("UPDATED", now - timedelta(minutes=20), None),
        ],
    }
    for image_set_id, history in changes.items():
        state["healthimaging"][DATASTORE][image_set_id] = [
            _image_set_version(image_set_id, number, *change) for number, change in enumerate(history, 1)
        ]
    state["sagemaker"]["studio-segmentation"] = [
        _image_version("studio-segmentation", 1, "CREATED", before),
        _image_version("studio-segmentation", 2, "CREATE_FAILED", yesterday + timedelta(hours=4), NOT_IN_ECR),
    ]
    return state


def _image_set_version(
    image_set_id: str, number: int, status: str, changed: datetime, message: str | None
) -> dict[str, Any]:
    entry = {
        "imageSetId": image_set_id,
        "versionId": str(number),
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": status,
        "createdAt": changed.isoformat(),
        "updatedAt": changed.isoformat(),
    }
    return entry if message is None else {**entry, "message": message}


def _image_version(
    image: str, number: int, status: str, created: datetime, reason: str | None = None
) -> dict[str, Any]:
    entry = {
        "ImageArn": f"{ARN}:image/{image}",
        "ImageVersionArn": f"{ARN}:image-version/{image}/{number}",
        "ImageVersionStatus": status,
        "Version": number,
        "CreationTime": created.isoformat(),
        "LastModifiedTime": (created + timedelta(minutes=3)).isoformat(),
    }
    return entry if reason is None else {**entry, "FailureReason": reason}
