"""The summary of a report for XCom: small, whatever the size of the data store, and enough to act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.reports.addresses import anchor
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.earlier import Since
from airflow_imgver.reports.message import as_html, as_text, headline
from airflow_imgver.reports.rows import Attention
from airflow_imgver.text import as_plain
from airflow_imgver.versions import Phase

NAMED = 20
"""How many failures, and how many unreadable ids, the summary names; it counts all."""
TEXT = 300


def summary(contents: Contents, paths: Sequence[str], since: Since | None = None) -> dict[str, Any]:
    """
    Sum a report up, in plain lists and dicts.

    :param contents: the contents of the report.
    :param paths: the files of the report.
    :param since: the comparison with the report before, if there is one.
    """
    scope = contents.scope
    failures = contents.failed.first[:NAMED]
    summed_up = {
        "headline": headline(contents),
        "text": as_text(contents, paths),
        "html": as_html(contents, paths),
        "needs_attention": contents.needs_attention,
        "since": None if since is None else _compared(since),
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
                "good_successor": row.good_successor,
                "anchor": anchor(Attention.FAILED, row.name, row.status.number),
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


def _compared(since: Since) -> dict[str, Any]:
    counts = {
        kind: {"new": len(change.new), "still": len(change.still), "gone": len(change.gone)}
        for kind, change in since.changes.items()
    }
    return {"made_at": since.last.made_at, **counts}


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= TEXT else f"{text[: TEXT - 1]}…"
