"""Rows as CSV, JSON Lines and Parquet: streamed, so that memory does not grow with the report."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_imgver.reports.rows import Row
from airflow_imgver.services.description import Column
from airflow_imgver.text import REPLACEMENT, as_plain, storable

if TYPE_CHECKING:
    import pyarrow

# The rows of one group in a Parquet file, which are kept in memory until they are written.
ROWS_A_GROUP = 10_000

# A spreadsheet runs a cell that begins with one of these as a formula, full-width forms included:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BEGINS = re.compile(rf"\s*(?:{_FORMULA}|[\t\r\n])")
# A reader that splits cells at another separator, for example a semicolon, begins a cell at each of them, and
# drops quotes at its beginning.
_INSIDE = re.compile(rf'([;,|\t\r\n][\s"]*)(?={_FORMULA})')
# Characters that no text file should have; a tab or a line break is quoted.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class TableFile(Protocol):
    """A table that is being written."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None: ...

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows behind those that are there."""

    def close(self) -> None:
        """Write the last rows, and close the file."""


class CsvFile:
    """
    RFC 4180, in UTF-8, every cell except numbers in quotes, with times as ISO 8601 text in UTC.

    A text that a spreadsheet would run as a formula has an apostrophe in front of the formula, and control
    characters are replaced; the other formats keep both. NUL and lone surrogates are replaced everywhere.

    :param path: the file.
    :param columns: they make the header.
    :param bom: begin with a byte order mark, by which Excel recognizes UTF-8.
    """

    def __init__(self, path: Path, columns: Sequence[Column], *, bom: bool = False) -> None:
        self._names = [column.name for column in columns]
        self._file = path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow(self._names)

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows behind those that are there."""
        self._writer.writerows([cell(row.values[name]) for name in self._names] for row in rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def cell(value: Any) -> Any:
    """Return a value as a CSV file shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return as_plain(value)
    if not isinstance(value, str):
        return value
    text = _INSIDE.sub(r"\1'", _CONTROL.sub(REPLACEMENT, storable(value)))
    return f"'{text}" if _BEGINS.match(text) else text


class JsonLinesFile:
    """
    One object a line, numbers as numbers, times as ISO 8601 text in UTC, and texts as AWS sent them.

    All of it is ASCII, so that no character of a message can end a line.

    :param path: the file.
    :param columns: the members of each object.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("w", encoding="ascii", newline="\n")

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows behind those that are there."""
        self._file.writelines(f"{json.dumps(as_plain(row.values))}\n" for row in rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParquetFile:
    """
    Parquet, with columns of whole numbers, truth values and timestamps in UTC, in microseconds.

    Texts are as AWS sent them.

    :param path: the file.
    :param columns: they make the schema.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import pyarrow
        import pyarrow.parquet

        types = {
            "text": pyarrow.string(),
            "number": pyarrow.int64(),
            "truth": pyarrow.bool_(),
            "time": pyarrow.timestamp("us", tz="UTC"),
        }
        self._schema: pyarrow.Schema = pyarrow.schema(
            [(column.name, types[column.type]) for column in columns]
        )
        self._held: list[Row] = []
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows behind those that are there."""
        self._held.extend(rows)
        if len(self._held) >= ROWS_A_GROUP:
            self._write()

    def _write(self) -> None:
        import pyarrow

        rows = [{name: _writable(value) for name, value in row.values.items()} for row in self._held]
        self._held.clear()
        self._writer.write_table(pyarrow.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """Write the last rows, and close the file."""
        try:
            if self._held:
                self._write()
        finally:
            self._writer.close()


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value
