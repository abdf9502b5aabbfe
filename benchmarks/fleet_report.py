"""What the fleets showed: the table, the aims, and the chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.fleet_process import INTERVAL, WAITS
from benchmarks.fleet_run import ADAPTIVE, CHANGE, FIXED, HALF, OURS, SECONDS, WITHIN, Figures
from benchmarks.fleet_stub import BURST, PER_SECOND
from benchmarks.report import judged, markdown, write_page

TABLE = Path(__file__).parent / "fleet.md"
CHART = TABLE.with_suffix(".png")
COLUMNS = ("way", "processes", "answered a second", "throttled", "Jain's index", "a process")
OPTION = 20.0
THROTTLED_AIMS = {2: 2.0, 4: 5.0, 8: 10.0}
ANSWERED_AIM, UNFAIR_AIM, SHARE_AIM = 2.0, 2.0, 25.0


def cells(figures: Figures) -> list[str]:
    """Write a run's figures as a row."""
    fleet = figures.fleet
    change = ", the last joins" if fleet.joins else ", the last ends" if fleet.ends else ""
    there = figures.answered[: -1 if fleet.ends else None]
    return [
        fleet.way,
        f"{fleet.count}{change}",
        f"{figures.total:.2f}",
        f"{100 * figures.throttled:.1f} %",
        f"{figures.jain:.3f}",
        f"{min(there):.1f} to {max(there):.1f}" if len(there) > 1 else f"{there[0]:.1f}",
    ]


def verdicts(all_figures: Sequence[Figures]) -> list[str]:
    """Say of each aim whether it was met, and where not, by how much it was missed."""
    lines = []
    for figures in all_figures:
        fleet = figures.fleet
        if fleet.way != OURS:
            continue
        possible = min(PER_SECOND, (fleet.count - fleet.ends) * OPTION)
        off = 100 * abs(1 - figures.total / possible)
        if fleet.joins:
            share = 100 * abs(1 - figures.answered[-1] / (possible / fleet.count))
            lines.append(
                judged(f"{fleet.name}: the share of the one that joins, off its part", share, SHARE_AIM, "%")
            )
        elif fleet.ends:
            lines.append(judged(f"{fleet.name}: answered a second, off {possible:g}", off, ANSWERED_AIM, "%"))
        elif fleet.count == 1:
            lines.append(judged(f"{fleet.name}: throttled", 100 * figures.throttled, 0, "%"))
            lines.append(judged(f"{fleet.name}: answered a second, off {possible:g}", off, ANSWERED_AIM, "%"))
        else:
            aim = THROTTLED_AIMS[fleet.count]
            lines.append(judged(f"{fleet.name}: throttled", 100 * figures.throttled, aim, "%"))
            lines.append(judged(f"{fleet.name}: answered a second, off {possible:g}", off, ANSWERED_AIM, "%"))
            lines.append(
                judged(f"{fleet.name}: Jain's index, off 1", 100 * (1 - figures.jain), UNFAIR_AIM, "%")
            )
    return lines


_HEADING = f"""# One quota for a fleet

Made by `python -m benchmarks.fleet`. Each process has {WAITS:,} waits that poll every {INTERVAL:.0f} s, more
than the default budget of {OPTION:g} requests a second allows, and knows nothing of the others. The server
answers {PER_SECOND:g} a second with a burst of {BURST:g}, as AWS does for `ListImageSetVersions`, and
throttles the rest. A run takes {SECONDS:.0f} s; its figures are those of the last {SECONDS - HALF:.0f} s.
Where a process joins or ends, it does so after {CHANGE:.0f} s, and the figures are those from {WITHIN:.0f} s
after that. The ways of one size run side by side.

"""
_NOTE = """

With fixed rates, every process sends its 20 a second whatever AWS answers, and a wait that was throttled
backs off alone. botocore's adaptive mode limits a whole client, all its operations together, and has a
request wait after it is signed.

The share of a process wanders: the fewer requests are throttled, the longer it takes until they correct it.
So Jain's index of the 120 s of a run is about .98, and another one in each run. Of twenty minutes it is more
than .99, which a test shows in a time of its own.

![What each of eight processes was answered, over time](fleet.png)

"""


def write(all_figures: Sequence[Figures]) -> None:
    """Write the table, the verdicts and the chart."""
    write_page(TABLE, _HEADING, markdown(COLUMNS, map(cells, all_figures)), _NOTE, verdicts(all_figures))
    chart(all_figures)


def chart(all_figures: Sequence[Figures]) -> None:
    """Draw what each of eight processes was answered over time, in each way."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    found = {(each.fleet.way, each.fleet.count, each.fleet.joins): each for each in all_figures}
    drawn = [
        (FIXED, 8, False, "#b3541e", "8 processes, fixed rates"),
        (ADAPTIVE, 8, False, "#7a7a7a", "8 processes, botocore's adaptive mode"),
        (OURS, 8, False, "#1e6fb3", "8 processes, this package"),
        (OURS, 9, True, "#1e6fb3", "this package, a ninth joins"),
    ]
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.4), layout="constrained", sharey=True)
    for axis, (way, count, joins, colour, title) in zip(axes, drawn, strict=True):
        course = found[way, count, joins].course
        times = [10 * number + 5 for number in range(len(course))]
        for process in range(count):
            last = joins and process == count - 1
            axis.plot(
                times,
                [each[process] for each in course],
                color="#b3541e" if last else colour,
                alpha=1.0 if last else 0.55,
                linewidth=2.0 if last else 1.2,
            )
        axis.axhline(PER_SECOND / count, color="black", linewidth=0.8, linestyle=":")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("seconds")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].set_ylabel("answered a second, each process")
    figure.savefig(CHART, dpi=110)
    pyplot.close(figure)
