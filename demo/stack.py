"""The stack: the embedded AWS, and a whole Airflow that connects to nothing else, in one scratch folder."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from demo.airflow_api import API_SERVER, AirflowApi
from demo.processes import Child, Processes, StackError

CHECKOUT = Path(__file__).resolve().parent.parent
DAGS = CHECKOUT / "dags"
STATE = CHECKOUT / "demo" / "state.json"

TOPIC = "imgver-reports"

COMPONENTS = ("api-server", "dag-processor", "triggerer")
START_LIMIT_SECONDS = 180


@dataclass(frozen=True)
class Stack:
    """
    A running stack.

    :param environment: the environment variables of Airflow's processes.
    """

    api: AirflowApi
    aws_url: str
    folder: Path
    environment: Mapping[str, str]
    processes: tuple[Processes, ...]

    def check(self) -> None:
        """Raise where a process has ended that should be running."""
        for processes in self.processes:
            processes.check()


@contextmanager
def running_stack(
    folder: Path,
    *,
    transition_seconds: float,
    port: int | None = None,
    keep: str | None = None,
    state: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """
    Start everything, wait until it is ready, and stop everything on exit, also after an error.

    :param folder: the scratch folder, which is emptied first; after an error it stays, with the logs.
    :param transition_seconds: how long a copy or a build takes in the embedded AWS.
    :param port: where Airflow's API and UI listen; a free port by default.
    :param keep: the entry of the folder that stays afterwards, until the next stack.
    :param state: the image sets and images of the embedded AWS; those of ``demo/state.json`` by default.
    :param settings: further environment variables of Airflow's processes.
    """
    if state is None:
        state = json.loads(STATE.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        empty(folder)
        try:
            (folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
            environment = airflow_environment(folder, port or free_port()) | dict(settings or {})
            with _started(folder, transition_seconds, environment) as stack:
                yield stack
        except KeyboardInterrupt:
            shutil.rmtree(folder)
            raise
        if keep is None:
            shutil.rmtree(folder)
        else:
            empty(folder, keep)


@contextmanager
def _started(folder: Path, transition_seconds: float, environment: dict[str, str]) -> Iterator[Stack]:
    logs = folder / "logs"
    logs.mkdir()
    aws = Processes(logs, environment, CHECKOUT)
    airflow = Processes(logs, environment, CHECKOUT)
    try:
        emulator = aws.start(
            "embedded-aws",
            *("airflow_imgver.emulator", "--port", "0", "--state", str(folder / "state.json")),
            *("--transition-seconds", str(transition_seconds)),
        )
        airflow.run("migrate", "airflow", "db", "migrate")
        aws_url = address_of(emulator)
        create_topic(aws_url)
        airflow.environment["AIRFLOW_CONN_AWS_DEFAULT"] = aws_connection(aws_url)
        for component in COMPONENTS:
            airflow.start(component, "airflow", component)
        api = AirflowApi(environment["AIRFLOW__API__BASE_URL"])
        stack = Stack(api, aws_url, folder, airflow.environment, (airflow, aws))
        # The scheduler runs a scheduled Dag at once, and a task fails whose API server does not answer yet.
        if not _within_limit(stack, lambda: API_SERVER not in api.unhealthy()):
            raise StackError(f"Airflow's {API_SERVER} did not start within {START_LIMIT_SECONDS} s.")
        airflow.start("scheduler", "airflow", "scheduler")
        _wait_until_ready(stack)
        yield stack
    finally:
        # Airflow first, because its tasks may be calling the embedded AWS.
        try:
            airflow.stop()
        finally:
            aws.stop()


def free_port() -> int:
    """A port that no process listens on."""
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
            raise StackError(
                f"Another stack runs in {folder}. Stop it, or wait until it has ended."
            ) from None
        yield


def empty(folder: Path, keep: str | None = None) -> None:
    """Delete the files of an earlier stack."""
    for entry in folder.iterdir():
        if entry.name in ("lock", keep):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def airflow_environment(folder: Path, port: int) -> dict[str, str]:
    """
    The environment of the child processes: no Airflow settings but these, and nothing of the user's AWS.

    Proxies are left out, because everything runs on this machine and a proxy would be asked for it.
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
        # Safe here: it listens on the loopback address, and has nothing but the examples.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def aws_connection(aws_url: str) -> str:
    """The connection `aws_default`, as Airflow reads it from an environment variable."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"region_name": "us-east-1", "endpoint_url": aws_url},
        }
    )


def address_of(emulator: Child) -> str:
    """The URL in the line that the embedded AWS prints when it is ready."""
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


def create_topic(aws_url: str) -> str:
    """Create the SNS topic that ``example_version_report`` sends to, and return its ARN."""
    with closing(
        boto3.client(
            "sns",
            endpoint_url=aws_url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # for the embedded AWS
            config=Config(proxies={}),
        )
    ) as sns:
        return str(sns.create_topic(Name=TOPIC)["TopicArn"])


def _wait_until_ready(stack: Stack) -> None:
    api = stack.api
    dags = {file.stem for file in DAGS.glob("example_*.py")}
    if _within_limit(stack, lambda: not api.unhealthy() and dags <= api.dag_ids()):
        return
    if waiting := api.unhealthy():
        raise StackError(f"Airflow's {', '.join(waiting)} did not start within {START_LIMIT_SECONDS} s.")
    raise StackError(f"Airflow did not find the Dags in {DAGS}: {api.import_errors() or 'it gave no reason'}")


def _within_limit(stack: Stack, condition: Callable[[], bool]) -> bool:
    """Wait until something holds, while all processes run; False when it takes too long."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        stack.check()
        if condition():
            return True
        time.sleep(0.2)
    return False
