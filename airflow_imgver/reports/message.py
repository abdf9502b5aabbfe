"""The message of a report, ready to send: one sentence, three lines of text, or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from airflow_imgver.reports.addresses import anchor, console_address_of_object
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.outputs import PAGE
from airflow_imgver.reports.rows import Row
from airflow_imgver.text import counted, duration, joined, number, one_line, storable

# A chat shows a few lines; the page has the whole message.
REASON = 200


def headline(contents: Contents) -> str:
    """Say in one sentence what needs attention."""
    needs = contents.needs_attention
    parts = [f"{number(needs[kind])} {kind}" for kind in ("failed", "stuck") if needs[kind]]
    sentences = [joined(parts)] if parts else []
    if needs["unreadable"]:
        sentences.append(f"{counted(needs['unreadable'], contents.service.thing)} could not be read")
    return "; ".join(sentences) or "Nothing needs attention"


def lines(contents: Contents, paths: Sequence[str]) -> list[str]:
    """
    Return the message as at most three lines: what and where, the first finding, the page.

    :param contents: the contents of the report.
    :param paths: the files of the report.
    """
    scope = contents.scope
    found = [f"{headline(contents)}: {one_line(scope.where)}, changes of {scope.interval}"]
    if (first := _first(contents)) is not None:
        found.append(first)
    return [*found, _place(contents, paths)]


def as_text(contents: Contents, paths: Sequence[str]) -> str:
    """Return the message as plain text."""
    return storable("\n".join(lines(contents, paths)))


def as_html(contents: Contents, paths: Sequence[str]) -> str:
    """Return the message as HTML, with AWS's text escaped, and a link to a page in S3."""
    head, *first, place = (escape(line) for line in lines(contents, paths))
    address = console_address_of_object(contents.scope.region, contents.scope.partition, _page(paths))
    shown = f"<code>{place}</code>" if address is None else f'<a href="{escape(address)}">{place}</a>'
    return storable(
        f"<p><strong>{head}</strong></p>{''.join(f'<p>{line}</p>' for line in first)}<p>{shown}</p>"
    )


def _page(paths: Sequence[str]) -> str:
    return next((path for path in paths if path.endswith(PAGE)), paths[0] if paths else "")


def _place(contents: Contents, paths: Sequence[str]) -> str:
    """Return the page with the anchor of the first finding, or the first file where there is no page."""
    page, row = _page(paths), _row(contents)
    if not page.endswith(PAGE) or row is None or row.attention is None:
        return one_line(page)
    return one_line(f"{page}#{anchor(row.attention, row.name, row.status.number)}")


def _row(contents: Contents) -> Row | None:
    """Return the newest failure that needs attention, or what has been stuck for longest."""
    return next((row for row in (*contents.failed.first[:1], *contents.stuck.first[:1]) if row.is_open), None)


def _first(contents: Contents) -> str | None:
    row, thing = _row(contents), contents.service.thing
    if row is None:
        if not contents.unreadable:
            return None
        return _cut(f"First: {contents.unreadable[0].reason}")
    what = f"First: {row.status.status}, version {row.status.number} of {thing} {row.name}"
    if row.attention == "stuck":
        return one_line(f"{what}, for {duration(row.age_seconds or 0)}")
    return f"{one_line(what)}: {_cut(row.status.reason or 'AWS gave no reason')}"


def _cut(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= REASON else f"{shown[: REASON - 1]}…"
