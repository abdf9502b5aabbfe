"""The summary of a report for XCom: small, whatever the size of the data store, and enough to act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Attention
from airflow_imgver.text import as_plain
from airflow_imgver.versions import Phase

NAMED = 20
"""How many failures, and how many unreadable ids, the summary names; it counts all."""
TEXT = 300


def summary(contents: Contents, paths: Sequence[str]) -> dict[str, Any]:
    """
    Sum a report up, in plain lists and dicts.

    :param contents: the contents of the report.
    :param paths: the files of the report.
    """
    scope = contents.scope
    failures = contents.findings[Attention.FAILED].first[:NAMED]
    summed_up = {
        "read": contents.read,
        "rows": contents.rows,
        "phases": {phase.value: contents.by_phase[phase.value] for phase in Phase},
        "attention": {attention.value: contents.findings[attention].count for attention in Attention},
        "failures": [
            {
                "id": row.name,
                "version": row.status.number,
                "status": row.status.status,
                "message": _cut(row.status.reason),
            }
            for row in failures
        ],
        "unreadable": contents.unreadable_count,
        "unreadable_first": [
            {"id": name, "reason": _cut(reason)} for name, reason in contents.unreadable[:NAMED]
        ],
        "paths": list(paths),
        "updated_after": scope.after,
        "updated_before": scope.before,
        "made_at": scope.made_at,
    }
    return as_plain(summed_up)  # type: ignore[no-any-return]  # a dictionary stays one


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= TEXT else f"{text[: TEXT - 1]}…"
