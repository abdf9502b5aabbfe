"""A response as rows: for programs in columns of plain text, for people as a table or as records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from airflow_imgver.services.waitable import Waitable
from airflow_imgver.text import one_line

_TIME = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?\+00:00\Z")
_TIME_TO_THE_SECOND = re.compile(r"\A(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\dZ)\Z")
_INSIDE_A_NAME = re.compile("(?<=[a-z])(?=[A-Z])")
_BETWEEN_COLUMNS = len(" | ")
# As wide as Airflow's own tables, where the output is not a terminal.
_NO_TERMINAL = 200

Rows = list[dict[str, str]]


def write_plain(value: Any, out: TextIO, service: Waitable) -> None:
    """Write a response, or the result of a query, in columns without lines."""
    from tabulate import tabulate  # type: ignore[import-untyped]  # Airflow's own dependency

    if not (rows := _rows(value, service)):
        out.write("No data found\n")
        return
    # An id of digits with one "e" must not be written as a number.
    text = tabulate(_values(rows), headers=list(rows[0]), tablefmt="plain", disable_numparse=True)
    write_lines(text, out)


def write_table(value: Any, out: TextIO, service: Waitable, color: str) -> None:
    """
    Write a response, or the result of a query, as wide as the terminal.

    No word is broken: where a table is too wide, its times and column names take several lines each; where
    that is too wide too, each row becomes a record, with a line for each field.
    """
    from rich.console import Console

    forced: dict[str, Any] = {"on": {"force_terminal": True}, "off": {"no_color": True}}.get(color, {})
    console = Console(file=out, width=None if out.isatty() else _NO_TERMINAL, **forced)
    if not (rows := _for_eyes(_rows(value, service), service)):
        out.write("No data found\n")
        return
    drawing = _table(rows, console.width) or _table(_squeezed(rows), console.width)
    # rich has an exit status of its own for a pipe that closes.
    with console.capture() as drawn:
        console.print(drawing or _records(rows))
    write_lines(drawn.get(), out)


def write_lines(text: str, out: TextIO) -> None:
    """
    Write a text line by line.

    Python does not report a pipe that closes in the middle of one long write.
    """
    out.writelines(f"{line}\n" for line in text.removesuffix("\n").split("\n"))


def field(value: Any) -> str:
    """Write a value so that AWS's text can neither break the line nor add a column."""
    return one_line(str(value))


def nests(value: Any) -> bool:
    """Whether a value has members."""
    return isinstance(value, Mapping | list)


# --- rows -----------------------------------------------------------------------------------------------

# Version, state, status and reason come first; ids, which the command's options already have, last.


def _first(service: Waitable) -> tuple[str | None, ...]:
    fields = service.fields
    return (fields.number, fields.state, fields.status, fields.reason)


def _is_last(column: str, service: Waitable) -> bool:
    return column == service.key.member or column.endswith("Arn")


def _rows(value: Any, service: Waitable) -> Rows:
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
    return field(json.dumps(value) if nests(value) or isinstance(value, bool) else value)


def _for_eyes(rows: Rows, service: Waitable) -> Rows:
    """Leave out ids, and fractions of seconds, because a terminal has 80 columns."""
    shown = [column for column in (rows[0] if rows else ()) if not _is_last(column, service)]
    if not shown:
        return rows
    return [{column: _TIME.sub(r"\1Z", row[column]) for column in shown} for row in rows]


def _squeezed(rows: Rows) -> Rows:
    """Break times before the time of day, and column names before their capitals."""
    return [
        {
            _INSIDE_A_NAME.sub("\n", column): _TIME_TO_THE_SECOND.sub(r"\1\n\2", cell)
            for column, cell in row.items()
        }
        for row in rows
    ]


# --- drawing --------------------------------------------------------------------------------------------


def _table(rows: Rows, width: int) -> Any:
    """Draw a table; None where a word would have to be broken."""
    from airflow.cli.simple_table import SimpleTable
    from rich.cells import cell_len
    from rich.text import Text

    columns = {column: [column, *(row[column] for row in rows)] for column in rows[0]}
    least = {
        column: max(cell_len(word) for cell in cells for word in (cell.split() or [""]))
        for column, cells in columns.items()
    }
    spare = width - sum(least.values()) - _BETWEEN_COLUMNS * (len(columns) - 1)
    if spare < 0:
        return None
    table = SimpleTable(show_header=True, header_style="bold")
    for column, wide in _shared_out(spare, least, columns).items():
        # As Text, because AWS's texts are not markup.
        table.add_column(Text(column), width=wide)
    for row in _values(rows):
        table.add_row(*map(Text, row))
    return table


def _shared_out(spare: int, least: Mapping[str, int], columns: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Give each column the width that it needs, those that need least first; a long message gets the rest."""
    from rich.cells import cell_len

    missing = {
        column: max(cell_len(line) for cell in cells for line in cell.split("\n")) - least[column]
        for column, cells in columns.items()
    }
    widths = dict(least)
    for column in sorted(missing, key=lambda column: missing[column]):
        more = min(missing[column], spare)
        widths[column] += more
        spare -= more
    return widths


def _records(rows: Rows) -> Any:
    """Draw a line for each field, and an empty line between rows."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    width = max(len(column) for column in rows[0])
    records: list[Any] = []
    for row in rows:
        record = Table.grid(padding=(0, 2, 0, 0))
        record.add_column(style="bold", no_wrap=True, width=width)
        record.add_column(overflow="fold")
        for column, cell in row.items():
            if cell:
                record.add_row(Text(column), Text(cell))
        records += [record, Text()]
    return Group(*records[:-1])


def _values(rows: Iterable[Mapping[str, str]]) -> list[list[str]]:
    return [list(row.values()) for row in rows]
