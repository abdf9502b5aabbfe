"""Charts as inline SVG: matplotlib draws them, the page colours them; the same bytes for the same numbers."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from airflow_imgver.reports.counts import PHASES, Days, Lane, StatusCount
from airflow_imgver.reports.rows import Scope
from airflow_imgver.text import ascii_only
from airflow_imgver.versions import Phase

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib draws in these colours, which nothing else uses, and the page's own colours replace them: so a
# chart follows the page's dark and print styles.
_COLOURS = {
    "#0d0e01": "var(--ink)",
    "#0d0e02": "var(--quiet)",
    "#0d0e03": "var(--line)",
    "#0d0e04": "var(--paper)",
    "#0d0e05": "var(--band)",
    "#0d0e10": "var(--ready)",
    "#0d0e11": "var(--busy)",
    "#0d0e12": "var(--failed)",
    "#0d0e13": "var(--deleted)",
}
_INK, _QUIET, _LINE, _PAPER, _BAND = list(_COLOURS)[:5]
_PHASE_COLOURS: dict[Phase | None, str] = {
    Phase.READY: "#0d0e10",
    Phase.BUSY: "#0d0e11",
    Phase.FAILED: "#0d0e12",
    Phase.DELETED: "#0d0e13",
    None: _QUIET,
}
# Phases differ in shape and pattern too: some readers, and grey paper, show no colours.
_HATCHES: dict[Phase | None, str | None] = {
    Phase.READY: None,
    Phase.BUSY: "////",
    Phase.FAILED: "xxxx",
    Phase.DELETED: "----",
    None: None,
}
_MARKERS = {Phase.READY: "o", Phase.BUSY: "s", Phase.FAILED: "X", Phase.DELETED: "D"}
# In inches of 72 units, for a column of the page and for its whole width: text is as large as the page's.
_BESIDE, _ALONE = 6.2, 10.4
_AGES = (
    ("1 min", 60),
    ("10 min", 600),
    ("1 h", 3_600),
    ("6 h", 21_600),
    ("1 day", 86_400),
    ("1 week", 604_800),
    ("30 days", 2_592_000),
    ("1 year", 31_536_000),
    ("10 years", 315_360_000),
)


def by_status(name: str, title: str, counts: Sequence[StatusCount]) -> str:
    """
    Draw a bar for each status.

    :param name: begins every id in the SVG, so that several fit in one page.
    :param title: the chart's title for a screen reader.
    :param counts: the numbers, the greatest first.
    """
    with _chart(_BESIDE, 0.27 * len(counts) + 0.2) as (axes, written):
        for at, count in enumerate(counts):
            axes.barh(at, count.count, 0.66, **_fill(count.phase))
            axes.annotate(
                f"{count.count:,}",
                (count.count, at),
                (4, 0),
                textcoords="offset points",
                va="center",
                color=_INK,
            )
        axes.set_yticks(range(len(counts)), [ascii_only(count.status, 34) for count in counts])
        axes.set_ylim(len(counts) - 0.4, -0.6)
        axes.set_xlim(0, max((count.count for count in counts), default=1) * 1.12)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.spines["left"].set_visible(True)
        described = ", ".join(f"{ascii_only(count.status, 60)} {count.count:,}" for count in counts)
        return _inline(written(), name, title, described)


def by_day(name: str, title: str, days: Days, scope: Scope) -> str:
    """
    Draw a bar for each day, with a part for each phase; the days of the report's interval have a background.

    :param name: begins every id in the SVG.
    :param title: the chart's title for a screen reader.
    :param days: the numbers.
    :param scope: the scope, whose interval is shown.
    """
    with _chart(_BESIDE, 2.4) as (axes, written):
        below = [0] * len(days.counts)
        for phase in PHASES:
            counts = [phases[phase] for _, phases in days.counts]
            axes.bar(range(len(counts)), counts, 0.78, bottom=below, **_fill(phase))
            below = [base + count for base, count in zip(below, counts, strict=True)]
        top = max([*below, 1])
        inside = [at for at, (day, _) in enumerate(days.counts) if _is_of(scope, day)]
        if inside and scope.after is not None:
            axes.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color=_BAND, zorder=0, linewidth=0)
        ticks = range(len(days.counts) - 1, -1, -7)
        axes.set_xticks(ticks, [f"{days.counts[at][0]:%Y-%m-%d}" for at in ticks])
        axes.set_xlim(-0.6, len(days.counts) - 0.4)
        axes.set_ylim(0, top * 1.08)
        steps = sorted({0, math.ceil(top / 2), top})
        axes.set_yticks(steps, [f"{step:,}" for step in steps])
        axes.grid(axis="y", color=_LINE, linewidth=0.7)
        axes.set_axisbelow(True)
        described = "; ".join(
            f"{day}: {', '.join(f'{count:,} {phase.value}' for phase, count in phases.items() if count)}"
            for day, phases in days.counts
            if any(phases.values())
        )
        return _inline(written(), name, title, described or "No changes on these days.")


def timeline(name: str, title: str, lanes: Sequence[Lane], scope: Scope) -> str:
    """
    Draw a lane for each image set or image, with a mark for each version at its last change.

    The axis shows the time before the report, on a logarithmic scale: it separates the changes of last night,
    and still has those of years ago.

    :param name: begins every id in the SVG.
    :param title: the chart's title for a screen reader.
    :param lanes: the versions.
    :param scope: the scope, whose time and interval are shown.
    """
    with _chart(_ALONE, 0.27 * len(lanes) + 0.5) as (axes, written):
        for at, lane in enumerate(lanes):
            places = [_place(scope, mark.changed_at) for mark in lane.marks]
            axes.plot([min(places), max(places)], [at, at], color=_LINE, linewidth=2, zorder=1)
            for place, mark in zip(places, lane.marks, strict=True):
                axes.plot(
                    place,
                    at,
                    _MARKERS[mark.phase],
                    markersize=8 if mark.phase is Phase.FAILED else 6.5,
                    color=_PHASE_COLOURS[mark.phase],
                    markeredgecolor=_PAPER,
                    markeredgewidth=0.9,
                    zorder=3 if mark.phase is Phase.FAILED else 2,
                )
        oldest = min((_place(scope, mark.changed_at) for lane in lanes for mark in lane.marks), default=-6.0)
        if scope.after is not None:
            end = _place(scope, scope.before or scope.made_at)
            axes.axvspan(_place(scope, scope.after), end, color=_BAND, zorder=0, linewidth=0)
        ages = [(words, -math.log(age)) for words, age in _AGES if -math.log(age) >= oldest - 0.5]
        axes.set_xticks([place for _, place in ages], [words for words, _ in ages])
        axes.set_xlim(oldest - 0.6, -math.log(60) + 0.4)
        axes.set_yticks(range(len(lanes)), [ascii_only(lane.name, 32) for lane in lanes], family="monospace")
        axes.set_ylim(len(lanes) - 0.4, -0.6)
        axes.grid(axis="x", color=_LINE, linewidth=0.7)
        axes.set_axisbelow(True)
        described = "; ".join(
            f"{ascii_only(lane.name, 64)}: "
            + ", ".join(f"version {mark.number} {ascii_only(mark.status, 40)}" for mark in lane.marks)
            for lane in lanes
        )
        return _inline(written(), name, title, described)


def key(name: str, phase: Phase, *, as_mark: bool) -> str:
    """
    Draw the sign of a phase, for a legend in the page's own text.

    :param name: begins every id in the SVG.
    :param phase: the phase.
    :param as_mark: as on a timeline, instead of as in a bar.
    """
    with _figure(0.2, 0.2) as (axes, written):
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        if as_mark:
            axes.plot(0.5, 0.5, _MARKERS[phase], markersize=8, color=_PHASE_COLOURS[phase], markeredgewidth=0)
        else:
            axes.bar(0.5, 1, 1, **_fill(phase))
        return _inline(written(), name, None, None)


def _fill(phase: Phase | None) -> dict[str, Any]:
    return {
        "facecolor": _PHASE_COLOURS[phase],
        "edgecolor": _PAPER,
        "hatch": _HATCHES[phase],
        "linewidth": 0.6,
    }


def _is_of(scope: Scope, day: Any) -> bool:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (scope.before is None or begin < scope.before) and (
        scope.after is None or begin + timedelta(days=1) > scope.after
    )


def _place(scope: Scope, when: datetime) -> float:
    # Nothing is nearer than a minute, because the logarithm of 0 is infinite.
    return -math.log(max(60.0, (scope.made_at - when).total_seconds()))


@contextmanager
def _chart(width: float, height: float) -> Iterator[tuple[Axes, Callable[[], str]]]:
    with _figure(width, height) as (axes, written):
        for side in axes.spines.values():
            side.set_visible(False)
            side.set_color(_LINE)
        axes.tick_params(length=0, labelcolor=_QUIET, pad=5)
        yield axes, written


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Axes, Callable[[], str]]]:
    """Return axes, and a function that writes them as SVG, under the same settings everywhere."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A matplotlibrc on the machine must not change a page. No global figure is made, no display is needed.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "airflow_imgver",
                "font.size": 9,
                "hatch.linewidth": 0.8,
                "text.parse_math": False,
                "figure.dpi": 72,
            }
        )
        figure = Figure(figsize=(width, height), facecolor="none")
        if width > 1:
            # With space at the sides: the reader's font may be wider than the one that matplotlib measures.
            figure.set_layout_engine("constrained", rect=(0.02, 0, 0.96, 1))
        FigureCanvasSVG(figure)
        axes = figure.add_subplot() if width > 1 else figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_facecolor("none")

        def written() -> str:
            text = io.StringIO()
            figure.savefig(
                text,
                format="svg",
                transparent=False,
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
            return text.getvalue()

        yield axes, written


def _inline(svg: str, name: str, title: str | None, description: str | None) -> str:
    """Make an SVG a part of a page: own ids, the page's colours and fonts, texts for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<g id=\"[^\"]*\">", "<g>", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("xlink:href", "href")
    # A style element in an SVG applies to the whole page; the page has these rules for its charts.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    for drawn, variable in _COLOURS.items():
        svg = svg.replace(drawn, variable)
    svg = re.sub(r" font-family: (?!'DejaVu Sans Mono)[^;\"]*;", "", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: monospace", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    words = 'aria-hidden="true"'
    inside: Iterable[str] = ()
    if title is not None:
        words = f'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc"'
        inside = (
            f'<title id="{name}-title">{escape(title)}</title>',
            f'<desc id="{name}-desc">{escape(description or "")}</desc>',
        )
    body = svg[svg.index(">") + 1 :]
    _, _, width, height = box[1].split()
    return (
        f'<svg viewBox="{box[1]}" width="{width}" height="{height}" {words} focusable="false">'
        f"{''.join(inside)}{body.strip()}"
    )
