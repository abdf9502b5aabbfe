"""
A server that answers both list calls from memory, so that what is measured is the client.

It knows one image set and one image, each with 5,000 versions, and only the largest page of either API. The
bodies are made before the first request. It runs in a process of its own: ``python -m benchmarks.stub``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from benchmarks.served import AWS_JSON, Connection, response, serve

VERSIONS = 5_000
IMAGE_SET_PAGE = 50
IMAGE_PAGE = 100

DATASTORE_ID = "12345678901234567890123456789012"
IMAGE_SET_ID = "ea92b0d8838c72a3f25d00d13616f87e"
IMAGE_NAME = "studio-imaging"

_CREATED = 1_680_027_126.436
_ARN = "arn:aws:sagemaker:us-east-1:123456789012"


class _Answering(Connection):
    """Has every answer ready."""

    answers: ClassVar[dict[bytes, bytes]]

    def answer(self, target: bytes, body: bytes) -> bytes:
        # SageMaker's page token is in the body, HealthImaging's in the address.
        return self.answers.get(body or target, _REFUSAL)


def _answers() -> dict[bytes, bytes]:
    """Map each request, by its body or else its address, to the whole answer."""
    return {**_image_set_answers(), **_image_answers()}


def _image_set_answers() -> dict[bytes, bytes]:
    path = f"/datastore/{DATASTORE_ID}/imageSet/{IMAGE_SET_ID}/listImageSetVersions"
    answers = {}
    for token, next_token, numbers in _pages(IMAGE_SET_PAGE):
        page: dict[str, Any] = {"imageSetPropertiesList": [_image_set_version(number) for number in numbers]}
        page |= {"nextToken": next_token} if next_token else {}
        # botocore writes the members in the order that they were given: by hand, or by the paginator.
        for query in _orders("maxResults", IMAGE_SET_PAGE, "nextToken", token):
            answers[f"{path}?{query}".encode()] = response(page)
    return answers


def _image_answers() -> dict[bytes, bytes]:
    answers = {}
    for token, next_token, numbers in _pages(IMAGE_PAGE):
        page: dict[str, Any] = {"ImageVersions": [_image_version(number) for number in numbers]}
        page |= {"NextToken": next_token} if next_token else {}
        answer = response(page, AWS_JSON)
        asked: dict[str, Any] = {"ImageName": IMAGE_NAME, "MaxResults": IMAGE_PAGE}
        answers[json.dumps(asked | ({"NextToken": token} if token else {})).encode()] = answer
        if token:
            asked = {"ImageName": IMAGE_NAME, "NextToken": token, "MaxResults": IMAGE_PAGE}
            answers[json.dumps(asked).encode()] = answer
    return answers


def _pages(size: int) -> Iterator[tuple[str | None, str | None, range]]:
    """Give each page's token, the next page's, and the version numbers on it, newest first."""
    for start in range(0, VERSIONS, size):
        following = start + size
        newest = VERSIONS - start
        yield (
            f"page{start}" if start else None,
            f"page{following}" if following < VERSIONS else None,
            range(newest, newest - size, -1),
        )


def _orders(first: str, size: int, second: str, token: str | None) -> list[str]:
    if token is None:
        return [f"{first}={size}"]
    return [f"{first}={size}&{second}={token}", f"{second}={token}&{first}={size}"]


def _image_set_version(number: int) -> dict[str, Any]:
    """Make an entry with the members of AWS's own sample: every tenth version is a failed copy."""
    failed = number % 10 == 0
    entry: dict[str, Any] = {
        "ImageSetWorkflowStatus": "COPY_FAILED" if failed else "UPDATED",
        "versionId": str(number),
        "updatedAt": _CREATED + number * 60.868,
        "imageSetId": IMAGE_SET_ID,
        "imageSetState": "ACTIVE",
        "createdAt": _CREATED,
    }
    if failed:
        entry["message"] = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."
    return entry


def _image_version(number: int) -> dict[str, Any]:
    return {
        "CreationTime": _CREATED + number * 60.868,
        "ImageArn": f"{_ARN}:image/{IMAGE_NAME}",
        "ImageVersionArn": f"{_ARN}:image-version/{IMAGE_NAME}/{number}",
        "ImageVersionStatus": "CREATED",
        "LastModifiedTime": _CREATED + number * 60.868 + 17.5,
        "Version": number,
    }


_REFUSAL = response(
    {"__type": "ValidationException", "message": "The stub has no such page."}, status="400 Bad Request"
)


if __name__ == "__main__":
    _Answering.answers = _answers()
    serve(_Answering)
