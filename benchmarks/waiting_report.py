"""The page on waiting: its table, its verdicts and its chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import judged, markdown, write_page
from benchmarks.waiting_run import OURS, THEIRS, Figures, Run
from benchmarks.waiting_ways import INTERVAL

HERE = Path(__file__).parent
TABLE, CHART = HERE / "waiting.md", HERE / "waiting.png"

COLUMNS = (
    "run",
    "RSS added",
    "KB a wait",
    "all polled once after",
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
    lines = []

    def judge(what: str, figure: float, aim: float, unit: str) -> None:
        lines.append(judged(what, figure, aim, unit))

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
    return lines


_NOTE = """

The runs of this package without a budget poll everything at once, to be compared with Airflow's own, which
has neither budget nor jitter; their eight threads then contend with the loop for the interpreter's lock.
Fewer than one request a poll means that a process did not keep up with its interval.

Python's collector stalls a loop whoever fills it: a full collection visits every object of the process. Of
Airflow's own, before any wait, that took 60 to 200 ms where this was written, so no worst stall of a process
that collects can be below it. A wait adds about forty objects. Collections in other threads count too. Where
Airflow is frozen, what was there before the waits is left out of collections, as
[reliability](../docs/reliability.md#what-to-set) says how to.
"""


def write(all_figures: Sequence[Figures]) -> None:
    """Write the table, the verdicts and the chart."""
    write_page(
        TABLE,
        "# Waiting\n\nMade by `python -m benchmarks.waiting`: every wait polls every "
        f"{INTERVAL} s, and nothing is ever ready. The budget is lifted but where it is named.\n\n",
        markdown(COLUMNS, map(cells, all_figures)),
        f"{_NOTE}\n![RSS and the first round against the number of waits](waiting.png)\n\n",
        verdicts(all_figures),
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
    titles = ("memory added, MB", "all polled once after, s", "worst stall of the loop, ms")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("waits in one process (HealthImaging)")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(CHART, dpi=110)
    pyplot.close(figure)
