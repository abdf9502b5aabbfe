"""
A server that answers both list calls from memory, so that what is measured is the client.

It knows one image set and one image, each with 5,000 versions, and only the largest page of either API. The
bodies are made before the first request. It runs in a process of its own: ``python -m benchmarks.stub``.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VERSIONS = 5_000
IMAGE_SET_PAGE = 50
IMAGE_PAGE = 100

DATASTORE_ID = "12345678901234567890123456789012"
IMAGE_SET_ID = "ea92b0d8838c72a3f25d00d13616f87e"
IMAGE_NAME = "studio-imaging"

_CREATED = 1_680_027_126.436
_ARN = "arn:aws:sagemaker:us-east-1:123456789012"


def main() -> None:
    """Serve until the standard input is closed, which also happens when the parent dies."""
    asyncio.run(_serve())


@contextmanager
def served() -> Iterator[str]:
    """Run the server in a process of its own, and yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stub"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"The stub server did not start: it ended with {process.wait(10)}.")
        yield url
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    answers = _answers()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that is kept alive; requests come one after another."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._next_request()) is not None:
            self._transport.write(self._answers.get(request, _REFUSAL))

    def _next_request(self) -> bytes | None:
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
        size = int(length[1]) if length else 0
        if not blank or len(rest) < size:
            return None
        self._received = rest[size:]
        # SageMaker's page token stands in the body, HealthImaging's in the address.
        return rest[:size] if size else head.split(b" ", 2)[1]


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
            answers[f"{path}?{query}".encode()] = _answer(page, "application/json")
    return answers


def _image_answers() -> dict[bytes, bytes]:
    answers = {}
    for token, next_token, numbers in _pages(IMAGE_PAGE):
        page: dict[str, Any] = {"ImageVersions": [_image_version(number) for number in numbers]}
        page |= {"NextToken": next_token} if next_token else {}
        answer = _answer(page, "application/x-amz-json-1.1")
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


def _answer(content: dict[str, Any], media_type: str, status: str = "200 OK") -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        "x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\n\r\n"
    )
    return head.encode() + body


_REFUSAL = _answer(
    {"__type": "ValidationException", "message": "The stub has no such page."},
    "application/json",
    "400 Bad Request",
)


if __name__ == "__main__":
    main()
