"""
Thousands of waits in one process: their cost in this package, beside their cost in Airflow's own triggers.

``python -m benchmarks.waiting`` runs everything against one stub server, prints the table and writes
``waiting.md`` and ``waiting.png``. Airflow's own triggers run in ``.venv-bench``, apart from this one.
"""

from __future__ import annotations

import sys

from benchmarks.report import measured
from benchmarks.served import served
from benchmarks.waiting_report import CHART, COLUMNS, TABLE, cells, verdicts, write
from benchmarks.waiting_run import OURS, THEIRS, Run, measure, prepare

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


def main() -> int:
    """Return the exit status; a missed aim is reported and is not a failure."""
    prepare()
    with served("benchmarks.waiting_stub") as stub:
        all_figures = measured(stub, RUNS, measure, COLUMNS, cells)
    write(all_figures)
    print("\n".join(verdicts(all_figures)))
    print(f"Written to benchmarks/{TABLE.name} and benchmarks/{CHART.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
