"""Shared by the tests: entries as AWS lists them, clients, a stub AWS, a task's context."""

from __future__ import annotations

import io
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config

from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE
from airflow_imgver.versions import VersionStatus, read_entry

DATASTORE = "12345678901234567890123456789012"
IMAGE_SET = "ea92b0d8838c72a3f25d00d13616f87e"
IMAGE = "studio-kernel"
SECRET = "s3cr3t-marker-that-nobody-may-read"
MISMATCH = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."

# https://docs.aws.amazon.com/cli/latest/reference/medical-imaging/list-image-set-versions.html, "Examples"
SAMPLE: list[dict[str, Any]] = [
    {
        "ImageSetWorkflowStatus": "UPDATED",
        "versionId": "4",
        "updatedAt": 1680029436.304,
        "imageSetId": IMAGE_SET,
        "imageSetState": "ACTIVE",
        "createdAt": 1680027126.436,
    },
    {
        "ImageSetWorkflowStatus": "UPDATED",
        "versionId": "3",
        "updatedAt": 1680029163.325,
        "imageSetId": IMAGE_SET,
        "imageSetState": "ACTIVE",
        "createdAt": 1680027126.436,
    },
    {
        "ImageSetWorkflowStatus": "COPY_FAILED",
        "versionId": "2",
        "updatedAt": 1680027455.944,
        "imageSetId": IMAGE_SET,
        "imageSetState": "ACTIVE",
        "message": MISMATCH,
        "createdAt": 1680027126.436,
    },
    {
        "imageSetId": IMAGE_SET,
        "imageSetState": "ACTIVE",
        "versionId": "1",
        "ImageSetWorkflowStatus": "COPIED",
        "createdAt": 1680027126.436,
    },
]

STARTED = datetime(2023, 3, 28, 18, 12, 6, tzinfo=UTC)


def image_set_entry(
    version: int, status: str | None = "UPDATED", state: str = "ACTIVE", **more: Any
) -> dict[str, Any]:
    """One version of the image set, as HealthImaging lists it; a status of None is left out."""
    entry = {
        "imageSetId": IMAGE_SET,
        "versionId": str(version),
        "imageSetState": state,
        "createdAt": STARTED,
        "updatedAt": STARTED + timedelta(minutes=version),
        **more,
    }
    return entry if status is None else {**entry, "ImageSetWorkflowStatus": status}


def image_version_entry(version: int, status: str = "CREATED", **more: Any) -> dict[str, Any]:
    """One version of the image, as SageMaker lists it."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    return {
        "ImageArn": f"{arn}:image/{IMAGE}",
        "ImageVersionArn": f"{arn}:image-version/{IMAGE}/{version}",
        "ImageVersionStatus": status,
        "Version": version,
        "CreationTime": STARTED + timedelta(hours=version),
        "LastModifiedTime": STARTED + timedelta(hours=version, minutes=1),
        **more,
    }


def image_set_status(entry: Mapping[str, Any]) -> VersionStatus:
    """The status of an entry that HealthImaging lists."""
    return read_entry(entry, HEALTHIMAGING.fields)


def image_version_status(entry: Mapping[str, Any]) -> VersionStatus:
    """The status of an entry that SageMaker lists."""
    return read_entry(entry, SAGEMAKER_IMAGE.fields)


def load_image_set(*entries: Mapping[str, Any]) -> None:
    """Put the image set into the embedded AWS of this process, in place of what was there."""
    from airflow_imgver.emulator.state import load

    load({"healthimaging": {DATASTORE: {IMAGE_SET: [dict(entry) for entry in entries]}}})


def load_image(*entries: Mapping[str, Any]) -> None:
    """Put the image into the embedded AWS of this process, in place of what was there."""
    from airflow_imgver.emulator.state import load

    load({"sagemaker": {IMAGE: [dict(entry) for entry in entries]}})


@contextmanager
def changes_after(polls: int) -> Iterator[None]:
    """Have what is busy in the embedded AWS of this process become settled after so many polls."""
    from moto.moto_api import state_manager

    from airflow_imgver.emulator.registration import MANAGED_MODELS

    for model in MANAGED_MODELS:
        state_manager.set_transition(model, {"progression": "manual", "times": polls})
    try:
        yield
    finally:
        for model in MANAGED_MODELS:
            state_manager.unset_transition(model)


def list_calls() -> int:
    """How many list calls the embedded AWS has had, of both services."""
    from airflow_imgver.emulator import calls

    counted = calls()
    return counted.get("medical-imaging", {}).get("ListImageSetVersions", 0) + counted.get(
        "sagemaker", {}
    ).get("ListImageVersions", 0)


def connection_json(endpoint_url: str | None, *, password: str = "testing", **extra: Any) -> str:
    """An AWS connection as Airflow reads it from an AIRFLOW_CONN_ variable."""
    settings = {"region_name": "us-east-1", **extra}
    if endpoint_url is not None:
        settings["endpoint_url"] = endpoint_url
    return json.dumps({"conn_type": "aws", "login": "testing", "password": password, "extra": settings})


def client_of(service: str, url: str | None = None, *, region: str = "us-east-1", **config: Any) -> Any:
    """A boto3 client of the embedded AWS; it sends each request once. Without a URL it works in process."""
    # botocore puts "runtime-" before the host of a URL, which an embedded AWS does not resolve.
    options = {"retries": {"total_max_attempts": 1}, "inject_host_prefix": url is None, **config}
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(**options),
    )


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until something holds; fail the test where it does not within the time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to hold in time"
        time.sleep(0.01)


# --- a stub AWS, for what the embedded one cannot do ----------------------------------------------------


@dataclass
class Asked:
    """A request as the stub got it."""

    path: str
    token: str | None
    size: int | None
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Answer:
    """The stub's answer: a document, or raw bytes; or it hangs after so many bytes."""

    document: Any = None
    raw: bytes | None = None
    status: int = 200
    hang: bool = False


@dataclass
class StubAws:
    """Answers every request by one function, and keeps what was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


@contextmanager
def stub_aws(answer: Callable[[Asked], Answer]) -> Iterator[StubAws]:
    """Serve a stub AWS of either service on a free port while the context is open."""
    released = threading.Event()

    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw.startswith(b"{") else {}
            query = parse_qs(urlsplit(self.path).query)
            size = query.get("maxResults", [body.get("MaxResults")])[0]
            asked = Asked(
                path=urlsplit(self.path).path,
                token=query.get("nextToken", [body.get("NextToken")])[0],
                size=None if size is None else int(size),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
            stub.asked.append(asked)
            stub.hosts.append(self.headers["Host"])
            given = answer(asked)
            content = json.dumps(given.document, default=_epoch).encode() if given.raw is None else given.raw
            self.send_response(given.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content) + (1 if given.hang else 0)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
            if given.hang:
                released.wait(30)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    server.daemon_threads = True
    stub = StubAws(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def in_pages(pages: Sequence[Sequence[Mapping[str, Any]]], service: str) -> Callable[[Asked], Answer]:
    """Answer with fixed pages, whatever page size is asked for; a page's token is its position."""
    key, token = _NAMES[service]

    def answer(asked: Asked) -> Answer:
        position = int(asked.token or 0)
        document: dict[str, Any] = {key: list(pages[position])}
        if position + 1 < len(pages):
            document[token] = str(position + 1)
        return Answer(document)

    return answer


def in_page_size(entries: Sequence[Mapping[str, Any]], service: str) -> Callable[[Asked], Answer]:
    """Answer in pages of the size that is asked for, in the order given."""
    key, token = _NAMES[service]

    def answer(asked: Asked) -> Answer:
        start = int(asked.token or 0)
        end = start + (asked.size or 10)
        document: dict[str, Any] = {key: list(entries[start:end])}
        if end < len(entries):
            document[token] = str(end)
        return Answer(document)

    return answer


_NAMES = {
    "medical-imaging": ("imageSetPropertiesList", "nextToken"),
    "sagemaker": ("ImageVersions", "NextToken"),
}


def _epoch(value: Any) -> float:
    assert isinstance(value, datetime)
    return value.timestamp()


# --- the real AWS CLI -----------------------------------------------------------------------------------


def aws_cli(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the AWS CLI, without an account and without settings, against an embedded AWS."""
    return subprocess.run(
        [str(aws_cli_program()), *aws_cli_options(url), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=aws_cli_environment(),
    )


def aws_cli_program() -> Path:
    """Where the AWS CLI is."""
    program = Path(os.environ.get("IMGVER_AWS_CLI", ""))
    assert program.is_file(), "IMGVER_AWS_CLI names no AWS CLI: run the tests with `make test`"
    return program


def aws_cli_options(url: str) -> tuple[str, ...]:
    """The options that point the AWS CLI at an embedded AWS."""
    return ("--region", "us-east-1", "--endpoint-url", url)


def aws_cli_environment() -> dict[str, str]:
    """The environment of the AWS CLI."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.environ["AWS_CONFIG_FILE"],
        "AWS_SHARED_CREDENTIALS_FILE": os.environ["AWS_SHARED_CREDENTIALS_FILE"],
        "NO_PROXY": "127.0.0.1",
    }


# --- logs -----------------------------------------------------------------------------------------------


class Printed(io.StringIO):
    """What was printed, tracebacks too."""

    def about(self, words: str) -> list[str]:
        return [line for line in self.getvalue().splitlines() if words in line]


@contextmanager
def logged() -> Iterator[Printed]:
    """Keep what is logged. Airflow's own loggers print, and bypass those that pytest's caplog listens to."""
    with redirect_stdout(Printed()) as printed:
        yield printed


# --- Dag files ------------------------------------------------------------------------------------------


def dag_bags() -> ModuleType:
    """The module that reads Dag files, which Airflow 3.1 has in another place."""
    try:
        return import_module("airflow.dag_processing.dagbag")
    except ImportError:
        return import_module("airflow.models.dagbag")


def make_known(bag: Any) -> None:
    """Have Airflow's database know the Dags of a bag: Airflow 3.1 runs no others."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bags = dag_bags()
    if hasattr(bags, "BundleDagBag"):
        return
    bundles = DagBundlesManager()
    bundles.sync_bundles_to_db()
    (bundle,) = bundles.get_all_dag_bundles()
    bags.sync_bag_to_db(bag, bundle.name, None)


# --- a task's context -----------------------------------------------------------------------------------


@dataclass
class TaskInstance:
    """The part of Airflow's task instance that a sensor or an operator of this package touches."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    first_rescheduled: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_rescheduled


def context_of(ti: TaskInstance | None = None, **more: Any) -> Any:
    """A context as `execute` gets it."""
    return {"ti": ti or TaskInstance(), **more}
