"""
Both list calls, answered from memory: every image set and every image there might be is busy, for ever.

It counts the requests, of each second and of each name, and runs in a process of its own.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import partial
from typing import Any

from benchmarks.served import AWS_JSON, Connection, response, serve

# The counts since the last reset, and the reset.
SEEN, RESET = "/seen", "/reset"

_ENTRY = {"versionId": "2", "imageSetState": "LOCKED", "ImageSetWorkflowStatus": "UPDATING"}
_TIMES = {"createdAt": 1_680_027_126.436, "updatedAt": 1_680_027_455.944}
IMAGE_SETS = {"imageSetPropertiesList": [{"imageSetId": "0" * 32, **_ENTRY, **_TIMES}]}
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


class _Answering(Connection):
    """Counts as a socket once it has asked what a client of AWS asks."""

    def __init__(self, counts: _Counts) -> None:
        super().__init__()
        self._counts = counts
        self._asks = False

    def connection_lost(self, error: Exception | None) -> None:
        self._counts.open -= self._asks

    def answer(self, target: bytes, body: bytes) -> bytes:
        if target == SEEN.encode():
            return response(self._counts.seen())
        if target == RESET.encode():
            self._counts.reset()
            return response({})
        if not self._asks:
            self._asks = True
            self._counts.open += 1
            self._counts.most_open = max(self._counts.most_open, self._counts.open)
        if target == b"/":
            self._counts.count(json.loads(body)["ImageName"].encode())
            return _IMAGES_RESPONSE
        self._counts.count(target.split(b"/")[4])
        return _IMAGE_SETS_RESPONSE


_IMAGE_SETS_RESPONSE = response(IMAGE_SETS)
_IMAGES_RESPONSE = response(_IMAGES, AWS_JSON)


if __name__ == "__main__":
    serve(partial(_Answering, _Counts()))
