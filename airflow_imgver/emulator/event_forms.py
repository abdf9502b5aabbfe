"""
Writes the events that HealthImaging and SageMaker AI send to EventBridge.

AWS's own pages contradict each other, so an event has one of two forms. ``guide`` is that of the samples in
"Using Amazon EventBridge with HealthImaging" and "Events that Amazon SageMaker AI sends to Amazon
EventBridge". ``schema`` is that of the EventBridge schema registry, from which AWS generates its CDK classes
and after which AWS's sample Lambda functions read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.moto_api._internal import mock_random

if TYPE_CHECKING:
    from airflow_imgver.emulator.transitions import Change

FORMS = ("guide", "schema")

Event = dict[str, Any]

# The only statuses for which HealthImaging sends events, each with its detail type.
_DETAIL_TYPES = {
    "medical-imaging::datastore": {
        "CREATING": "Data Store Creating",
        "CREATE_FAILED": "Data Store Creation Failed",
        "ACTIVE": "Data Store Created",
        "DELETING": "Data Store Deleting",
        "DELETED": "Data Store Deleted",
    },
    "medical-imaging::import-job": {
        "SUBMITTED": "Import Job Submitted",
        "IN_PROGRESS": "Import Job In Progress",
        "COMPLETED": "Import Job Completed",
        "FAILED": "Import Job Failed",
    },
    "medical-imaging::image-set": {
        "CREATED": "Image Set Created",
        "COPYING": "Image Set Copying",
        "COPYING_WITH_READ_ONLY_ACCESS": "Image Set Copying With Read Only Access",
        "COPIED": "Image Set Copied",
        "COPY_FAILED": "Image Set Copy Failed",
        "UPDATING": "Image Set Updating",
        "UPDATED": "Image Set Updated",
        "UPDATE_FAILED": "Image Set Update Failed",
        "DELETING": "Image Set Deleting",
        "DELETED": "Image Set Deleted",
    },
}
# SageMaker has no status for a resource that is gone, so it has no event for it either.
_SAGEMAKER_STATUSES = (
    "CREATING",
    "CREATED",
    "CREATE_FAILED",
    "UPDATING",
    "UPDATE_FAILED",
    "DELETING",
    "DELETE_FAILED",
)


def event_of(change: Change, form: str) -> Event | None:
    """
    Write the event of a change, with its time in epoch seconds, as moto's EventBridge takes it.

    :param change: The change, whose resource is still in the new status.
    :param form: ``guide`` or ``schema``.
    :return: None for a change of which AWS sends no event.
    """
    write = _WRITERS.get(change.resource.model)
    written = write(change, change.resource, form) if write else None
    if written is None:
        return None
    detail_type, arn, detail = written
    _, _, service, region, account, _ = arn.split(":", 5)
    return {
        "version": "0",
        "id": str(mock_random.uuid4()),
        "detail-type": detail_type,
        "source": f"aws.{service}",
        "account": account,
        "time": change.time.timestamp(),
        "region": region,
        "resources": [arn],
        "detail": detail,
    }


# Detail type, ARN and detail.
_Written = tuple[str, str, dict[str, Any]] | None


def _of_datastore(change: Change, datastore: Any, form: str) -> _Written:
    detail_type = _DETAIL_TYPES[datastore.model].get(change.after)
    if detail_type is None:
        return None
    detail = {
        "imagingVersion": "1.0",
        "datastoreId": datastore.datastore_id,
        "datastoreName": datastore.properties()["datastoreName"],
        "datastoreStatus": change.after,
    }
    return detail_type, datastore.arn, detail


def _of_import_job(change: Change, job: Any, form: str) -> _Written:
    detail_type = _DETAIL_TYPES[job.model].get(change.after)
    if detail_type is None:
        return None
    detail = {
        "imagingVersion": "1.0",
        "datastoreId": job.datastore.datastore_id,
        "jobId": job.job_id,
        "jobName": job.properties()["jobName"],
        "jobStatus": change.after,
        "inputS3Uri": job.parameters["inputS3Uri"],
        "outputS3Uri": job.parameters["outputS3Uri"],
    }
    return detail_type, job.datastore.arn, detail


def _of_image_set(change: Change, version: Any, form: str) -> _Written:
    detail_type = _DETAIL_TYPES[version.model].get(change.after)
    # AWS documents no event for the end of a copy on the side of its source, which returns to its status.
    if detail_type is None or change.before == "COPYING_WITH_READ_ONLY_ACCESS":
        return None
    arn, properties = version.image_set.arn, version.properties
    datastore_id, image_set_id = re.findall(r"/([0-9a-z]{32})", arn)
    detail = {
        "imagingVersion": "1.0",
        "datastoreId": datastore_id,
        "imagesetId" if form == "guide" else "imageSetId": image_set_id,
        "imageSetState": properties["imageSetState"],
        "imageSetWorkflowStatus": change.after,
    }
    if form == "guide":
        detail["isPrimary"] = bool(properties.get("isPrimary"))
        detail["imageSetVersion"] = properties["versionId"]
    source_arn = getattr(version, "source_arn", None)
    if change.after == "COPYING" and source_arn:
        detail["sourceImageSetArn"] = source_arn
    return detail_type, arn, detail


def _of_image(change: Change, image: Any, form: str) -> _Written:
    if change.after not in _SAGEMAKER_STATUSES:
        return None
    detail = {
        "ImageName": image.name,
        "ImageArn": image.arn,
        "ImageStatus": _spelled(change.after, form),
        "Version": _number(1, form),
        "Tags": {tag["Key"]: tag["Value"] for tag in image.tags},
    }
    return "SageMaker Image State Change", image.arn, detail


def _of_image_version(change: Change, version: Any, form: str) -> _Written:
    if change.after not in _SAGEMAKER_STATUSES:
        return None
    detail = {
        "ImageArn": version.image.arn,
        "ImageVersionArn": version.arn,
        "ImageVersionStatus": _spelled(change.after, form),
        "Version": _number(version.number, form),
        "Tags": {},
    }
    return "SageMaker Image Version State Change", version.arn, detail


def _spelled(status: str, form: str) -> str:
    # The guide shows only "Creating"; SageMaker spells other statuses in this way, such as CreateFailed.
    return status if form == "schema" else "".join(word.capitalize() for word in status.split("_"))


def _number(number: int, form: str) -> int | float:
    return number if form == "schema" else float(number)


_WRITERS = {
    "medical-imaging::datastore": _of_datastore,
    "medical-imaging::import-job": _of_import_job,
    "medical-imaging::image-set": _of_image_set,
    "sagemaker::image": _of_image,
    "sagemaker::image-version": _of_image_version,
}
