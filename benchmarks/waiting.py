"""
Thousands of waits in one process: what they cost this package's way, beside Airflow's own.

``python -m benchmarks.waiting`` runs everything against one stub server, prints the table and writes
``waiting.md`` and ``waiting.png``. Airflow's way runs in an environment of its own, ``.venv-bench``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.report import judged, machine, markdown, measured
from benchmarks.served import Stub, served
from benchmarks.waiting_stub import RESET, SEEN
from benchmarks.waiting_ways import INTERVAL

HERE = Path(__file__).parent
AIRFLOW_S_OWN_ENVIRONMENT = HERE.parent / ".venv-bench"
TABLE, CHART = HERE / "waiting.md", HERE / "waiting.png"
# How long the waits are watched once all have been looked at.
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
    :param at_once: without the pause before the first look, which the other way does not have.
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
        ours = "this package" if self.way == "this_package_s" else "Airflow's own"
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


OURS, THEIRS = "this_package_s", "airflow_s_own"
RUNS = (
    Run(THEIRS, 100),
    Run(OURS, 100),
    Run(THEIRS, 1_000),
    Run(OURS, 1_000),
    Run(OURS, 10_000),
    Run(THEIRS, 1_000, "sagemaker"),
    Run(OURS, 1_000, "sagemaker"),
    Run(OURS, 1_000, at_once=False, budget=20.0),
    Run(OURS, 10_000, at_once=False, budget=20.0),
    Run(OURS, 10_000, one_gate=True),
    Run(OURS, 10_000, one_gate=True, at_once=False, budget=20.0),
    Run(OURS, 1_000, frozen=True),
    Run(OURS, 10_000, frozen=True),
    Run(OURS, 1_000, at_once=False, budget=20.0, frozen=True),
    Run(OURS, 10_000, at_once=False, budget=20.0, frozen=True),
    Run(OURS, 10_000, one_gate=True, at_once=False, budget=20.0, frozen=True),
)


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
                raise RuntimeError(f"{run.name}: {seen['names']} of {whole} looked at in {LONGEST:.0f} s")
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
            cwd=HERE.parent,
            env=_environment(run, stub, home),
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


def _environment(run: Run, stub: Stub, home: str) -> dict[str, str]:
    """Point the process at the stub, and at nothing of the user's."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {
            "region_name": "us-east-1",
            "endpoint_url": stub.url,
            # Airflow's own way has to be told.
            "config_kwargs": {"inject_host_prefix": False},
        },
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))}
    budget = str(run.budget or 1e6)
    return kept | {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": budget,
        "AIRFLOW__IMGVER__SAGEMAKER_REQUESTS_PER_SECOND": budget,
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


# --- the table and the chart ----------------------------------------------------------------------------

_COLUMNS = (
    "run",
    "RSS added",
    "KB a wait",
    "all looked at once after",
    "CPU a poll",
    "worst stall",
    "of it without Python's collector",
    "stalled in all",
    "sockets",
    "requests a poll",
    "busiest second",
)


def cells(figures: Figures) -> list[str]:
    """Write a run's figures as a row."""
    return [
        figures.run.name,
        f"{figures.rss_mb:.0f} MB",
        f"{figures.kb_per_wait:.1f}",
        "-" if figures.run.budget else f"{figures.first_round:.1f} s",
        f"{1000 * figures.cpu_per_poll:.2f} ms",
        f"{1000 * figures.worst:.0f} ms",
        f"{1000 * figures.besides:.0f} ms",
        f"{figures.total:.2f} s",
        str(figures.sockets),
        "-" if figures.run.budget else f"{figures.requests_per_poll:.2f}",
        f"{figures.busiest_second:,}",
    ]


def verdicts(all_figures: Sequence[Figures]) -> list[str]:
    """Say of each aim whether it was met, and where not, by how much it was missed."""
    found = {figures.run: figures for figures in all_figures}
    told = []

    def judge(what: str, figure: float, aim: float, unit: str) -> None:
        told.append(judged(what, figure, aim, unit))

    for service in ("healthimaging", "sagemaker"):
        what = f"{service}, 1,000 waits"
        ours, theirs = found.get(Run(OURS, 1_000, service)), found.get(Run(THEIRS, 1_000, service))
        if ours is None or theirs is None:
            continue
        judge(f"{what}: RSS beside Airflow's own", ours.rss_mb / theirs.rss_mb, 1 / 40, "")
        judge(f"{what}: RSS a wait", ours.kb_per_wait, 40, "KB")
        judge(f"{what}, no budget: worst stall", 1000 * ours.worst, 50, "ms")
        judge(f"{what}, no budget: worst stall without the collector", 1000 * ours.besides, 50, "ms")
        judge(f"{what}: sockets", ours.sockets, 10, "")
        judge(f"{what}: requests a poll", ours.requests_per_poll, 1, "")
    if large := found.get(Run(OURS, 10_000)):
        judge("10,000 waits: RSS added", large.rss_mb, 200, "MB")
        judge("10,000 waits, no budget: worst stall", 1000 * large.worst, 50, "ms")
        judge("10,000 waits, no budget: worst stall without the collector", 1000 * large.besides, 50, "ms")
    for count, one_gate in ((1_000, False), (10_000, False), (10_000, True)):
        if budgeted := found.get(Run(OURS, count, one_gate=one_gate, at_once=False, budget=20.0)):
            waiting = f"one gate on {count:,}" if one_gate else f"{count:,} waits"
            what = f"{waiting}, default budget"
            judge(f"{what}: worst stall", 1000 * budgeted.worst, 50, "ms")
            judge(f"{what}: worst stall without the collector", 1000 * budgeted.besides, 50, "ms")
            judge(f"{what}: requests in the busiest second", budgeted.busiest_second, 25, "")
    for figures in (each for each in all_figures if each.run.frozen):
        judge(f"{figures.run.name.partition(', ')[2]}: worst stall", 1000 * figures.worst, 50, "ms")
    if gate := found.get(Run(OURS, 10_000, one_gate=True)):
        judge("one gate on 10,000: requests against the least", gate.requests_per_poll, 1, "")
    return told


_NOTE = """

The runs of this package without a budget look at everything at once, to be beside Airflow's own, which has
neither budget nor jitter; their eight threads then contend with the loop for the interpreter's lock. Fewer
than one request a poll means that a process did not keep up with its interval.

Python's collector stalls a loop whoever fills it: a full collection visits every object of the process. Of
Airflow's own, before any wait, that took 60 to 200 ms where this was written, so no worst stall of a process
that collects can be below it. A wait adds about thirty objects. Collections in other threads count too. Where
Airflow is frozen, what was there before the waits is left out of collections, as
[reliability](../docs/reliability.md#what-to-set) says how to.
"""


def write(all_figures: Sequence[Figures]) -> None:
    """Write the table, the verdicts and the chart."""
    TABLE.write_text(
        "# Waiting\n\nMade by `python -m benchmarks.waiting`: every wait polls every "
        f"{INTERVAL} s, and nothing is ever ready. The budget is lifted but where it is named.\n\n"
        + markdown(_COLUMNS, map(cells, all_figures))
        + _NOTE
        + "\n![RSS and the first round against the number of waits](waiting.png)\n\n"
        + "\n".join(f"- {verdict}" for verdict in verdicts(all_figures))
        + f"\n\nMachine: {machine()}.\n"
    )
    chart(all_figures)


def chart(all_figures: Sequence[Figures]) -> None:
    """Draw cost against the number of waits."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ways = ((THEIRS, "Airflow's own", "#b3541e", "s"), (OURS, "this package", "#1e6fb3", "o"))
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    drawn = [
        each for each in all_figures if each.run.at_once and not each.run.one_gate and not each.run.frozen
    ]
    for way, label, colour, marker in ways:
        runs = [each for each in drawn if each.run.way == way and each.run.service == "healthimaging"]
        counts = [each.run.count for each in runs]
        for axis, values in zip(
            axes,
            (
                [each.rss_mb for each in runs],
                [each.first_round for each in runs],
                [1000 * each.worst for each in runs],
            ),
            strict=True,
        ):
            axis.loglog(counts, values, color=colour, marker=marker, label=label)
    titles = ("memory added, MB", "all looked at once after, s", "worst stall of the loop, ms")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("waits in one process (HealthImaging)")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(CHART, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Give the exit status; a missed aim is told, and is no failure."""
    prepare()
    with served("benchmarks.waiting_stub") as stub:
        all_figures = measured(stub, RUNS, measure, _COLUMNS, cells)
    write(all_figures)
    print("\n".join(verdicts(all_figures)))
    print(f"Written to benchmarks/{TABLE.name} and benchmarks/{CHART.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
