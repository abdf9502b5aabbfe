"""The output of the benchmarks: tables, verdicts, the machine; and the table of ``RESULTS.md``."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.served import Stub

RunT = TypeVar("RunT")
FiguresT = TypeVar("FiguresT")

RESULTS = Path(__file__).parent / "RESULTS.md"

_COLUMNS = ("what", "beside", "its time", "the other's", "figure", "least to greatest", "aim", "verdict")
_DISTRIBUTIONS = ("airflow-provider-imgver", "apache-airflow", "apache-airflow-providers-amazon", "boto3")

_HEADING = """# Benchmarks

Made by `make bench`, in one run, against a server on the same machine that answers from memory: 5,000
versions, 100 pages of HealthImaging's and 50 of SageMaker's. Each listing is timed in turns with what it
is compared with, both clients being built already, and judged by the median of the pairs: 1.00 is as fast.
The way to XCom is the operator's `execute` and then `json.dumps`. An import is timed in a fresh process: what
it takes beyond the base class of Airflow's own that it is built on. The times are of one machine; the ratios
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
    lines = [_HEADING, markdown(_COLUMNS, map(_cells, rows))]
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


def write_page(page: Path, heading: str, table: str, note: str, verdicts: Iterable[str]) -> None:
    """Write a benchmark's page: its heading, the table, what to know about it, what was met and missed."""
    said = "\n".join(f"- {verdict}" for verdict in verdicts)
    page.write_text(f"{heading}{table}{note}{said}\n\nMachine: {machine()}.\n")


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as a page of this repository holds it."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))


def judged(what: str, figure: float, aim: float, unit: str = "") -> str:
    """Say of a figure whether it met its aim, and where not, by how much it missed it."""
    met = "met" if figure <= aim else f"missed by {figure - aim:.2f} {unit}".rstrip()
    return f"{what}: {figure:.2f} {unit} (aim: {aim:g} or less): {met}".replace("  ", " ")


def measured(
    stub: Stub,
    runs: Iterable[RunT],
    measure: Callable[[RunT, Stub], FiguresT],
    columns: Sequence[str],
    cells: Callable[[FiguresT], Sequence[str]],
) -> list[FiguresT]:
    """Measure one run after the other, and print each as it ends: all of them take minutes."""
    all_figures = []
    for run in runs:
        all_figures.append(measure(run, stub))
        named = zip(columns, cells(all_figures[-1]), strict=True)
        print("; ".join(f"{name}: {cell}" for name, cell in named), flush=True)
    return all_figures


def machine() -> str:
    """Describe what the figures depend on, and nothing that names the machine."""
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
