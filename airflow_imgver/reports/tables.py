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
from airflow_imgver.text import as_plain

if TYPE_CHECKING:
    import pyarrow

# The rows of one group in a Parquet file, which are kept in memory until they are written.
ROWS_A_GROUP = 10_000

# A spreadsheet takes a cell that begins with one of these for a formula, and runs it:
# https://owasp.org/www-community/attacks/CSV_Injection, with the full-width forms that some also take.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
# Characters that no text file should have; a tab or a line break is quoted.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


class TableFile(Protocol):
    """A table that is being written."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None: ...

    def add(self, rows: Sequence[Row]) -> None:
        """Write rows behind those that are there."""

    def close(self) -> None:
        """Write the last rows, and close the file."""


class CsvFile:
    """
    RFC 4180, in UTF-8 without a byte order mark, with times as ISO 8601 text in UTC.

    A text that a spreadsheet would run as a formula has an apostrophe in front, and control characters are
    replaced; the other formats keep both as AWS sent them.

    :param path: the file.
    :param columns: they make the header.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._names = [column.name for column in columns]
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\r\n")
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
    text = _SURROGATE.sub(REPLACEMENT, _CONTROL.sub(REPLACEMENT, value))
    return f"'{text}" if _FORMULA.match(text) else text


class JsonLinesFile:
    """
    One object a line, numbers as numbers, times as ISO 8601 text in UTC, and every text just as AWS sent it.

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

    Texts are as AWS sent them, except that half a surrogate pair, which UTF-8 cannot encode, is replaced.

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
        return _SURROGATE.sub(REPLACEMENT, value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value
