"""The page of a report: first what needs attention, then counts, a timeline, and the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_imgver.reports import charts, counts
from airflow_imgver.reports.contents import (
    FINDINGS_SHOWN,
    HISTORIES_SHOWN,
    ROWS_SHOWN,
    VERSIONS_OF_A_HISTORY,
    Contents,
    Findings,
)
from airflow_imgver.reports.rows import Attention, Row, columns_of
from airflow_imgver.services.description import Column, Service
from airflow_imgver.text import counted, duration, joined, number, timestamp, visible

if TYPE_CHECKING:
    from jinja2 import Environment

# A cell of the table of all versions has this much of a message; the findings above have it in full.
_MESSAGE_IN_A_CELL = 200


class Held(NamedTuple):
    """The superseded versions of one image set, and the last change of the oldest."""

    name: str
    numbers: list[int]
    oldest: datetime | None


def render(contents: Contents, files: Sequence[str]) -> str:
    """
    Write the page of a report: one file that needs no network and no script.

    :param contents: the contents of the report.
    :param files: the table files of the same report, which have all rows.
    """
    phases = [phase for phase in counts.PHASES if contents.by_phase[phase]]
    by_status = counts.statuses(contents)
    by_day = counts.days(contents)
    lanes = counts.lanes(contents)
    service, scope = contents.service, contents.scope
    drawn = {
        "statuses": charts.by_status("statuses", f"Versions of {service.things} by status", by_status),
        "days": charts.by_day(
            "days", f"Versions of {service.things} by the day of their last change", by_day, scope
        ),
        "timeline": charts.timeline(
            "timeline", f"Versions of {service.things} that need attention", lanes, scope
        ),
    }
    keys = {
        (shape, phase): charts.key(f"key-{shape}-{phase}", phase, as_mark=shape == "mark")
        for shape in ("bar", "mark")
        for phase in counts.PHASES
    }
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            contents=contents,
            service=service,
            scope=scope,
            files=files,
            headline=headline(contents),
            interval=scope.interval,
            findings=contents.findings,
            held=_held(contents.findings[Attention.SUPERSEDED]),
            phases=phases,
            all_phases=counts.PHASES,
            by_status=by_status,
            by_day=by_day,
            lanes=lanes,
            charts=drawn,
            keys=keys,
            columns=_shown_columns(service),
            attention=Attention,
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


def headline(contents: Contents) -> str:
    """Say in one sentence what needs attention."""
    found = contents.findings
    parts = [
        f"{number(found[kind].count)} {kind}"
        for kind in (Attention.FAILED, Attention.STUCK)
        if found[kind].count
    ]
    superseded = found[Attention.SUPERSEDED]
    if superseded.count:
        parts.append(
            f"{counted(superseded.count, 'superseded version')} still held"
            f" in {counted(superseded.things, contents.service.thing)}"
        )
    sentences = [joined(parts)] if parts else []
    if contents.unreadable_count:
        sentences.append(f"{counted(contents.unreadable_count, contents.service.thing)} could not be read")
    return "; ".join(sentences) or "Nothing needs attention"


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


def _shown_columns(service: Service) -> list[Column]:
    """Leave out columns with the same value in every row, and ARNs; the table files have all columns."""
    same = {field.member for field in service.identity[:-1]}
    return [
        column
        for column in columns_of(service)
        if column.name not in same and not column.name.endswith("Arn")
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
        # Only for charts.py, which escapes all
        "drawn": Markup,
    }
    environment.filters |= filters
    return environment
