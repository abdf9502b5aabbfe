"""Commands as processes: cold ones, and ones forked from a process that has done its imports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import CHECKOUT, Ended, Forge, ended
from support import connection_json

Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """The process that commands are forked from."""
    with Forge() as forge:
        yield forge


@pytest.fixture
def environment(emulator_url: str) -> dict[str, str]:
    """What a command finds in its environment: the connection `aws_default`, to the embedded AWS."""
    return {"AIRFLOW_CONN_AWS_DEFAULT": connection_json(emulator_url), "COLUMNS": "80", "TERM": "dumb"}


@pytest.fixture
def run(forge: Forge, environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a command of `python -m airflow_imgver`; keywords go into its environment."""

    def run(*arguments: str, **more: str) -> Ended:
        return forge.run(arguments, environment | more, tmp_path)

    return run


@pytest.fixture
def run_cold(environment: dict[str, str]) -> Run:
    """Run a program in a process of its own, from its first import on."""

    def run(*command: str, **more: str) -> Ended:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment | more,
        )
        return ended(done)

    return run


@pytest.fixture
def aws(emulator_url: str) -> Run:
    """Run the real AWS CLI against the embedded AWS."""
    program = os.environ.get("IMGVER_AWS_CLI", "")
    assert Path(program).is_file(), "IMGVER_AWS_CLI names no AWS CLI: run the tests with `make test`"

    def run(*arguments: str) -> Ended:
        done = subprocess.run(
            [program, "--region", "us-east-1", "--endpoint-url", emulator_url, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.environ["AWS_CONFIG_FILE"],
                "AWS_SHARED_CREDENTIALS_FILE": os.environ["AWS_SHARED_CREDENTIALS_FILE"],
                "NO_PROXY": "127.0.0.1",
            },
        )
        return ended(done)

    return run
