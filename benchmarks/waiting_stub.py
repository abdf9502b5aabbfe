"""
Both list calls, answered from memory: every image set and every image there might be is busy, for ever.

It counts the requests, of each second and of each name, and runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENTRY = {"versionId": "2", "imageSetState": "LOCKED", "ImageSetWorkflowStatus": "UPDATING"}
_TIMES = {"createdAt": 1_680_027_126.436, "updatedAt": 1_680_027_455.944}
_IMAGE_SETS = {"imageSetPropertiesList": [{"imageSetId": "0" * 32, **_ENTRY, **_TIMES}]}
_ARN = "arn:aws:sagemaker:us-east-1:123456789012"
_IMAGES = {
    "ImageVersions": [
        {
            "CreationTime": 1_680_027_126.436,
            "ImageArn": f"{_ARN}:image/i",
            "ImageVersionArn": f"{_ARN}:image-version/i/2",
            "ImageVersionStatus": "CREATING",
            "LastModifiedTime": 1_680_027_455.944,
            "Version": 2,
        }
    ]
}


class Stub:
    """The server, as those who run it see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def seen(self) -> dict[str, Any]:
        """What has been asked since the last :meth:`reset`."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=60) as answer:
            return dict(json.load(answer))

    def reset(self) -> None:
        """Begin to count again."""
        with urllib.request.urlopen(f"{self.url}/reset", timeout=60):
            pass


@contextmanager
def served() -> Iterator[Stub]:
    """Run the server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.waiting_stub"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Stub(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class _Counts:
    """What was asked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests = 0
        self.names: set[bytes] = set()
        self.seconds: Counter[int] = Counter()
        self.open = self.most_open = 0

    def count(self, name: bytes) -> None:
        self.requests += 1
        self.names.add(name)
        self.seconds[int(time.monotonic())] += 1

    def seen(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "names": len(self.names),
            "busiest_second": max(self.seconds.values(), default=0),
            "sockets": self.most_open,
        }


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that is kept alive; requests come one after another."""

    def __init__(self, counts: _Counts) -> None:
        self._counts = counts
        self._received = b""
        self._asks = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._counts.open -= self._asks

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
        size = int(length[1]) if length else 0
        if not blank or len(rest) < size:
            return
        self._received = rest[size:]
        self._transport.write(self._answer(head.split(b" ", 2)[1], rest[:size]))

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/seen":
            return _response(self._counts.seen(), "application/json")
        if path == b"/reset":
            self._counts.reset()
            return _response({}, "application/json")
        if not self._asks:
            self._asks = True
            self._counts.open += 1
            self._counts.most_open = max(self._counts.most_open, self._counts.open)
        if path == b"/":
            self._counts.count(json.loads(body)["ImageName"].encode())
            return _IMAGES_RESPONSE
        self._counts.count(path.split(b"/")[4])
        return _IMAGE_SETS_RESPONSE


def _response(content: dict[str, Any], media_type: str) -> bytes:
    body = json.dumps(content).encode()
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


_IMAGE_SETS_RESPONSE = _response(_IMAGE_SETS, "application/json")
_IMAGES_RESPONSE = _response(_IMAGES, "application/x-amz-json-1.1")


async def _serve() -> None:
    """Serve until the standard input is closed, which also happens when the parent dies."""
    loop = asyncio.get_running_loop()
    counts = _Counts()
    server = await loop.create_server(lambda: _Connection(counts), "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
