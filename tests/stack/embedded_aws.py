"""The embedded AWS of a stack: what is in it, when its versions settle, what it was asked and when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from demo.processes import Child, Processes
from demo.stack import free_port

START_LIMIT_SECONDS = 60
NOT_BY_ITSELF = 10 * 3600.0
MODELS = ("medical-imaging::image-set", "medical-imaging::import-job", "sagemaker::image-version")
DATASTORE = "12345678901234567890123456789012"
STARTED = 1_680_027_126.436

State = dict[str, Any]


def entry(image_set_id: str, version: int, status: str = "COPYING") -> dict[str, Any]:
    """One version of an image set, as HealthImaging lists it; COPYING settles as COPIED."""
    busy = status.endswith("ING")
    return {
        "imageSetId": image_set_id,
        "versionId": str(version),
        "imageSetState": "LOCKED" if busy else "ACTIVE",
        "ImageSetWorkflowStatus": status,
        "createdAt": STARTED,
        "updatedAt": STARTED + version,
    }


def image_set_id(group: str, number: int) -> str:
    """The id of an image set: a group of letters, and its number in the group."""
    return f"{group}{number:0{32 - len(group)}d}"


def being_copied(group: str, count: int) -> State:
    """A data store with so many image sets, each in the middle of a copy."""
    ids = [image_set_id(group, number) for number in range(count)]
    return {"healthimaging": {DATASTORE: {each: [entry(each, 1)] for each in ids}}}


class EmbeddedAws:
    """
    The embedded AWS, on one port whatever happens to it.

    :param processes: what starts it.
    :param folder: where its state is kept.
    """

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._state = folder / "aws-state.json"
        self._port = free_port()
        self._child: Child | None = None
        self.began = 0.0
        self.url = f"http://127.0.0.1:{self._port}"
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def close(self) -> None:
        """Close the connections; the process is ended by who started it."""
        self._http.close()

    def begin(self, state: Mapping[str, Any]) -> None:
        """Start anew with this state, in which nothing settles by itself, and counts of nothing."""
        self._state.write_text(json.dumps(state), encoding="utf-8")
        self.stop()
        self.start()

    def start(self) -> None:
        """Start with the state that was last begun with."""
        self._child = self._processes.start(
            "embedded-aws",
            *("airflow_imgver.emulator", "--port", str(self._port), "--state", str(self._state)),
            *("--transition-seconds", str(NOT_BY_ITSELF)),
        )
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self._answers():
            if self._child.process.poll() is not None:
                raise self._child.died()
            assert time.monotonic() < deadline, "the embedded AWS did not start in time"
            time.sleep(0.05)
        self.began = time.time()

    def stop(self) -> None:
        """Be gone: connections are refused from now on."""
        if self._child is not None:
            self._processes.kill(self._child)
            self._child = None

    def settle(self, seconds: float = 0.0) -> float:
        """
        Have whatever has been going on for so many seconds be over.

        :return: when, in seconds since 1970.
        """
        for model in MODELS:
            order = {"model_name": model, "transition": {"progression": "time", "seconds": seconds}}
            self._ask("POST", "/moto-api/state-manager/set-transition", order)
        return time.time()

    def fault(self, **order: Any) -> None:
        """Order a fault of the call that lists image set versions."""
        order = {"service": "medical-imaging", "operation": "ListImageSetVersions", **order}
        self._ask("POST", "/_imgver/faults", order)

    def enforce(self, per_second: float, burst: int) -> None:
        """Throttle the calls that list image set versions beyond a rate, whoever sends them."""
        self.fault(kind="quota", per_second=per_second, burst=burst, times=None)

    def throttled(self) -> int:
        """How many calls were beyond that rate."""
        faults = self._ask("GET", "/_imgver/faults")["faults"]
        return sum(fault.get("throttled", 0) for fault in faults)

    def deliver_events(self, **options: Any) -> None:
        """Say how EventBridge delivers from now on, as the embedded AWS's `--events` does."""
        self._ask("PUT", "/_imgver/events", options)

    def event_counts(self) -> dict[str, int]:
        """How many events were delivered, lost, doubled and so on since then."""
        counted: dict[str, int] = self._ask("GET", "/_imgver/events")["counts"]
        return counted

    def clear_faults(self) -> None:
        """Take the faults back."""
        self._ask("DELETE", "/_imgver/faults")

    def calls(self) -> dict[str, dict[str, int]]:
        """How often each operation was called, by service."""
        counted: dict[str, dict[str, int]] = self._ask("GET", "/_imgver/calls")
        return counted

    def list_calls(self) -> int:
        """How often image set versions were listed."""
        return self.calls().get("medical-imaging", {}).get("ListImageSetVersions", 0)

    def searches(self) -> int:
        """How often image sets were searched for."""
        return self.calls().get("medical-imaging", {}).get("SearchImageSets", 0)

    def client(self, service: str) -> Any:
        """A boto3 client, to set the scene and to see what there is."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(inject_host_prefix=False, proxies={}),
        )

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Look at the counts many times a second meanwhile."""
        watch = Watch(self)
        try:
            yield watch
        finally:
            watch.end()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def _answers(self) -> bool:
        try:
            self.calls()
        except httpx.TransportError:
            return False
        return True


class Watch:
    """How many requests the busiest second has seen, as the embedded AWS counted them."""

    PAUSE_SECONDS = 0.1

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._counts: list[tuple[float, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def busiest_second(self, since: float = 0.0) -> int:
        """The most requests in any second after a moment, in seconds since 1970."""
        counts = [(at, count) for at, count in self._counts if at >= since]
        most = start = 0
        for end, (at, count) in enumerate(counts):
            # No longer than a second, so that what a late look has gathered is not taken for one second's.
            while at - counts[start][0] > 1.0:
                start += 1
            if start < end:
                most = max(most, count - counts[start][1])
        return most

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self.PAUSE_SECONDS):
            asked = time.time()
            count = self._aws.list_calls()
            # The count is of some moment between the question and the answer.
            self._counts.append(((asked + time.time()) / 2, count))
