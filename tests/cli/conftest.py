"""Commands as processes: cold ones, and ones forked from a process that has done its imports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import CHECKOUT, Ended, Forge, Run, ended
from support import aws_cli_options, connection_json


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """The process that commands are forked from."""
    with Forge.of_ours() as forge:
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


@pytest.fixture(scope="module")
def aws_forge() -> Iterator[Forge]:
    """The process that the real AWS CLI's commands are forked from."""
    with Forge.of_the_aws_cli() as forge:
        yield forge


@pytest.fixture
def aws(aws_forge: Forge, emulator_url: str, tmp_path: Path) -> Run:
    """Run the real AWS CLI against the embedded AWS."""
    return lambda *arguments: aws_forge.run((*aws_cli_options(emulator_url), *arguments), {}, tmp_path)
