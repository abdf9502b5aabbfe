# ruff: noqa: D102 - each method answers the operation of its name
"""Reads the HealthImaging requests, and writes their answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from airflow_imgver.emulator.contract import read_request, service_model
from airflow_imgver.emulator.event_sender import EVENTS
from airflow_imgver.emulator.medicalimaging.models import HealthImagingBackend, medicalimaging_backends

if TYPE_CHECKING:
    from datetime import datetime

    from moto.core.common_types import TYPE_RESPONSE
    from moto.core.request import Request

    from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet, Properties


class HealthImagingResponse(BaseResponse):
    """The HealthImaging operations, a method each."""

    # The contract refuses a body that is not a text.
    use_raw_body = True

    def __init__(self) -> None:
        super().__init__(service_name="medical-imaging")

    @property
    def backend(self) -> HealthImagingBackend:
        """Give the backend of the account and region of the request."""
        return medicalimaging_backends[self.current_account][self.region]

    def call_action(self) -> TYPE_RESPONSE:
        with self.backend.lock:
            self.backend.timeline.settle()
            answer = super().call_action()
            # What takes no time is over now, so that its events leave without another request.
            self.backend.timeline.settle()
        EVENTS.deliver()
        return answer

    def _get_action(self) -> str:
        # moto prefers an Action in the query or a target in a header, which AWS ignores.
        return self._get_action_from_method_and_request_uri(self.normalized_request)

    def _get_action_from_method_and_request_uri(self, request: Request) -> str:
        # moto's router does not find an operation whose required query argument is missing; AWS names the
        # argument.
        return super()._get_action_from_method_and_request_uri(request) or self._action_by_path(request)

    def _action_by_path(self, request: Request) -> str:
        for name in service_model("medical-imaging").operation_names:
            trait = service_model("medical-imaging").operation_model(name).http_trait
            # An ARN, always last, has a slash, which some clients do not encode.
            path = re.sub(r"\{(\w+)\}$", r"(?P<\1>.+)", trait.path)
            path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
            labels = re.fullmatch(path, request.raw_path)
            if labels and trait.method == request.method:
                self.uri_match = {label: unquote(value) for label, value in labels.groupdict().items()}
                return str(name)
        return ""

    def _request(self) -> dict[str, Any]:
        action = self._get_action()
        return read_request("medical-imaging", action, self.normalized_request, self.uri_match)

    def create_datastore(self) -> ActionResult:
        request = self._request()
        datastore = self.backend.create_datastore(request["clientToken"], request)
        return ActionResult({"datastoreId": datastore.datastore_id, "datastoreStatus": datastore.status})

    def get_datastore(self) -> ActionResult:
        datastore = self.backend.describe_datastore(self._request()["datastoreId"])
        return ActionResult({"datastoreProperties": datastore.properties()})

    def list_datastores(self) -> ActionResult:
        request = self._request()
        datastores, token = self.backend.list_datastores(
            status=request.get("datastoreStatus"),
            max_results=request.get("maxResults"),
            next_token=request.get("nextToken"),
        )
        summaries = [datastore.properties() for datastore in datastores]
        return ActionResult({"datastoreSummaries": summaries, "nextToken": token})

    def delete_datastore(self) -> ActionResult:
        datastore = self.backend.delete_datastore(self._request()["datastoreId"])
        return ActionResult({"datastoreId": datastore.datastore_id, "datastoreStatus": "DELETING"})

    def start_dicom_import_job(self) -> ActionResult:
        request = self._request()
        datastore_id = request.pop("datastoreId")
        job = self.backend.start_dicom_import_job(datastore_id, request["clientToken"], request)
        return ActionResult(
            {
                "datastoreId": datastore_id,
                "jobId": job.job_id,
                "jobStatus": job.status,
                "submittedAt": job.submitted_at,
            }
        )

    def get_dicom_import_job(self) -> ActionResult:
        request = self._request()
        job = self.backend.get_dicom_import_job(request["datastoreId"], request["jobId"])
        return ActionResult({"jobProperties": job.properties()})

    def list_dicom_import_jobs(self) -> ActionResult:
        request = self._request()
        jobs, token = self.backend.list_dicom_import_jobs(
            request["datastoreId"],
            status=request.get("jobStatus"),
            max_results=request.get("maxResults"),
            next_token=request.get("nextToken"),
        )
        return ActionResult({"jobSummaries": [job.properties() for job in jobs], "nextToken": token})

    def search_image_sets(self) -> TYPE_RESPONSE:
        request = self._request()
        summaries, sort, token = self.backend.search_image_sets(
            request["datastoreId"],
            request.get("searchCriteria") or {},
            max_results=request.get("maxResults"),
            next_token=request.get("nextToken"),
        )
        return _page("imageSetsMetadataSummaries", summaries, {"sort": sort, "nextToken": token})

    def get_image_set(self) -> ActionResult:
        request = self._request()
        image_set, version = self.backend.get_image_set(
            request["datastoreId"], request["imageSetId"], request.get("versionId")
        )
        return ActionResult(
            {
                **_shown(version.properties),
                "datastoreId": request["datastoreId"],
                "imageSetArn": image_set.arn,
                "lastAccessedAt": image_set.latest.changed_at,
                "storageTier": "FREQUENT_ACCESS",
            }
        )

    def get_image_set_metadata(self) -> ActionResult:
        request = self._request()
        document = self.backend.get_image_set_metadata(
            request["datastoreId"], request["imageSetId"], request.get("versionId")
        )
        return ActionResult(
            {
                "imageSetMetadataBlob": document,
                "contentType": "application/json",
                "contentEncoding": "gzip",
            }
        )

    def get_image_frame(self) -> TYPE_RESPONSE:
        request = self._request()
        frame, content_type = self.backend.get_image_frame(
            request["datastoreId"],
            request["imageSetId"],
            request["imageFrameInformation"]["imageFrameId"],
        )
        # Written here, because moto's serializer sends every answer as JSON.
        return 200, {"Content-Type": content_type}, frame

    def list_image_set_versions(self) -> TYPE_RESPONSE:
        request = self._request()
        entries, token = self.backend.list_image_set_versions(
            request["datastoreId"],
            request["imageSetId"],
            max_results=request.get("maxResults"),
            next_token=request.get("nextToken"),
        )
        return _page("imageSetPropertiesList", entries, {"nextToken": token})

    def copy_image_set(self) -> ActionResult:
        request = self._request()
        source, destination = self.backend.copy_image_set(
            request["datastoreId"],
            request["sourceImageSetId"],
            request["copyImageSetInformation"],
            force=request.get("force", False),
            promote_to_primary=request.get("promoteToPrimary", False),
        )
        return ActionResult(
            {
                "datastoreId": request["datastoreId"],
                "sourceImageSetProperties": _copy_properties(source),
                "destinationImageSetProperties": _copy_properties(destination),
            }
        )

    def update_image_set_metadata(self) -> ActionResult:
        request = self._request()
        version = self.backend.update_image_set_metadata(
            request["datastoreId"],
            request["imageSetId"],
            request["latestVersionId"],
            request["updateImageSetMetadataUpdates"],
            force=request.get("force", False),
            include_study=request.get("includeStudyImageSets", False),
        )
        return ActionResult(
            {
                **_lower_case_status(version.properties),
                "datastoreId": request["datastoreId"],
                "latestVersionId": version.properties["versionId"],
            }
        )

    def delete_image_set(self) -> ActionResult:
        request = self._request()
        version = self.backend.delete_image_set(request["datastoreId"], request["imageSetId"])
        return ActionResult({**_lower_case_status(version.properties), "datastoreId": request["datastoreId"]})

    def list_tags_for_resource(self) -> ActionResult:
        return ActionResult({"tags": self.backend.list_tags_for_resource(self._request()["resourceArn"])})

    def tag_resource(self) -> ActionResult:
        request = self._request()
        self.backend.tag_resource(request["resourceArn"], request["tags"])
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        request = self._request()
        self.backend.untag_resource(request["resourceArn"], request["tagKeys"])
        return EmptyResult()


def _page(name: str, entries: list[dict[str, Any]], rest: dict[str, Any]) -> TYPE_RESPONSE:
    """Write a page of entries; for 50 of them, moto's serializer takes ten times as long."""
    document = {name: [_present(entry) for entry in entries], **_present(rest)}
    return 200, {"Content-Type": "application/json"}, json.dumps(document, default=_epoch_seconds)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _epoch_seconds(time: datetime) -> float:
    seconds = round(time.timestamp(), 3)
    # AWS writes a whole second without a fraction.
    return int(seconds) if seconds.is_integer() else seconds


def _lower_case_status(properties: Properties) -> Properties:
    # The lists spell it ImageSetWorkflowStatus, all other answers with a lower-case i.
    return properties | {"imageSetWorkflowStatus": properties.get("ImageSetWorkflowStatus")}


def _shown(properties: Properties) -> Properties:
    # The lists show the first version without updatedAt, GetImageSet and CopyImageSet with it.
    return {"updatedAt": properties.get("createdAt")} | _lower_case_status(properties)


def _copy_properties(image_set: ImageSet) -> Properties:
    latest = image_set.latest.properties
    return {
        **_shown(latest),
        "latestVersionId": latest["versionId"],
        "imageSetArn": image_set.arn,
    }
