"""
``ListImageSetVersions`` with a quota as AWS counts it: one bucket, of 25 requests a second and a burst of 50.

It counts what each process was answered in each second; an image set's id begins with the process's number.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from functools import partial

from benchmarks.served import Connection, response, serve
from benchmarks.waiting_stub import IMAGE_SETS

# The counts of all seconds so far.
SEEN = "/seen"
PER_SECOND, BURST = 25.0, 50.0
DIGITS = 2
"""How many digits of an id number the process."""

_ANSWER = response(IMAGE_SETS)
_REFUSAL = response(
    {"__type": "ThrottlingException", "message": "Rate exceeded"}, status="429 Too Many Requests"
)


class _Quota:
    """The bucket; a refused request takes nothing from it."""

    def __init__(self) -> None:
        self._tokens = BURST
        self._at = time.monotonic()
        # For each second and each process: how many requests were answered, and how many were throttled.
        self.seconds: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def takes(self, process: str) -> bool:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * PER_SECOND)
        self._at = now
        taken = self._tokens >= 1
        self._tokens -= taken
        self.seconds[int(now)][process][not taken] += 1
        return taken


class _Answering(Connection):
    """Answers where the quota allows it; AWS takes some milliseconds."""

    seconds = 0.02

    def __init__(self, quota: _Quota) -> None:
        super().__init__()
        self._quota = quota

    def answer(self, target: bytes, body: bytes) -> bytes:
        if target == SEEN.encode():
            return response(json.loads(json.dumps(self._quota.seconds)))
        process = target.split(b"/")[4][:DIGITS].decode()
        return _ANSWER if self._quota.takes(process) else _REFUSAL


if __name__ == "__main__":
    serve(partial(_Answering, _Quota()))
