"""Shared by all tests: a scratch Airflow, and the embedded AWS on a free port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import tempfile
import urllib.request
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from airflow_imgver.services import SERVICES

CHECKOUT = Path(__file__).resolve().parent.parent


def _scratch_airflow_home() -> Path:
    """Point this process, and those it starts, at a scratch Airflow and at no AWS account.

    Airflow reads its settings when it is first imported, so this runs when pytest loads this file, and not in
    a fixture.
    """
    for name in list(os.environ):
        # A developer's own settings would change what the tests see or, worse, reach a real account.
        if name.startswith(("AIRFLOW_", "AIRFLOW__", "AWS_")):
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="airflow-imgver-tests-"))
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Without one, Airflow 3.1 warns on stderr, where a command's own words are read.
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        # The embedded AWS has no quota; what the budget does is tested where it is set.
        **{
            f"AIRFLOW__IMGVER__{option.name.upper()}": "100000"
            for service in SERVICES
            for option in service.options
        },
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    return home


AIRFLOW_HOME = _scratch_airflow_home()

# A shell ignores Ctrl-C for what it starts in the background, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The files that take longest, longest first: begun last, one of them keeps one of two workers waiting.
LONG = ("test_demo.py", "test_beside_aws_cli.py", "test_waiting.py", "test_streaming.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, and leave the others in their order."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


def pytest_unconfigure() -> None:
    """Remove the scratch Airflow."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def models_read_once() -> Iterator[None]:
    """Have botocore read each model file once per test module, not once per client.

    Half of a client's cost is this file. Not S3's, which botocore changes in place and moto needs unchanged.
    """
    read = JSONFileLoader.load_file
    with pytest.MonkeyPatch.context() as patched:
        files: dict[str, Any] = {}

        def load_file(self: JSONFileLoader, file_path: str) -> Any:
            if f"{os.sep}s3{os.sep}" in file_path:
                return read(self, file_path)
            if file_path not in files:
                files[file_path] = read(self, file_path)
            return files[file_path]

        patched.setattr(JSONFileLoader, "load_file", load_file)
        yield


@pytest.fixture(scope="module")
def emulator_server() -> Iterator[str]:
    """The embedded AWS, one a module: moto's state is one a process, so a module may also start its own."""
    from airflow_imgver.emulator import serve

    with serve() as url:
        yield url


@pytest.fixture
def emulator_url(emulator_server: str) -> str:
    """The URL of an embedded AWS with nothing in it: no resources, faults, counts or slow changes."""
    from moto.moto_api import state_manager

    from airflow_imgver.emulator.registration import MANAGED_MODELS

    for model in MANAGED_MODELS:
        state_manager.unset_transition(model)
    _request(f"{emulator_server}/moto-api/reset", "POST")
    _request(f"{emulator_server}/_imgver/faults", "DELETE")
    _request(f"{emulator_server}/_imgver/calls", "DELETE")
    _request(f"{emulator_server}/_imgver/events", "DELETE")
    return emulator_server


@pytest.fixture
def aws_connection(emulator_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection `aws_default`, which reaches the embedded AWS; gives the connection's id."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"region_name": "us-east-1", "endpoint_url": emulator_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return "aws_default"


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """Airflow's metadata database, on SQLite in the scratch Airflow: what `dag.test()` needs."""
    with warnings.catch_warnings():
        # starlette would rather have httpx2, which Airflow's own API server does not bring.
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
        import_module("fastapi.testclient")
    from airflow.utils.db import initdb

    initdb()


def _request(url: str, method: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10):
        pass
