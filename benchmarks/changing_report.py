"""The page on waits that a search drives: its table, its verdicts and its chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.changing_process import BUDGET, INTERVAL
from benchmarks.changing_run import (
    DRIVEN,
    FIRST_CHANGES,
    IN_TURN,
    NEVER,
    SHARE_A_MINUTE,
    UPDATE_SECONDS,
    Figures,
    Run,
)
from benchmarks.report import judged, markdown, write_page

TABLE = Path(__file__).parent / "changing.md"
CHART = TABLE.with_suffix(".png")
COLUMNS = ("gates", "changes", "lost", "mean", "p95", "longest", "list calls a second", "searches a second")

_AIMS = {2_000: (8.0, 30.0, 4.0), 10_000: (10.0, None, 10.0)}


def cells(figures: Figures) -> list[str]:
    """Write a run's figures as a row."""
    return [
        figures.run.name,
        str(figures.changes),
        str(figures.lost),
        f"{figures.average:.1f} s",
        f"{figures.p95:.0f} s",
        f"{max(figures.delays):.0f} s",
        f"{figures.lists:.1f}",
        f"{figures.searches:.1f}",
    ]


def verdicts(all_figures: Sequence[Figures]) -> list[str]:
    """Say of each aim whether it was met, and where not, by how much it was missed."""
    lines = []
    for figures in all_figures:
        run = figures.run
        lines.append(judged(f"{run.name}: changes that no event came of", figures.lost, 0, ""))
        aims = _AIMS.get(run.count)
        if aims is None or run.way != DRIVEN or run.lag:
            continue
        average, p95, a_second = aims
        lines.append(judged(f"{run.name}: mean delay", figures.average, average, "s"))
        if p95 is not None:
            lines.append(judged(f"{run.name}: p95", figures.p95, p95, "s"))
        lines.append(judged(f"{run.name}: requests a second", figures.a_second, a_second, ""))
    return lines


_HEADING = f"""# Waits driven by what changes

Made by `python -m benchmarks.changing`. One process has so many gates on the next version of an image set of
one data store, each with a `poke_interval` of {INTERVAL:.0f} s, and the default budget of {BUDGET:g} requests
a second. The embedded AWS is a process of its own. {100 * SHARE_A_MINUTE:g} % of the image sets a minute are
updated, which takes {UPDATE_SECONDS:g} s, and beside them as many that nobody waits for. The delay is from
the end of an update to the trigger's event. "In turn" is `[imgver] change_search = False`.

"""
_NOTE = f"""

Measured once all have been polled twice, for which the budget is lifted, and {FIRST_CHANGES} changes have
been seen; so the figures are those of gates that have waited for a while. The run with a search that never
finds anything shows what an unreliable index costs: the search is not relied on, and the gates are polled in
turn. In the embedded AWS the end of an update moves `updatedAt`, as its beginning does; AWS documents
neither.

![The delay against the number of gates, both ways](changing.png)

"""


def write(all_figures: Sequence[Figures]) -> None:
    """Write the table, the verdicts and the chart."""
    write_page(TABLE, _HEADING, markdown(COLUMNS, map(cells, all_figures)), _NOTE, verdicts(all_figures))
    chart(all_figures)


def chart(all_figures: Sequence[Figures]) -> None:
    """Draw the delay against the number of gates."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn = (
        (IN_TURN, 0.0, "in turn", "#b3541e", "s"),
        (DRIVEN, 0.0, "driven by a search", "#1e6fb3", "o"),
        (DRIVEN, 30.0, "driven, the index 30 s late", "#7a7a7a", "^"),
        (DRIVEN, NEVER, "driven, a search that never finds anything", "#333333", "x"),
    )
    figure, axis = pyplot.subplots(figsize=(10, 4.2), layout="constrained")
    for way, lag, label, colour, marker in drawn:
        runs = [each for each in all_figures if (each.run.way, each.run.lag) == (way, lag)]
        runs.sort(key=_count)
        counts = [each.run.count for each in runs]
        axis.plot(
            counts, [each.average for each in runs], color=colour, marker=marker, label=f"{label}, mean"
        )
        axis.plot(
            counts,
            [each.p95 for each in runs],
            color=colour,
            marker=marker,
            linestyle=":",
            fillstyle="none",
            label=f"{label}, p95",
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("gates in one process")
    axis.set_ylabel("seconds from settled to the event")
    axis.grid(visible=True, which="major", alpha=0.3)
    counts = sorted({each.run.count for each in all_figures})
    axis.set_xticks(counts, [f"{count:,}" for count in counts])
    axis.minorticks_off()
    axis.set_yticks([2, 5, 10, 20, 50, 100, 200, 500], ["2", "5", "10", "20", "50", "100", "200", "500"])
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(CHART, dpi=110)
    pyplot.close(figure)


def _count(figures: Figures) -> int:
    run: Run = figures.run
    return run.count
