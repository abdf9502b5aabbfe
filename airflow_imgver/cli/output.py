"""A response as text, in the forms of ``--output``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TextIO

from airflow_imgver.services.waitable import Waitable
from airflow_imgver.text import one_line

# Characters that JSON leaves unescaped and a terminal obeys: controls, and those that turn or hide text.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def write(value: Any, form: str, out: TextIO, *, service: Waitable, color: str = "auto") -> None:
    """
    Write a response, or the result of a query.

    :param form: ``json``, ``yaml``, ``table``, ``plain`` or ``text``.
    :param service: what it is about, for the order of a table's columns.
    :param color: ``on``, ``off`` or ``auto``; for a table.
    """
    if form == "json":
        write_lines(as_json(value), out)
    elif form == "yaml":
        write_lines(_yaml(value), out)
    elif form == "text":
        write_text(value, out)
    elif form == "plain":
        _write_plain(_rows(value, service), out)
    else:
        _write_table(_for_eyes(_rows(value, service), service), out, color)


def write_lines(text: str, out: TextIO) -> None:
    """
    Write a text line by line.

    Python does not report a pipe that closes in the middle of one long write.
    """
    out.writelines(f"{line}\n" for line in text.removesuffix("\n").split("\n"))


def write_text(value: Any, out: TextIO) -> None:
    """Write a response, or a page of one, in the form of ``--output text``."""
    out.writelines(f"{line}\n" for line in text_lines(value))


def as_json(value: Any) -> str:
    """Write JSON as the AWS CLI does: indented by four, letters of all languages as they are."""
    text = json.dumps(value, indent=4, ensure_ascii=False, default=datetime.isoformat)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _yaml(value: Any) -> str:
    from airflow.utils import yaml

    return str(yaml.dump(value, sort_keys=False))


# --- text -----------------------------------------------------------------------------------------------

# The AWS CLI's form: a line for each entry, its fields in the order of their names with tabs between them,
# and the name of the list in front; entries of one list have the same columns; nested values follow.


def text_lines(value: Any, name: str | None = None) -> Iterator[str]:
    """
    Write a response as the AWS CLI's ``--output text`` does.

    :param value: the response, or the result of a query.
    :param name: the name of the member that holds the value.
    """
    if isinstance(value, Mapping):
        yield from _text_of_mapping(value, name, None)
    elif isinstance(value, list):
        yield from _text_of_list(value, name)
    else:
        yield _field(value)


def _text_of_mapping(value: Mapping[str, Any], name: str | None, columns: list[str] | None) -> Iterator[str]:
    if columns is None:
        columns = sorted(key for key, member in value.items() if not _nests(member))
    if columns:
        label = [] if name is None else [name.upper()]
        yield "\t".join([*label, *(_field(value.get(column, "")) for column in columns)])
    for key in sorted(value.keys() - set(columns)):
        yield from text_lines(value[key], key)


def _text_of_list(value: list[Any], name: str | None) -> Iterator[str]:
    mappings = [member for member in value if isinstance(member, Mapping)]
    if mappings:
        columns = sorted({key for each in mappings for key, member in each.items() if not _nests(member)})
        for member in value:
            if isinstance(member, Mapping):
                yield from _text_of_mapping(member, name, columns)
            else:
                yield from text_lines(member, name)
        return
    plain = [_field(member) for member in value if not _nests(member)]
    if plain and name is None:
        yield "\t".join(plain)
    elif name is not None:
        yield from (f"{name.upper()}\t{member}" for member in plain)
    for member in value:
        if _nests(member):
            yield from text_lines(member, name)


def _nests(value: Any) -> bool:
    return isinstance(value, Mapping | list)


def _field(value: Any) -> str:
    """Write a value so that AWS's text can neither break the line nor add a column."""
    return one_line(str(value))


# --- tables ---------------------------------------------------------------------------------------------

# Version, state, status and reason come first; ids, which the command's options already have, last.


def _first(service: Waitable) -> tuple[str | None, ...]:
    fields = service.fields
    return (fields.number, fields.state, fields.status, fields.reason)


def _is_last(column: str, service: Waitable) -> bool:
    return column == service.key.member or column.endswith("Arn")


_TIME = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?\+00:00\Z")
_NOT_FOLDED = len("2023-03-28T18:12:06Z")


def _rows(value: Any, service: Waitable) -> list[dict[str, str]]:
    """Make rows with the same columns of a response, or of the result of a query."""
    if isinstance(value, Mapping) and (lists := [held for held in value.values() if isinstance(held, list)]):
        value = lists[0]
    if value is None:
        return []
    members = [_row(member) for member in (value if isinstance(value, list) else [value])]
    columns = list(dict.fromkeys(key for member in members for key in member))
    first = [column for column in _first(service) if column in columns]
    last = [column for column in columns if _is_last(column, service)]
    ordered = [*first, *(column for column in columns if column not in {*first, *last}), *last]
    return [{column: _cell(member.get(column, "")) for column in ordered} for member in members]


def _row(member: Any) -> Mapping[str, Any]:
    if isinstance(member, Mapping):
        return member
    if isinstance(member, list):
        return {str(number): value for number, value in enumerate(member, start=1)}
    return {"value": member}


def _cell(value: Any) -> str:
    return _field(json.dumps(value) if _nests(value) or isinstance(value, bool) else value)


def _for_eyes(rows: list[dict[str, str]], service: Waitable) -> list[dict[str, str]]:
    """Leave out ids, and fractions of seconds, because a terminal has 80 columns."""
    shown = [column for column in (rows[0] if rows else ()) if not _is_last(column, service)]
    if not shown:
        return rows
    return [{column: _TIME.sub(r"\1Z", row[column]) for column in shown} for row in rows]


def _write_plain(rows: list[dict[str, str]], out: TextIO) -> None:
    from tabulate import tabulate  # type: ignore[import-untyped]  # Airflow's own dependency

    if not rows:
        out.write("No data found\n")
        return
    # An id of digits with one "e" must not be written as a number.
    text = tabulate(_values(rows), headers=list(rows[0]), tablefmt="plain", disable_numparse=True)
    write_lines(text, out)


def _write_table(rows: list[dict[str, str]], out: TextIO, color: str) -> None:
    from airflow.cli.simple_table import SimpleTable
    from rich.console import Console
    from rich.text import Text

    forced: dict[str, Any] = {"on": {"force_terminal": True}, "off": {"no_color": True}}.get(color, {})
    # As wide as Airflow's own tables, where the output is not a terminal.
    console = Console(file=out, width=None if out.isatty() else 200, **forced)
    if not rows:
        out.write("No data found\n")
        return
    table = SimpleTable(show_header=True, header_style="bold")
    widest = {column: max(len(row[column]) for row in rows) for column in rows[0]}
    # A long message is folded before a status or a time. Where the width is too small, every column may be:
    # rich would otherwise cut a column off to keep a minimum width.
    least = {column: max(min(width, _NOT_FOLDED), len(column)) for column, width in widest.items()}
    fits = console.width >= sum(width + len(" | ") for width in least.values())
    for column, width in widest.items():
        table.add_column(column, min_width=width if fits and width <= _NOT_FOLDED else None)
    for row in _values(rows):
        # As Text, because AWS's texts are not markup.
        table.add_row(*map(Text, row))
    # rich has an exit status of its own for a pipe that closes.
    with console.capture() as drawn:
        console.print(table)
    write_lines(drawn.get(), out)


def _values(rows: Iterable[Mapping[str, str]]) -> list[list[str]]:
    return [list(row.values()) for row in rows]
