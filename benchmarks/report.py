"""The table, on the screen and in ``RESULTS.md``."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

RESULTS = Path(__file__).parent / "RESULTS.md"

_COLUMNS = ("what", "beside", "its time", "the other's", "figure", "least to greatest", "aim", "verdict")
_DISTRIBUTIONS = ("airflow-provider-imgver", "apache-airflow", "apache-airflow-providers-amazon", "boto3")

_HEADING = """# Benchmarks

Made by `make bench`, in one run, against a server on the same machine that answers from memory: 5,000
versions, 100 pages of HealthImaging's and 50 of SageMaker's. Each listing is timed in turns with what it
stands beside, both clients being built already, and judged by the median of the pairs: 1.00 is as fast. The
way to XCom is the operator's `execute` and then `json.dumps`. An import is timed in a fresh process: what
it takes beyond the base class of Airflow's own that it stands on. The times are of one machine; the ratios
are the point.
"""


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title="Median of alternating pairs", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row), style="yellow" if row.verdict.startswith("missed") else None)
    Console().print(table)


def write(rows: Sequence[Row]) -> None:
    """Write the table, the machine, and a sentence about each aim that was missed."""
    lines = [_HEADING, _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    lines += [_line(_cells(row)) for row in rows]
    missed = [row for row in rows if row.verdict.startswith("missed")]
    lines += ["", *(f"**Aim missed:** {row.what}: {row.verdict}.\n" for row in missed)]
    lines += [] if missed else ["Every aim was met.", ""]
    lines += [f"Machine: {machine()}.", ""]
    RESULTS.write_text("\n".join(lines))


def _cells(row: Row) -> list[str]:
    least, greatest = row.spread
    return [
        row.what,
        row.beside_what,
        f"{1000 * row.seconds:.0f} ms",
        f"{1000 * row.beside:.0f} ms",
        row.text(row.figure),
        f"{row.text(least)} to {row.text(greatest)}",
        "none" if row.aim is None else row.text(row.aim),
        row.verdict,
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """Tell what the figures depend on, and nothing that names the machine."""
    versions = ", ".join(f"{name} {version(name)}" for name in _DISTRIBUTIONS)
    return (
        f"{os.cpu_count()} cores, {_memory_in_gib()} GiB of memory, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}; {versions}"
    )


def _memory_in_gib() -> str:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "unknown"
    return f"{memory / 2**30:.0f}"
