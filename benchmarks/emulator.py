"""The embedded AWS: long histories and a large data store, beside the cheapest call of plain moto."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import quote

from benchmarks.measure import Row, ratio

IMAGE_SETS = 100_000
VERSIONS = 200
IMAGE_VERSIONS = 50_000
FEW_IMAGE_VERSIONS = 200
CALLS = 20
PAGE_AIM_MS = 5
LIST_AIM = 1.00
LONG_AIM = 1.10

CHEAPEST = "plain moto: ListTables of DynamoDB"

DATASTORE_ID = "12345678901234567890123456789012"
LONG_HISTORY = "f" * 32
_CREATED = 1_680_027_126.436
_SEARCH = f"/datastore/{DATASTORE_ID}/searchImageSets"
_LIST = f"/datastore/{DATASTORE_ID}/imageSet/{LONG_HISTORY}/listImageSetVersions"


def rows() -> Iterator[Row]:
    """Measure both servers, each in a process of its own, by the bytes of HTTP alone."""
    with _embedded_aws() as ours, _plain_moto() as moto:
        search = "embedded AWS: a page of SearchImageSets, of 100,000 image sets"
        listing = "embedded AWS: a page of ListImageSetVersions"
        page = ratio(search, ours.search, listing, ours.list_versions, aim=None)
        # Judged by its own time, and not beside the other.
        milliseconds = page.seconds * 1000
        spread = (page.spread[0] * page.beside * 1000, page.spread[1] * page.beside * 1000)
        yield replace(page, figure=milliseconds, spread=spread, aim=PAGE_AIM_MS, unit="ms")
        yield ratio(search, ours.search, CHEAPEST, moto.list_tables, aim=None)
        yield ratio(listing, ours.list_versions, CHEAPEST, moto.list_tables, aim=LIST_AIM)
        yield ratio(
            "embedded AWS: a page of 100 of ListImageVersions, of 50,000 versions",
            lambda: ours.list_image_versions("long"),
            "the same page, of 200 versions",
            lambda: ours.list_image_versions("short"),
            aim=LONG_AIM,
        )


class _Server:
    """A server, and the calls that are timed; each gives the seconds of one call."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._token: str | None = None

    def search(self) -> float:
        """Time the second page of a search: its token has to be found in the index."""
        if self._token is None:
            first = json.loads(self._call("medical-imaging", _SEARCH))
            self._token = quote(first["nextToken"])
        return self._timed("medical-imaging", f"{_SEARCH}?nextToken={self._token}")

    def list_versions(self) -> float:
        """Time the first page of a history."""
        return self._timed("medical-imaging", _LIST)

    def list_image_versions(self, name: str) -> float:
        """Time the first page of an image's versions."""
        headers = {
            "X-Amz-Target": "SageMaker.ListImageVersions",
            "Content-Type": "application/x-amz-json-1.1",
        }
        body = json.dumps({"ImageName": name, "MaxResults": 100}).encode()
        return self._timed("sagemaker", "/", body, **headers)

    def list_tables(self) -> float:
        """Time a call that has nothing to list."""
        target = {"X-Amz-Target": "DynamoDB_20120810.ListTables"}
        return self._timed("dynamodb", "/", b"{}", **target)

    def _timed(self, service: str, path: str, body: bytes = b"", **headers: str) -> float:
        begun = perf_counter()
        for _ in range(CALLS):
            self._call(service, path, body, **headers)
        return (perf_counter() - begun) / CALLS

    def _call(self, service: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        scope = f"testing/20260101/us-east-1/{service}/aws4_request"
        signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        self._connection.request("POST", path, body, {"Authorization": signed, **headers})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {content.decode()}")
        return content


@contextmanager
def _embedded_aws() -> Iterator[_Server]:
    with tempfile.TemporaryDirectory(prefix="airflow-imgver-bench-") as folder:
        state = Path(folder, "state.json")
        state.write_text(json.dumps(_state()))
        command = [sys.executable, "-m", "airflow_imgver.emulator", "--port", "0", "--state", str(state)]
        with _process(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            if not line:
                raise RuntimeError(f"The embedded AWS did not start: it ended with {process.wait(10)}.")
            yield _Server(line.split("http://")[1].strip())


@contextmanager
def _plain_moto() -> Iterator[_Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield _Server(f"127.0.0.1:{port}")


@contextmanager
def _process(command: list[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **streams)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _state() -> dict[str, Any]:
    """Image sets whose updates are in another order than their ids, and one with a long history."""
    image_sets = {
        image_set_id: [_entry(image_set_id, 1, _CREATED + number, _CREATED + 7919 * number % IMAGE_SETS)]
        for number, image_set_id in enumerate(f"{number:032x}" for number in range(IMAGE_SETS - 1))
    }
    history = [
        _entry(LONG_HISTORY, version, _CREATED, _CREATED + version) for version in range(1, VERSIONS + 1)
    ]
    images = {
        name: [_image_version(name, version) for version in range(1, count + 1)]
        for name, count in (("long", IMAGE_VERSIONS), ("short", FEW_IMAGE_VERSIONS))
    }
    return {
        "healthimaging": {DATASTORE_ID: {**image_sets, LONG_HISTORY: history}},
        "sagemaker": images,
    }


def _image_version(name: str, version: int) -> dict[str, Any]:
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    return {
        "CreationTime": _CREATED + version,
        "ImageArn": f"{arn}:image/{name}",
        "ImageVersionArn": f"{arn}:image-version/{name}/{version}",
        "ImageVersionStatus": "CREATED",
        "LastModifiedTime": _CREATED + 2 * version,
        "Version": version,
    }


def _entry(image_set_id: str, version: int, created_at: float, updated_at: float) -> dict[str, Any]:
    return {
        "imageSetId": image_set_id,
        "versionId": str(version),
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "UPDATED",
        "createdAt": created_at,
        "updatedAt": updated_at,
    }
