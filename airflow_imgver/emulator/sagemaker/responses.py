"""Reads the image requests, and writes their answers in SageMaker's JSON 1.1 through botocore's model."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.sagemaker.responses import SageMakerResponse

from airflow_imgver.emulator.contract import read_request
from airflow_imgver.emulator.paging import marker_of, page, token_after
from airflow_imgver.emulator.sagemaker.models import VERSION_PROPERTIES
from airflow_imgver.emulator.sagemaker.store import ImageStore, images_of
from airflow_imgver.emulator.transitions import in_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_imgver.emulator.sagemaker.history import History
    from airflow_imgver.emulator.sagemaker.models import Image, ImageResource, ImageVersion

_DEFAULT_PAGE_SIZE = 10
_FILTERS_OF = {
    "CREATION_TIME": ("CreationTimeAfter", "CreationTimeBefore"),
    "LAST_MODIFIED_TIME": ("LastModifiedTimeAfter", "LastModifiedTimeBefore"),
}
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
            cut, token = _page_of_images(request, images)
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
            image = store.image(request["ImageName"])
            image.read_versions()
            versions, token = _page_of_versions(request, image.history)
            return ActionResult(
                {"ImageVersions": [version.listed() for version in versions], "NextToken": token}
            )

    def list_aliases(self) -> ActionResult:
        """Answer ListAliases."""
        request, store = image_request(self), _store(self)
        with store.lock:
            image = store.image(request["ImageName"])
            aliases = image.history.aliases()
            if "Version" in request or "Alias" in request:
                aliases = sorted(image.version(request.get("Version"), request.get("Alias")).aliases)
            cut, token = page(
                aliases,
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


def _page_of_images(request: dict[str, Any], images: list[Image]) -> tuple[list[Image], str | None]:
    """Filter, sort and cut; images with equal times are sorted by name."""
    sort_by, descending = _sort_of(request)

    def key(image: Image) -> tuple[Any, ...]:
        if sort_by == "IMAGE_NAME":
            return (image.name,)
        time = image.created_at if sort_by == "CREATION_TIME" else image.modified_at
        return (time.timestamp(), image.name)

    return page(
        sorted((image for image in images if _is_in_time(image, request)), key=key, reverse=descending),
        size=request.get("MaxResults", _DEFAULT_PAGE_SIZE),
        token=request.get("NextToken"),
        bound_to=_without_paging("ListImages", request),
        key=key,
        descending=descending,
    )


def _page_of_versions(request: dict[str, Any], history: History) -> tuple[list[ImageVersion], str | None]:
    """Cut a page out of the order that the request names, from the end of the page before."""
    sort_by, descending = _sort_of(request)
    bound_to = _without_paging("ListImageVersions", request)
    marker = marker_of(request["NextToken"], bound_to) if "NextToken" in request else None
    since, until = (request.get(name) for name in _FILTERS_OF.get(sort_by, ("", "")))
    walk = history.walk(
        sort_by,
        descending=descending,
        beyond=None if marker is None else tuple(marker),
        since=None if since is None else in_milliseconds(since).timestamp(),
        until=None if until is None else until.timestamp(),
    )
    size = request.get("MaxResults", _DEFAULT_PAGE_SIZE)
    found = ((key, version) for key, version in walk if _is_in_time(version, request))
    on_page = list(itertools.islice(found, size))
    token = token_after(on_page[-1][0], bound_to) if next(found, None) else None
    return [version for _, version in on_page], token


def _sort_of(request: dict[str, Any]) -> tuple[str, bool]:
    sort_by = request.setdefault("SortBy", "CREATION_TIME")
    return sort_by, request.setdefault("SortOrder", "DESCENDING") == "DESCENDING"


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
