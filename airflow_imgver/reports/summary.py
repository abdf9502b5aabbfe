"""What goes to XCom of a report: small, whatever the size of the store, and enough to act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Attention
from airflow_imgver.versions import Phase, as_plain

NAMED = 20
"""How many failures, and how many that could not be read, are named; all are counted."""
TEXT = 300


def summary(contents: Contents, paths: Sequence[str]) -> dict[str, Any]:
    """
    Sum a report up, in plain lists and dicts.

    :param contents: what the report says.
    :param paths: where it is.
    """
    table, scope = contents.table, contents.scope
    failures = contents.findings[Attention.FAILED].first[:NAMED]
    return {
        "read": contents.read,
        "rows": contents.rows,
        "phases": {phase.value: contents.by_phase[phase.value] for phase in Phase},
        "attention": {attention.value: contents.findings[attention].count for attention in Attention},
        "failures": [
            {
                "id": row[table.name],
                "version": row[table.number],
                "status": row[table.status],
                "message": _cut(row[table.reason]),
            }
            for row in failures
        ],
        "unreadable": contents.unreadable_count,
        "unreadable_first": [
            {"id": name, "reason": _cut(reason)} for name, reason in contents.unreadable[:NAMED]
        ],
        "paths": list(paths),
        "updated_after": as_plain(scope.after),
        "updated_before": as_plain(scope.before),
        "made_at": as_plain(scope.made_at),
    }


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= TEXT else f"{text[: TEXT - 1]}…"
