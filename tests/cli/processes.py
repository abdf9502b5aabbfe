"""Processes that run commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from support import aws_cli_environment, aws_cli_program

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "airflow_imgver"]


class Ended(NamedTuple):
    """How a process ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Ended]


def ended(done: subprocess.CompletedProcess[str]) -> Ended:
    """What is left of a process."""
    return Ended(done.returncode, done.stdout, done.stderr)


# Importing Airflow takes seconds, which a test of every option would pay each time. A command forked after
# the imports is still a process, with files, an environment and an exit status of its own.
_OURS = """
import botocore.loaders, botocore.session
import airflow_imgver.cli.explaining, airflow_imgver.cli.listing, airflow_imgver.cli.waiting
import airflow_imgver.cli.reporting, airflow_imgver.cli.watching, airflow_imgver.hooks.event_queue
import airflow_imgver.operators.healthimaging, airflow_imgver.operators.sagemaker_image
from airflow_imgver.__main__ import main
"""
_AWS_CLIS = """
import awscli.clidriver
import awscli.botocore.loaders, awscli.botocore.session
botocore = awscli.botocore
awscli.clidriver.create_clidriver()  # which imports its plugins
def main(arguments):
    sys.argv[1:] = arguments
    sys.exit(awscli.clidriver.main())
"""
_FORGE = """
import inspect, json, os, sys
{program}
# Reading the services' models is most of what a client costs; what a child does to its copy stays there.
models, read = {}, botocore.loaders.JSONFileLoader.load_file
def load_file(loader, path):
    if path not in models:
        models[path] = read(loader, path)
    return models[path]
botocore.loaders.JSONFileLoader.load_file = load_file
for service in ("medical-imaging", "sagemaker"):
    botocore.session.Session().create_client(service, region_name="us-east-1")
# So is finding out which operator calls, for which Airflow's AWS hook reads the file of every module.
inspect.stack()
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        for name, number in (("/dev/null", 0), (order["out"], 1), (order["err"], 2)):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.environ.update(order["environment"])
        main(order["arguments"])
        os._exit(99)  # a command ends its process
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forge:
    """A process that has done the imports, and forks for each command."""

    def __init__(self, python: str, program: str, environment: Mapping[str, str]) -> None:
        self._command = [python, "-c", _FORGE.replace("{program}", program)]
        self._environment = environment

    @classmethod
    def of_ours(cls) -> Self:
        """For our own commands."""
        return cls(sys.executable, _OURS, os.environ | {"PYTHONPATH": str(CHECKOUT)})

    @classmethod
    def of_the_aws_cli(cls) -> Self:
        """For those of the real AWS CLI."""
        return cls(str(aws_cli_program().with_name("python")), _AWS_CLIS, aws_cli_environment())

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        # Some versions of alembic, which Airflow brings, log their import to stdout.
        while (line := self._read_line()) != "ready\n":
            assert line, "it ended before it was ready"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ended:
        """Run a command to its end."""
        out, err = folder / "stdout", folder / "stderr"
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Ended(int(self._read_line()), out.read_text(), err.read_text())

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
