"""The page of a report: what needs a person first, then counts, then a timeline, then the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_imgver.reports import charts, counts, words
from airflow_imgver.reports.contents import (
    FINDINGS_SHOWN,
    HISTORIES_SHOWN,
    ROWS_SHOWN,
    VERSIONS_OF_A_HISTORY,
    Contents,
    Findings,
    changed_at,
)
from airflow_imgver.reports.rows import Attention, Column, Row, Scope, Table

if TYPE_CHECKING:
    from jinja2 import Environment

# A cell of the great table holds so much of a message; the findings above it have it in full.
_MESSAGE_IN_A_CELL = 200


class Held(NamedTuple):
    """The superseded versions of one image set, of which the oldest goes furthest back."""

    name: str
    numbers: list[int]
    oldest: datetime | None


def render(contents: Contents, files: Sequence[str]) -> str:
    """
    Write the page of a report: one file that needs no network and no script.

    :param contents: what the report holds.
    :param files: where the table files of the same report are, for who needs all rows.
    """
    phases = [phase for phase in counts.PHASES if contents.by_phase[phase]]
    by_status = counts.statuses(contents)
    by_day = counts.days(contents)
    lanes = counts.lanes(contents)
    table, scope = contents.table, contents.scope
    drawn = {
        "statuses": charts.by_status("statuses", f"Versions of {table.things} by status", by_status),
        "days": charts.by_day(
            "days", f"Versions of {table.things} by the day of their last change", by_day, scope
        ),
        "timeline": charts.timeline(
            "timeline", f"Versions of {table.things} that need a person", lanes, scope
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
            table=table,
            scope=scope,
            files=files,
            headline=headline(contents),
            interval=_interval(scope),
            findings=contents.findings,
            held=_held(table, contents.findings[Attention.SUPERSEDED]),
            phases=phases,
            all_phases=counts.PHASES,
            by_status=by_status,
            by_day=by_day,
            lanes=lanes,
            charts=drawn,
            keys=keys,
            columns=_shown_columns(table),
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
    """Say in one sentence what needs a person."""
    found = contents.findings
    parts = [
        f"{words.number(found[kind].count)} {kind}"
        for kind in (Attention.FAILED, Attention.STUCK)
        if found[kind].count
    ]
    superseded = found[Attention.SUPERSEDED]
    if superseded.count:
        parts.append(
            f"{words.counted(superseded.count, 'superseded version')} still held"
            f" in {words.counted(superseded.things, contents.table.thing)}"
        )
    told = [words.listed(parts)] if parts else []
    if contents.unreadable_count:
        told.append(f"{words.counted(contents.unreadable_count, contents.table.thing)} could not be read")
    return "; ".join(told) or "Nothing needs you"


def _interval(scope: Scope) -> str:
    if scope.after is None and scope.before is None:
        return "all of the past"
    if scope.after is None:
        return f"everything before {words.moment(scope.before)}" if scope.before else "all of the past"
    end = words.moment(scope.before) if scope.before else f"{words.moment(scope.made_at)}, when it was made"
    return f"{words.moment(scope.after)} to {end}"


def _held(table: Table, findings: Findings) -> list[Held]:
    """Gather superseded versions by their image set, in the order in which they were found."""
    found: dict[str, list[Row]] = {}
    for row in findings.first:
        found.setdefault(row[table.name], []).append(row)
    return [
        Held(
            name,
            sorted(row[table.number] for row in rows),
            min((when for row in rows if (when := changed_at(row)) is not None), default=None),
        )
        for name, rows in found.items()
    ]


def _shown_columns(table: Table) -> list[Column]:
    """Leave out what is the same in every row, or only another name; the table files have it all."""
    return [
        column
        for column in table.columns
        if column.name not in table.identity[:-1] and not column.name.endswith("Arn")
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
        "visible": words.visible,
        "number": words.number,
        "moment": words.moment,
        "lasting": words.lasting,
        "counted": words.counted,
        "changed_at": changed_at,
        # Only for what charts.py made, which escapes what it is given.
        "drawn": Markup,
    }
    environment.filters |= filters
    return environment
