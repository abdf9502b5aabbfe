"""
An Airflow as people run it in earnest, on one machine.

PostgreSQL, Redis, an API server, a scheduler, a Dag processor, two triggerers, two Celery workers, and the
embedded AWS. Any of them can be killed and started again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
from embedded_aws import EmbeddedAws
from metadata import Metadata
from scripted_aws import ScriptedAws, scripted_aws
from servers import Database, broker, database

from demo.airflow_api import AirflowApi, LogLine
from demo.processes import Child, Processes, StackError
from demo.stack import CHECKOUT, airflow_environment, aws_connection, empty, free_port, only_one

FOLDER = CHECKOUT / ".stack"
DAGS = Path(__file__).with_name("dags")
CONFIG = Path(__file__).with_name("config")
EXAMPLES = CHECKOUT / "dags"

START_LIMIT_SECONDS = 180
LOOK_SECONDS = 0.5
TRIGGERERS = ("triggerer-1", "triggerer-2")
WORKERS = ("worker-1", "worker-2")
COMPONENTS = ("api-server", "scheduler", "dag-processor", *WORKERS, *TRIGGERERS)
WORKER_SLOTS = 4
# Airflow's default; a triggerer that has been silent for longer loses its triggers to another.
TRIGGERER_SILENCE_SECONDS = 30
# Airflow's own are five and ten minutes.
LOST_TASK_SECONDS = 30
QUEUED_TASK_SECONDS = 60

Found = TypeVar("Found")


def command_of(name: str, folder: Path) -> tuple[str, ...]:
    """How a component of Airflow is started."""
    if name in TRIGGERERS:
        return ("airflow", "triggerer", "--skip-serve-logs")
    if name.startswith("worker"):
        own = ["--celery-hostname", f"{name}@%h", "--pid", str(folder / f"{name}.pid")]
        # Beside the two that all tests share, there are workers that a test starts for a queue of its own.
        own += ["--concurrency", str(WORKER_SLOTS)] if name in WORKERS else ["--concurrency", "1"]
        own += [] if name in WORKERS else ["--queues", name.removeprefix("worker-")]
        return ("airflow", "celery", "worker", "--skip-serve-logs", *own)
    return ("airflow", name)


@dataclass
class Run:
    """A Dag run, and how to ask Airflow about it."""

    stack: Production
    dag_id: str
    run_id: str

    @property
    def state(self) -> str:
        return self.stack.api.run_state(self.dag_id, self.run_id)

    @property
    def tasks(self) -> dict[str, str | None]:
        """The state of every task that is not mapped."""
        return self.stack.api.task_states(self.dag_id, self.run_id)

    def count(self, task_id: str, *states: str) -> int:
        return self.stack.api.count(self.dag_id, self.run_id, task_id, *states)

    def instances(self, task_id: str) -> list[dict[str, Any]]:
        return self.stack.api.task_instances(self.dag_id, self.run_id, task_id)

    def log(self, task_id: str, map_index: int = -1, *, attempt: int = 1) -> list[LogLine]:
        return self.stack.api.log(self.dag_id, self.run_id, task_id, map_index, attempt=attempt)

    def log_text(self, task_id: str, map_index: int = -1, *, attempt: int = 1) -> str:
        """The log as one text, errors too."""
        lines = self.log(task_id, map_index, attempt=attempt)
        return "\n".join(f"{line.text} {line.error or ''}".strip() for line in lines)

    def xcom(self, task_id: str, map_index: int = -1) -> Any:
        return self.stack.api.xcom(self.dag_id, self.run_id, task_id, map_index)

    def wait(self, seconds: float) -> str:
        """Wait for the end of the run; give its state."""
        self.stack.wait_for(
            f"the end of {self.dag_id}", lambda: self.state in ("success", "failed"), seconds, tell=self.tell
        )
        return self.state

    def wait_for(self, task_id: str, state: str, seconds: float, *, count: int = 1) -> None:
        """Wait until so many instances of a task are in a state."""
        self.stack.wait_for(
            f"{count} of {self.dag_id}.{task_id} in state {state}",
            lambda: self.count(task_id, state) >= count,
            seconds,
            tell=self.tell,
        )

    def tell(self) -> str:
        """Tell how far the run is."""
        return f"{self.dag_id} is {self.state}: {self.tasks}"


@dataclass
class Production:
    """The stack that runs."""

    api: AirflowApi
    aws: EmbeddedAws
    scripted_aws: ScriptedAws
    database: Database
    metadata: Metadata
    folder: Path
    airflow: Processes
    others: tuple[Processes, ...]
    components: dict[str, Child] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    _revives: bool = False
    revived: list[str] = field(default_factory=list)

    # --- components ---

    def start(self, name: str, **environment: str) -> None:
        """Start a component; a triggerer has a job in the database when this returns."""
        known = self.metadata.triggerer_jobs() if name in TRIGGERERS else set()
        command = command_of(name, self.folder)
        (self.folder / f"{name}.pid").unlink(missing_ok=True)
        self.components[name] = self.airflow.start(name, *command, **environment)
        if name in TRIGGERERS:
            new = self.wait_for(f"{name}'s job", lambda: self.metadata.triggerer_jobs() - known, 60)
            (self.jobs[name],) = new

    def kill(self, name: str) -> float:
        """Lose a component with all that it has started, as when its machine is gone; give the moment."""
        self.airflow.kill(self.components.pop(name))
        return time.time()

    def restore(self) -> None:
        """Start what an earlier test has left dead."""
        self.airflow.gone()
        for name in COMPONENTS:
            if name not in self.components or self.components[name].process.poll() is not None:
                self.start(name)

    def stop(self, name: str) -> None:
        """Stop a component in good order."""
        self.airflow.end(self.components.pop(name))

    def log_of(self, name: str) -> str:
        """What a component has printed."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def rss(self, name: str) -> int:
        """The megabytes of the largest process of a component."""
        return max(process.memory_info().rss for process in self.components[name].members()) >> 20

    def freeze(self, name: str) -> set[int]:
        """Halt a component with all that it has started; gives their process ids."""
        members = self.components[name].members()
        for process in members:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        return {process.pid for process in members}

    def thaw(self, name: str) -> None:
        """Let a halted component go on."""
        for process in self.components[name].members():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    @contextmanager
    def under_a_supervisor(self) -> Iterator[list[str]]:
        """Start again what ends by itself meanwhile, as systemd or Kubernetes does; gives its names."""
        self._revives, self.revived = True, []
        try:
            yield self.revived
        finally:
            self._revives = False

    def check(self) -> None:
        """Raise where something is gone that should be running, or start it again."""
        for processes in self.others:
            processes.check()
        if not self._revives:
            self.airflow.check()
            return
        for child in self.airflow.gone():
            self.revived.append(child.name)
            self.start(child.name)

    # --- runs ---

    def run(self, dag_id: str, *, since: datetime | None = None, **conf: Any) -> Run:
        """Start a run of a Dag, its data interval from a moment up to now."""
        return Run(self, dag_id, self.api.trigger(dag_id, conf, since))

    def wait_for(
        self,
        what: str,
        condition: Callable[[], Found],
        seconds: float,
        *,
        pause: float = LOOK_SECONDS,
        tell: Callable[[], str] = str,
    ) -> Found:
        """Wait until something holds, and give it; `tell` is asked where it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            try:
                if found := condition():
                    return found
            except StackError:
                # Where the database is away, the API server has no answer, which is what supervision is for.
                if not self._revives:
                    raise
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come in {seconds:.0f} s. {tell()}")
            time.sleep(pause)


@contextmanager
def production(folder: Path = FOLDER) -> Iterator[Production]:
    """
    Start everything, wait until it is ready, and stop everything on leaving, however that comes about.

    :param folder: the scratch folder, made anew; it stays, for one to look for the reason of a failure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder), ExitStack() as leaving:
        empty(folder)
        logs = folder / "logs"
        logs.mkdir()
        port = free_port()
        environment = airflow_environment(folder, port)
        servers = Processes(logs, environment, Path("/"))
        leaving.callback(servers.stop)
        metadata_database = leaving.enter_context(database(servers))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CONFIG), os.environ.get("PYTHONPATH"))))
        environment |= _settings(metadata_database, leaving.enter_context(broker(servers)))
        aws_processes = Processes(logs, environment, CHECKOUT)
        leaving.callback(aws_processes.stop)
        aws = EmbeddedAws(aws_processes, folder)
        leaving.callback(aws.close)
        aws.begin({})
        environment["AIRFLOW_CONN_AWS_DEFAULT"] = aws_connection(aws.url)
        scripted = leaving.enter_context(scripted_aws())
        environment["AIRFLOW_CONN_SCRIPTED_AWS"] = aws_connection(scripted.url)
        airflow = Processes(logs, environment, CHECKOUT)
        airflow.run("migrate", "airflow", "db", "migrate")
        leaving.callback(airflow.stop)
        api = AirflowApi(f"http://127.0.0.1:{port}")
        leaving.callback(api.close)
        stack = Production(
            api,
            aws,
            scripted,
            metadata_database,
            Metadata(metadata_database),
            folder,
            airflow,
            (servers, aws_processes),
        )
        for name in COMPONENTS:
            stack.start(name)
        _wait_until_ready(stack)
        yield stack


def _settings(metadata_database: Database, broker_url: str) -> dict[str, str]:
    """Airflow's settings, beside those of every stack in this repository."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": name, "classpath": local, "kwargs": {"path": str(path), "refresh_interval": 3600}}
        for name, path in {"examples": EXAMPLES, "stack": DAGS}.items()
    ]
    options = {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__PARALLELISM": "32",
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "DATABASE__SQL_ALCHEMY_CONN": metadata_database.sqlalchemy_url,
        "CELERY__BROKER_URL": broker_url,
        "CELERY__RESULT_BACKEND": f"db+{metadata_database.sqlalchemy_url}",
        "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "CELERY__CELERY_CONFIG_OPTIONS": "celery_with_gates.CONFIG",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(LOST_TASK_SECONDS),
        "SCHEDULER__TASK_QUEUED_TIMEOUT": str(QUEUED_TASK_SECONDS),
        "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_SILENCE_SECONDS),
    }
    return {f"AIRFLOW__{name}": value for name, value in options.items()}


def _wait_until_ready(stack: Production) -> None:
    files = {file.name for folder in (EXAMPLES, DAGS) for file in folder.glob("*.py")}
    stack.wait_for("Airflow", lambda: not stack.api.unhealthy(), START_LIMIT_SECONDS)
    stack.wait_for(
        "the Dags",
        lambda: files <= stack.api.dag_files(),
        START_LIMIT_SECONDS,
        tell=lambda: stack.api.import_errors(),
    )
    stack.wait_for(
        "the workers",
        lambda: all("ready." in stack.log_of(worker) for worker in WORKERS),
        START_LIMIT_SECONDS,
        tell=lambda: stack.log_of(WORKERS[0])[-2000:],
    )
