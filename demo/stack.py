"""The stack: the embedded AWS, and a whole Airflow that reaches nothing else, in one scratch folder."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.airflow_api import AirflowApi
from demo.processes import Child, Processes, StackError

CHECKOUT = Path(__file__).resolve().parent.parent
DAGS = CHECKOUT / "dags"
STATE = CHECKOUT / "demo" / "state.json"

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
START_LIMIT_SECONDS = 180


@dataclass(frozen=True)
class Stack:
    """A stack that runs."""

    api: AirflowApi
    aws_url: str
    folder: Path
    processes: tuple[Processes, ...]

    def check(self) -> None:
        """Raise where something is gone that should be running."""
        for processes in self.processes:
            processes.check()


@contextmanager
def running_stack(
    folder: Path, *, transition_seconds: float, port: int | None = None, keep: str | None = None
) -> Iterator[Stack]:
    """
    Start everything, wait until it is ready, and stop everything on leaving, however that comes about.

    :param folder: the scratch folder, made anew; after an error it stays, for one to look for the reason.
    :param transition_seconds: how long a copy or a build takes in the embedded AWS.
    :param port: where Airflow's API and UI listen; a free port by default.
    :param keep: what of the folder is there to be looked at afterwards, until the next stack.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        empty(folder)
        try:
            with _started(folder, transition_seconds, port or free_port()) as stack:
                yield stack
        except KeyboardInterrupt:
            shutil.rmtree(folder)
            raise
        if keep is None:
            shutil.rmtree(folder)
        else:
            empty(folder, keep)


@contextmanager
def _started(folder: Path, transition_seconds: float, port: int) -> Iterator[Stack]:
    logs = folder / "logs"
    logs.mkdir()
    environment = airflow_environment(folder, port)
    aws = Processes(logs, environment, CHECKOUT)
    airflow = Processes(logs, environment, CHECKOUT)
    try:
        emulator = aws.start(
            "embedded-aws",
            *("airflow_imgver.emulator", "--port", "0", "--state", str(STATE)),
            *("--transition-seconds", str(transition_seconds)),
        )
        airflow.run("migrate", "airflow", "db", "migrate")
        aws_url = address_of(emulator)
        airflow.environment["AIRFLOW_CONN_AWS_DEFAULT"] = aws_connection(aws_url)
        for component in COMPONENTS:
            airflow.start(component, "airflow", component)
        stack = Stack(AirflowApi(f"http://127.0.0.1:{port}"), aws_url, folder, (airflow, aws))
        _wait_until_ready(stack)
        yield stack
    finally:
        # Airflow first, whose tasks may be asking the embedded AWS.
        try:
            airflow.stop()
        finally:
            aws.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Refuse a second stack in the same folder."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"Another one runs in {folder} already. Wait for its end, or stop it.") from None
        yield


def empty(folder: Path, keep: str | None = None) -> None:
    """Take away what an earlier stack left."""
    for entry in folder.iterdir():
        if entry.name in ("lock", keep):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def airflow_environment(folder: Path, port: int) -> dict[str, str]:
    """
    What the children see: no settings but these, and nothing of the user's AWS.

    Proxies go too: all there is to reach is on this machine, and the tasks would ask a proxy for it.
    """
    foreign = ("AIRFLOW_", "AIRFLOW__", "AWS_")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    home = folder / "home"
    home.mkdir()
    return environment | {
        "HOME": str(home),
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        # Nobody else's business: it listens on the loopback address, and holds nothing but the examples.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def aws_connection(aws_url: str) -> str:
    """The connection `aws_default`, as Airflow reads it from a variable."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"region_name": "us-east-1", "endpoint_url": aws_url},
        }
    )


def address_of(emulator: Child) -> str:
    """The URL in the one line that the embedded AWS prints when it is ready."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        for word in emulator.log.read_text().split():
            if word.startswith("http://"):
                return word
        if emulator.process.poll() is not None:
            raise emulator.died()
        time.sleep(0.05)
    raise StackError(
        f"The embedded AWS did not start within {START_LIMIT_SECONDS} s. Its log is {emulator.log}"
    )


def _wait_until_ready(stack: Stack) -> None:
    api = stack.api
    deadline = time.monotonic() + START_LIMIT_SECONDS
    dags = {file.stem for file in DAGS.glob("example_*.py")}
    while time.monotonic() < deadline:
        stack.check()
        if not api.unhealthy() and dags <= api.dag_ids():
            return
        time.sleep(0.2)
    if waiting := api.unhealthy():
        raise StackError(f"Airflow's {', '.join(waiting)} did not start within {START_LIMIT_SECONDS} s.")
    raise StackError(
        f"Airflow did not find the Dags in {DAGS}: {api.import_errors() or 'it named no reason'}"
    )
