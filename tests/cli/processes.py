"""Processes that run commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

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
_FORGE = """
import json, os, sys
import airflow_imgver.cli.explaining, airflow_imgver.cli.listing, airflow_imgver.cli.waiting
from airflow_imgver.__main__ import main
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

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        )
        assert self._read() == "ready"
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
        return Ended(int(self._read()), out.read_text(), err.read_text())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
