"""
Thousands of gates on image sets of which a few change: how soon each opens, polled in turn and with a search.

``python -m benchmarks.changing`` runs processes against embedded AWSs, several side by side, prints the table
and writes ``changing.md`` and ``changing.png``. It takes half an hour, most of it the gates in turn.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from benchmarks.changing_report import CHART, COLUMNS, TABLE, cells, verdicts, write
from benchmarks.changing_run import DRIVEN, IN_TURN, NEVER, Figures, Run, measure

# Side by side, because each has to wait most of the time.
GROUPS: tuple[tuple[Run, ...], ...] = (
    (
        Run(IN_TURN, 500, 240.0),
        Run(DRIVEN, 500, 240.0),
        Run(IN_TURN, 2_000, 240.0),
        Run(DRIVEN, 2_000, 240.0),
        Run(DRIVEN, 2_000, 240.0, lag=30.0),
        Run(DRIVEN, 2_000, 240.0, lag=NEVER),
    ),
    (Run(IN_TURN, 10_000, 120.0), Run(DRIVEN, 10_000, 120.0), Run(DRIVEN, 10_000, 120.0, lag=30.0)),
)


def main() -> int:
    """Return the exit status; a missed aim is reported and is not a failure."""
    all_figures: list[Figures] = []
    for group in GROUPS:
        with ThreadPoolExecutor(len(group)) as threads:
            for figures in threads.map(measure, group):
                all_figures.append(figures)
                named = zip(COLUMNS, cells(figures), strict=True)
                print("; ".join(f"{name}: {cell}" for name, cell in named), flush=True)
    write(all_figures)
    print("\n".join(verdicts(all_figures)))
    print(f"Written to benchmarks/{TABLE.name} and benchmarks/{CHART.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
