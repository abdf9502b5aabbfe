"""The columns of the page's long table: what a person reads first, and only what says something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from airflow_imgver.reports.rows import DERIVED, Row
from airflow_imgver.services.description import Column, Service
from airflow_imgver.text import timestamp

# Shares of the table's width.
_SHARES = {
    "attention": 13,
    "status": 20,
    "message": 25,
    "thing": 19,
    "version": 9,
    "change": 13,
    "text": 11,
    "number": 9,
    "flags": 11,
    "time": 12,
}


class ShownColumn(NamedTuple):
    """
    A column of the table.

    :param kind: how its cells are written.
    :param title: its head.
    :param column: the member of AWS's entry; None where the cell combines several.
    :param width: its share of the table's width, in percent.
    """

    kind: str
    title: str
    column: str | None
    width: float


class ShownColumns(NamedTuple):
    """
    The columns of the table.

    :param shown: the columns, the most telling first.
    :param same: title and value of each column that has one value in all rows; a sentence says them.
    :param flags: the members that are yes or no; a cell names those that are yes.
    """

    shown: list[ShownColumn]
    same: list[tuple[str, str]]
    flags: list[str]


def columns_shown(service: Service, rows: Sequence[Row]) -> ShownColumns:
    """
    Choose the columns for some rows.

    A column without any value is left out, and so is one with the same value in all of several rows.
    """
    found: list[tuple[str, str, str | None]] = [("status", "Status", None)]
    if any(row.attention for row in rows):
        found.insert(0, ("attention", "Attention", None))
    if any(row.status.reason for row in rows):
        found.append(("message", "Message", None))
    found.append(("thing", service.thing.capitalize(), None))
    found += [("version", "Version", None), ("change", "Last change", None)]
    same: list[tuple[str, str]] = []
    flags: list[str] = []
    for column in _others(service):
        values = {row.values[column.name] for row in rows}
        says_something = len(values) > 1 or (len(rows) == 1 and values != {None})
        if says_something and column.type == "truth":
            flags.append(column.name)
        elif says_something:
            found.append((column.type, column.name, column.name))
        elif values - {None}:
            same.append((column.name, _words(values.pop())))
    if flags:
        found.append(("flags", "Flags", None))
    total = sum(_SHARES[kind] for kind, _, _ in found)
    shown = [ShownColumn(*each, width=round(100 * _SHARES[each[0]] / total, 2)) for each in found]
    return ShownColumns(shown, same, flags)


def _others(service: Service) -> list[Column]:
    """Return AWS's members that no other cell shows, without ARNs; the table files have all."""
    fields = service.fields
    told = {field.member for field in service.identity} | {column.name for column in DERIVED}
    told |= {name for name in (fields.number, fields.status, fields.reason, fields.changed[0]) if name}
    return [
        column for column in service.columns if column.name not in told and not column.name.endswith("Arn")
    ]


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return timestamp(value) if isinstance(value, datetime) else str(value)
