"""
A report of a whole data store: how near it comes to what the budget of requests allows, and its memory.

``python -m benchmarks.reporting`` runs each report in a process of its own against one stub server, which
takes 50 ms for an answer, prints the table and writes ``reporting.md``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import judged, markdown, measured, write_page
from benchmarks.reporting_stub import ANSWER_SECONDS, SEEN, VERSIONS
from benchmarks.served import Stub, served

TABLE = Path(__file__).parent / "reporting.md"
TIME_AIM = 1.10
MEMORY_AIM = 1.20


@dataclass(frozen=True)
class Run:
    """
    One report.

    :param image_sets: of how many image sets.
    :param budget: requests a second of each operation; None lifts it.
    """

    image_sets: int
    budget: float | None


@dataclass(frozen=True)
class Figures:
    """What a run showed."""

    run: Run
    seconds: float
    cpu: float
    rss_mb: float
    file_mb: float
    lists: int
    searches: int
    busiest_second: int

    @property
    def least(self) -> float | None:
        """The seconds in which the budget lets so many list calls through; the search has its own."""
        return None if self.run.budget is None else self.lists / self.run.budget


DEFAULT_BUDGET, HIGH_BUDGET = Run(10_000, 20.0), Run(10_000, 100.0)
SMALL, LARGE = Run(1_000, None), Run(50_000, None)
RUNS = (DEFAULT_BUDGET, HIGH_BUDGET, SMALL, LARGE)


def measure(run: Run, stub: Stub) -> Figures:
    """Make one report in a process of its own."""
    stub.ask(SEEN)
    with tempfile.TemporaryDirectory(prefix="airflow-imgver-bench-") as home:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.reporting_process", str(run.image_sets), home],
            env=_environment(home, stub.url, run.budget),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"The report of {run.image_sets:,} image sets failed:\n{done.stderr}")
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.pop("rows") == run.image_sets * VERSIONS
    return Figures(run, **figures, **stub.ask(SEEN))


def _environment(home: str, url: str, budget: float | None) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))}
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"region_name": "us-east-1", "endpoint_url": url},
    }
    return others | {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": str(budget or 1_000_000),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AWS_CONFIG_FILE": f"{home}/no-aws-config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{home}/no-aws-credentials",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MPLCONFIGDIR": home,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


_COLUMNS = (
    "image sets",
    "budget",
    "list calls",
    "searches",
    "took",
    "list calls / budget",
    "ratio",
    "busiest second",
    "CPU a list call",
    "greatest RSS",
    "files",
)


def cells(figures: Figures) -> list[str]:
    """Write a run's figures as a row."""
    run, least = figures.run, figures.least
    return [
        f"{run.image_sets:,}",
        "lifted" if run.budget is None else f"{run.budget:g} a second",
        f"{figures.lists:,}",
        f"{figures.searches:,}",
        f"{figures.seconds:.1f} s",
        "-" if least is None else f"{least:.1f} s",
        "-" if least is None else f"{figures.seconds / least:.3f}",
        str(figures.busiest_second),
        f"{1000 * figures.cpu / figures.lists:.2f} ms",
        f"{figures.rss_mb:.0f} MB",
        f"{figures.file_mb:.1f} MB",
    ]


def verdicts(all_figures: Sequence[Figures]) -> list[str]:
    """Say of each aim whether it was met, and where not, by how much it was missed."""
    found = {figures.run: figures for figures in all_figures}
    lines = []

    def judge(what: str, figure: float, aim: float) -> None:
        lines.append(judged(what, figure, aim))

    for run in (DEFAULT_BUDGET, HIGH_BUDGET):
        figures = found[run]
        assert figures.least is not None
        what = f"{run.image_sets:,} image sets, {run.budget:g} requests a second"
        judge(f"{what}: time beside list calls / budget", figures.seconds / figures.least, TIME_AIM)
    judge(
        f"RSS of {LARGE.image_sets:,} image sets beside {SMALL.image_sets:,}",
        found[LARGE].rss_mb / found[SMALL].rss_mb,
        MEMORY_AIM,
    )
    return lines


def write(all_figures: Sequence[Figures]) -> None:
    """Write the table and the verdicts."""
    write_page(
        TABLE,
        "# Reporting\n\nMade by `python -m benchmarks.reporting`: one report of a whole data store, from the "
        "first request to the last file in its place, as a page, CSV, JSON Lines and Parquet. Each image set "
        f"has {VERSIONS} versions, and the server takes {1000 * ANSWER_SECONDS:.0f} ms for an answer. The "
        "default budget is 20 a second; without one, eight threads and the server's time set the limit."
        "\n\n",
        markdown(_COLUMNS, map(cells, all_figures)),
        "\n\n",
        verdicts(all_figures),
    )


def main() -> int:
    """Return the exit status; a missed aim is reported and is not a failure."""
    with served("benchmarks.reporting_stub") as stub:
        all_figures = measured(stub, RUNS, measure, _COLUMNS, cells)
    write(all_figures)
    print("\n".join(verdicts(all_figures)))
    print(f"Written to benchmarks/{TABLE.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
