"""The page of a report: first what needs attention, then counts, a timeline, and the rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_imgver.reports import charts, counts
from airflow_imgver.reports.addresses import anchor, console_address, relative_address
from airflow_imgver.reports.columns import columns_shown
from airflow_imgver.reports.contents import (
    FINDINGS_SHOWN,
    HISTORIES_SHOWN,
    KINDS,
    ROWS_SHOWN,
    VERSIONS_OF_A_HISTORY,
    Contents,
)
from airflow_imgver.reports.earlier import Since
from airflow_imgver.reports.findings import Findings
from airflow_imgver.reports.message import headline
from airflow_imgver.reports.rows import Row, interval_in_words
from airflow_imgver.text import counted, duration, number, timestamp, visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# A cell of the table of all versions has this much of a message; the findings above have it in full.
_MESSAGE_IN_A_CELL = 200
TREND_SHOWN = 14
_STATUS = re.compile(r"[A-Z0-9_]{1,64}")


class Held(NamedTuple):
    """The superseded versions of one image set, and the last change of the oldest."""

    name: str
    numbers: list[int]
    oldest: datetime | None


class File(NamedTuple):
    """A table file of the report, and its address from the page."""

    path: str
    address: str | None


def render(contents: Contents, files: Sequence[str], page: str = "", since: Since | None = None) -> str:
    """
    Write the page of a report: one file that needs no network and no script.

    :param contents: the contents of the report.
    :param files: the table files of the same report, which have all rows.
    :param page: where the page will be, for its links to the files.
    :param since: the comparison with the report before, if there is one.
    """
    service, scope = contents.service, contents.scope
    by_status, by_day, lanes = counts.statuses(contents), counts.days(contents), counts.lanes(contents)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            contents=contents,
            service=service,
            scope=scope,
            files=[File(file, relative_address(page, file)) for file in files],
            headline=headline(contents),
            interval=scope.interval,
            held=_held(contents.superseded),
            phases=[phase for phase in counts.PHASES if contents.by_phase[phase]],
            all_phases=counts.PHASES,
            by_status=by_status,
            by_day=by_day,
            lanes=lanes,
            charts=_charts(contents, by_status, by_day, lanes),
            keys={
                (shape, phase): charts.key(f"key-{shape}-{phase}", phase, as_mark=shape == "mark")
                for shape in ("bar", "mark")
                for phase in counts.PHASES
            },
            columns=columns_shown(service, contents.shown),
            anchor=anchor,
            console=partial(console_address, service, scope),
            kinds=KINDS,
            **_compared(since),
            limits={
                "rows": ROWS_SHOWN,
                "findings": FINDINGS_SHOWN,
                "histories": HISTORIES_SHOWN,
                "versions": VERSIONS_OF_A_HISTORY,
                "days": counts.DAYS_SHOWN,
                "message": _MESSAGE_IN_A_CELL,
            },
        )
    )


def _charts(
    contents: Contents, by_status: list[counts.StatusCount], by_day: counts.Days, lanes: list[counts.Lane]
) -> dict[str, str]:
    things, scope = contents.service.things, contents.scope
    of = f" of the {things} in this report" if scope.after else f" of {things}"
    return {
        "statuses": charts.by_status("statuses", f"Versions of {things} by status", by_status),
        "days": charts.by_day("days", f"Versions{of} by the day of their last change", by_day, scope),
        "timeline": charts.timeline("timeline", f"Versions of {things} that need attention", lanes, scope),
    }


def _compared(since: Since | None) -> dict[str, Any]:
    """Return what the page says of the report before."""
    changes = {} if since is None else since.changes
    trend = [] if since is None else since.trend[::-1][:TREND_SHOWN]
    return {
        "since": since,
        "new": sum(len(change.new) for change in changes.values()),
        "still": sum(len(change.still) for change in changes.values()),
        "gone": [
            (kind, key)
            for kind, change in changes.items()
            for key in sorted(change.gone, key=lambda key: (key[0], key[1] or 0))
        ],
        "trend": trend,
        "most": max((sum(each.counts.values()) for each in trend), default=0) or 1,
    }


def _held(findings: Findings) -> list[Held]:
    """Group superseded versions by their image set, in the order of finding."""
    found: dict[str, list[Row]] = {}
    for row in findings.first:
        found.setdefault(row.name, []).append(row)
    return [
        Held(
            name,
            sorted(row.status.number for row in rows),
            min((when for row in rows if (when := row.status.changed_at) is not None), default=None),
        )
        for name, rows in found.items()
    ]


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("airflow_imgver", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "visible": visible,
        "number": number,
        "timestamp": timestamp,
        "duration": duration,
        "counted": counted,
        "breakable": _breakable,
        "interval": lambda report: interval_in_words(report.after, report.before, report.made_at),
        # Only for charts.py, which escapes all
        "drawn": Markup,
    }
    environment.filters |= filters
    environment.tests["breakable_status"] = _STATUS.fullmatch
    return environment


def _breakable(title: str) -> Markup:
    """Let a long name or status of AWS's break between its words."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[a-z.])(?=[A-Z])|(?<=[._])", title))
