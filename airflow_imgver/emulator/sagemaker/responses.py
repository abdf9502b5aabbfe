"""Reads the image requests, and writes their answers in SageMaker's JSON 1.1 through botocore's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.sagemaker.responses import SageMakerResponse

from airflow_imgver.emulator.contract import read_request
from airflow_imgver.emulator.paging import page
from airflow_imgver.emulator.sagemaker.models import VERSION_PROPERTIES, ImageResource
from airflow_imgver.emulator.sagemaker.store import ImageStore, images_of
from airflow_imgver.emulator.transitions import in_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_PAGE_SIZE = 10
_TIME_FILTERS = ("CreationTimeAfter", "CreationTimeBefore", "LastModifiedTimeAfter", "LastModifiedTimeBefore")


class ImageResponses(SageMakerResponse):
    """
    The image operations, a method each.

    ``airflow_imgver.emulator.registration`` adds them to moto's own response class, which finds an operation
    by the name of a method.
    """

    def create_image(self) -> ActionResult:
        """Answer CreateImage."""
        request = image_request(self)
        arn = _store(self).create_image(
            request["ImageName"],
            request["RoleArn"],
            display_name=request.get("DisplayName"),
            description=request.get("Description"),
            tags=request.get("Tags", []),
        )
        return ActionResult({"ImageArn": arn})

    def describe_image(self) -> ActionResult:
        """Answer DescribeImage."""
        request, store = image_request(self), _store(self)
        with store.lock:
            return ActionResult(store.image(request["ImageName"], read=True).described())

    def update_image(self) -> ActionResult:
        """Answer UpdateImage."""
        request = image_request(self)
        arn = _store(self).update_image(
            request["ImageName"],
            {k: request[k] for k in ("RoleArn", "DisplayName", "Description") if k in request},
            request.get("DeleteProperties", []),
        )
        return ActionResult({"ImageArn": arn})

    def delete_image(self) -> ActionResult:
        """Answer DeleteImage."""
        request = image_request(self)
        _store(self).delete_image(request["ImageName"])
        return EmptyResult()

    def list_images(self) -> ActionResult:
        """Answer ListImages."""
        request, store = image_request(self), _store(self)
        with store.lock:
            wanted = request.get("NameContains", "")
            images = [image for image in store.images(read=True) if wanted in image.name]
            cut, token = _page(request, images, "ListImages", lambda image: image.name, "IMAGE_NAME")
            return ActionResult({"Images": [image.listed() for image in cut], "NextToken": token})

    def create_image_version(self) -> ActionResult:
        """Answer CreateImageVersion."""
        request = image_request(self)
        arn = _store(self).create_version(
            request["ImageName"],
            client_token=request["ClientToken"],
            properties={k: request[k] for k in VERSION_PROPERTIES if k in request},
            aliases=request.get("Aliases", []),
        )
        return ActionResult({"ImageVersionArn": arn})

    def describe_image_version(self) -> ActionResult:
        """Answer DescribeImageVersion; without Version and Alias, for the latest."""
        request, store = image_request(self), _store(self)
        with store.lock:
            image = store.image(request["ImageName"])
            version = image.version(request.get("Version"), request.get("Alias"), read=True)
            return ActionResult(version.described())

    def update_image_version(self) -> ActionResult:
        """Answer UpdateImageVersion."""
        request = image_request(self)
        arn = _store(self).update_version(
            request["ImageName"],
            request.get("Version"),
            request.get("Alias"),
            properties={k: request[k] for k in VERSION_PROPERTIES if k in request},
            added=request.get("AliasesToAdd", []),
            deleted=request.get("AliasesToDelete", []),
        )
        return ActionResult({"ImageVersionArn": arn})

    def delete_image_version(self) -> ActionResult:
        """Answer DeleteImageVersion."""
        request = image_request(self)
        _store(self).delete_version(request["ImageName"], request.get("Version"), request.get("Alias"))
        return EmptyResult()

    def list_image_versions(self) -> ActionResult:
        """Answer ListImageVersions."""
        request, store = image_request(self), _store(self)
        with store.lock:
            versions = store.image(request["ImageName"]).versions(read=True)
            cut, token = _page(request, versions, "ListImageVersions", lambda each: each.number, "VERSION")
            return ActionResult({"ImageVersions": [each.listed() for each in cut], "NextToken": token})

    def list_aliases(self) -> ActionResult:
        """Answer ListAliases."""
        request, store = image_request(self), _store(self)
        with store.lock:
            image = store.image(request["ImageName"])
            one = "Version" in request or "Alias" in request
            found = [image.version(request.get("Version"), request.get("Alias"))] if one else image.versions()
            cut, token = page(
                sorted(alias for version in found for alias in version.aliases),
                size=request.get("MaxResults", _DEFAULT_PAGE_SIZE),
                token=request.get("NextToken"),
                bound_to=_without_paging("ListAliases", request),
                key=str,
            )
            return ActionResult({"SageMakerImageVersionAliases": cut, "NextToken": token})


IMAGE_OPERATIONS: dict[str, Callable[[Any], ActionResult]] = {
    name: method for name, method in vars(ImageResponses).items() if not name.startswith("_")
}
"""The methods, by the names that moto derives from the names of operations."""


def is_image_operation(response: SageMakerResponse) -> bool:
    """Check whether the request is for one of the image operations."""
    return camelcase_to_underscores(response._get_action() or "") in IMAGE_OPERATIONS


def image_request(response: SageMakerResponse) -> dict[str, Any]:
    """
    Read an image request, and check it against the service model.

    moto's own reader answers a malformed time or list with a server error.

    :param response: The response object that holds the request.
    :raises ValidationException: the request breaks the service model.
    """
    request = read_request("sagemaker", response._get_action(), response.normalized_request)
    return {name: value for name, value in request.items() if value is not None}


def _store(response: SageMakerResponse) -> ImageStore:
    return images_of(response.sagemaker_backend)


def _page(
    request: dict[str, Any],
    items: list[Any],
    operation: str,
    identity: Callable[[Any], Any],
    identity_sort: str,
) -> tuple[list[Any], str | None]:
    """Filter by time, sort and cut for both list operations; equal times are sorted by identity."""
    sort_by = request.setdefault("SortBy", "CREATION_TIME")
    descending = request.setdefault("SortOrder", "DESCENDING") == "DESCENDING"

    def key(item: Any) -> tuple[Any, ...]:
        if sort_by == identity_sort:
            return (identity(item),)
        time = item.created_at if sort_by == "CREATION_TIME" else item.modified_at
        return (time.timestamp(), identity(item))

    return page(
        sorted((item for item in items if _is_in_time(item, request)), key=key, reverse=descending),
        size=request.get("MaxResults", _DEFAULT_PAGE_SIZE),
        token=request.get("NextToken"),
        bound_to=_without_paging(operation, request),
        key=key,
        descending=descending,
    )


def _is_in_time(item: ImageResource, request: dict[str, Any]) -> bool:
    created_after, created_before, modified_after, modified_before = map(request.get, _TIME_FILTERS)
    created, modified = item.created_at, item.modified_at
    return (
        (created_after is None or created >= in_milliseconds(created_after))
        and (created_before is None or created <= created_before)
        and (modified_after is None or modified >= in_milliseconds(modified_after))
        and (modified_before is None or modified <= modified_before)
    )


def _without_paging(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    arguments = {k: v for k, v in request.items() if k not in ("MaxResults", "NextToken")}
    return {"operation": operation, **arguments}
