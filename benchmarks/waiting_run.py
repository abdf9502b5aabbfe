"""One measured run of waits: what it is, how its process is run, and what that process shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.served import Stub
from benchmarks.waiting_stub import RESET, SEEN
from benchmarks.waiting_ways import INTERVAL

CHECKOUT = Path(__file__).parent.parent
AIRFLOW_S_OWN_ENVIRONMENT = CHECKOUT / ".venv-bench"
OURS, THEIRS = "this_package_s", "airflow_s_own"
# How long the waits are watched once all have been polled.
WATCHED_SECONDS = 2 * INTERVAL
LONGEST = 240.0


@dataclass(frozen=True)
class Run:
    """
    One process to measure.

    :param way: whose triggers.
    :param service: of which service.
    :param count: how many waits, or how many ids of one gate.
    :param one_gate: one trigger on all of them.
    :param at_once: without the pause before the first poll, which the other way does not have.
    :param budget: requests a second; None lifts it.
    :param frozen: what was there before the waits is frozen, as docs/reliability.md says how to.
    """

    way: str
    count: int
    service: str = "healthimaging"
    one_gate: bool = False
    at_once: bool = True
    budget: float | None = None
    frozen: bool = False

    @property
    def name(self) -> str:
        ours = "this package" if self.way == OURS else "Airflow's own"
        what = f"one gate on {self.count:,}" if self.one_gate else f"{self.count:,} waits"
        more = "" if self.at_once else f", default start{', default budget' if self.budget else ''}"
        more += ", Airflow frozen" if self.frozen else ""
        return f"{ours}, {self.service}, {what}{more}"


@dataclass(frozen=True)
class Figures:
    """What a run showed; times in seconds."""

    run: Run
    rss_mb: float
    first_round: float
    cpu_per_poll: float
    worst: float
    besides: float
    total: float
    sockets: int
    requests_per_poll: float
    busiest_second: int

    @property
    def kb_per_wait(self) -> float:
        return 1000 * self.rss_mb / self.run.count


def measure(run: Run, stub: Stub) -> Figures:
    """Run one process, and watch it for a round or two after its first."""
    stub.ask(RESET)
    begun = time.monotonic()
    with _process(run, stub) as ask:
        started = time.monotonic()
        # The default budget needs minutes for a round of a thousand; a few seconds show what it lets through.
        whole = run.count if run.budget is None else int(run.budget * WATCHED_SECONDS)
        while (seen := stub.ask(SEEN))["names"] < whole:
            if time.monotonic() - begun > LONGEST:
                raise RuntimeError(f"{run.name}: {seen['names']} of {whole} polled in {LONGEST:.0f} s")
            time.sleep(0.1)
        first_round = time.monotonic() - started
        starting = ask()
        cpu, asked = starting["cpu"], stub.ask(SEEN)["requests"]
        time.sleep(WATCHED_SECONDS)
        steady, seen = ask(), stub.ask(SEEN)
    polls = max(1, seen["requests"] - asked)
    return Figures(
        run=run,
        rss_mb=steady["rss_mb"],
        first_round=first_round,
        cpu_per_poll=(steady["cpu"] - cpu) / polls,
        worst=max(starting["worst"], steady["worst"]),
        besides=max(starting["besides"], steady["besides"]),
        total=starting["total"] + steady["total"],
        sockets=seen["sockets"],
        # Each wait is to poll once an interval; fewer is a process that cannot keep up with no budget at all.
        requests_per_poll=polls / (run.count * WATCHED_SECONDS / INTERVAL),
        busiest_second=seen["busiest_second"],
    )


@contextmanager
def _process(run: Run, stub: Stub) -> Iterator[Any]:
    """Start the measured process; gives what asks it for its figures."""
    order = {
        "way": run.way,
        "service": run.service,
        "count": run.count,
        "one_gate": run.one_gate,
        "at_once": run.at_once and run.way == OURS,
        "frozen": run.frozen,
    }
    python = sys.executable if run.way == OURS else str(AIRFLOW_S_OWN_ENVIRONMENT / "bin" / "python")
    with tempfile.TemporaryDirectory(prefix="imgver-waiting-") as home:
        process = subprocess.Popen(
            [python, "-W", "ignore", "-m", "benchmarks.waiting_process", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=CHECKOUT,
            env=environment(stub, home, budget=run.budget),
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def ask() -> dict[str, float]:
            process.stdin.write("measure\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return dict(json.loads(process.stdout.readline()))  # type: ignore[union-attr]

        try:
            while (line := process.stdout.readline()) and line != "started\n":
                pass
            if not line:
                raise RuntimeError(f"{run.name}: the process ended with {process.wait(10)}")
            yield ask
        finally:
            process.kill()
            process.wait(10)
            process.stdin.close()
            process.stdout.close()


def environment(stub: Stub, home: str, *, budget: float | None, **config: Any) -> dict[str, str]:
    """Point a process at the stub, and at nothing of the user's; ``config`` is more for botocore."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {
            "region_name": "us-east-1",
            "endpoint_url": stub.url,
            # Airflow's own triggers need the setting.
            "config_kwargs": {"inject_host_prefix": False, **config},
        },
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))}
    rate = str(budget or 1e6)
    return kept | {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": rate,
        "AIRFLOW__IMGVER__SAGEMAKER_REQUESTS_PER_SECOND": rate,
        # What is measured are polls in turn, and the stubs know no search.
        "AIRFLOW__IMGVER__CHANGE_SEARCH": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": f"{home}/no-aws-config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{home}/no-aws-credentials",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def prepare() -> None:
    """Make the environment of Airflow's own way, once: aiobotocore would pin this one's boto3 back."""
    ready = AIRFLOW_S_OWN_ENVIRONMENT / ".ready"
    if ready.exists():
        return
    wanted = [
        f"apache-airflow=={version('apache-airflow')}",
        f"apache-airflow-providers-amazon[aiobotocore]=={version('apache-airflow-providers-amazon')}",
        "aiobotocore==3.10.0",
    ]
    print(f"Setting up {AIRFLOW_S_OWN_ENVIRONMENT.name}, once, with {', '.join(wanted)}.", flush=True)
    venv.create(AIRFLOW_S_OWN_ENVIRONMENT, with_pip=True, clear=True)
    pip = [str(AIRFLOW_S_OWN_ENVIRONMENT / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    ready.touch()
