"""
HealthImaging's search and list calls, answered from memory after a while, for data stores of any size.

The data store's id says how many image sets it has; each has four versions. It counts the list calls of each
second, and runs in a process of its own.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from functools import partial
from typing import Any

from benchmarks.served import Connection, response, serve

# What it has counted.
SEEN = "/seen"
# About what a call takes that goes to a region nearby.
ANSWER_SECONDS = 0.05
PAGE = 50
VERSIONS = 4
_CREATED = 1_680_027_126.436
_STATUSES = ("COPIED", "COPY_FAILED", "UPDATED", "UPDATED")


def datastore_of(image_sets: int) -> str:
    """The id of the data store with so many image sets."""
    return f"{image_sets:032d}"


class _Counts:
    """What was asked."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.lists = self.searches = 0
        self.seconds: Counter[int] = Counter()

    def listed(self) -> None:
        self.lists += 1
        self.seconds[int(time.monotonic())] += 1

    def seen(self) -> dict[str, int]:
        """Give the counts, and begin again."""
        busiest = max(self.seconds.values(), default=0)
        seen = {"lists": self.lists, "searches": self.searches, "busiest_second": busiest}
        self._begin()
        return seen


def _search(image_sets: int, start: int) -> dict[str, Any]:
    end = min(start + PAGE, image_sets)
    summaries = [
        {
            "imageSetId": f"{number:032d}",
            "version": VERSIONS,
            "createdAt": _CREATED,
            "updatedAt": _CREATED,
            "DICOMTags": {"DICOMPatientName": "MISTER^CT", "DICOMPatientId": str(number)},
        }
        for number in range(start, end)
    ]
    more = {"nextToken": str(end)} if end < image_sets else {}
    return {"imageSetsMetadataSummaries": summaries, **more}


def _entry(image_set_id: str, number: int) -> dict[str, Any]:
    status = _STATUSES[number - 1]
    failed = {"message": "INVALID_REQUEST:  Series do not match."} if status == "COPY_FAILED" else {}
    return {
        "imageSetId": image_set_id,
        "versionId": str(number),
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": status,
        "createdAt": _CREATED,
        "updatedAt": _CREATED + number * 60,
        **failed,
    }


class _Answering(Connection):
    """Takes as long for an answer as a region nearby."""

    seconds = ANSWER_SECONDS

    def __init__(self, counts: _Counts) -> None:
        super().__init__()
        self._counts = counts

    def answer(self, target: bytes, body: bytes) -> bytes:
        if target == SEEN.encode():
            return response(self._counts.seen())
        path, _, query = target.decode().partition("?")
        parts = path.split("/")
        if parts[3] == "searchImageSets":
            self._counts.searches += 1
            token = re.search(r"nextToken=(\d+)", query)
            return response(_search(int(parts[2]), int(token[1]) if token else 0))
        self._counts.listed()
        return response({"imageSetPropertiesList": [_entry(parts[4], n) for n in range(VERSIONS, 0, -1)]})


if __name__ == "__main__":
    serve(partial(_Answering, _Counts()))
