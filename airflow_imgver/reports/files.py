"""
The files of a report: written to a temporary folder, and published when all of them are complete.

A reader finds the previous report or this one at any time, and never a part of one.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self
from uuid import uuid4

from airflow_imgver.exceptions import ReportNotPublishedError
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.earlier import Since
from airflow_imgver.reports.outputs import PAGE, Output
from airflow_imgver.reports.rows import Row, columns_of
from airflow_imgver.reports.tables import CsvFile, JsonLinesFile, ParquetFile, TableFile
from airflow_imgver.services.description import Service


class Files:
    """
    The files of one report, while it is made.

    A context manager. Until :meth:`publish` the outputs are unchanged; they stay so where it is left without.

    :param outputs: the outputs.
    :param service: the service, whose columns the tables have.
    :param csv_bom: begin CSV files with a byte order mark.
    """

    def __init__(self, outputs: Sequence[Output], service: Service, *, csv_bom: bool = False) -> None:
        self._outputs = list(outputs)
        self._columns = columns_of(service)
        self._csv_bom = csv_bom
        self._leaving = ExitStack()
        self._made: list[Path] = []
        self._open: list[TableFile] = []

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="imgver-report-")))
            self._made = [folder / f"{number}{output.suffix}" for number, output in enumerate(self._outputs)]
            for path in self._made:
                if (file := self._table(path)) is not None:
                    entering.callback(file.close)
                    self._open.append(file)
            self._leaving = entering.pop_all()
        return self

    def _table(self, path: Path) -> TableFile | None:
        match path.suffix:
            case ".csv":
                return CsvFile(path, self._columns, bom=self._csv_bom)
            case ".jsonl":
                return JsonLinesFile(path, self._columns)
            case ".parquet":
                return ParquetFile(path, self._columns)
            case _:
                return None  # the page, which is written at the end

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving.close()

    def add(self, rows: Sequence[Row]) -> None:
        """Write the rows of one image set or image."""
        for file in self._open:
            file.add(rows)

    def publish(self, contents: Contents, since: Since | None = None) -> list[str]:
        """
        Finish all files, and only then replace the outputs.

        :param contents: the contents of the page.
        :param since: the comparison with the report before, for the page.
        :return: the paths of the outputs, in their order.
        :raises ReportNotPublishedError: an output could not be replaced; says which ones are new.
        """
        for file in self._open:
            file.close()
        tables = [str(output) for output in self._outputs if output.suffix != PAGE]
        for path, output in zip(self._made, self._outputs, strict=True):
            if path.suffix == PAGE:
                from airflow_imgver.reports.page import render

                path.write_text(render(contents, tables, str(output), since), encoding="utf-8")
        with ExitStack() as leaving:
            moves = []
            for path, output in zip(self._made, self._outputs, strict=True):
                move, discard = _stage(path, output)
                leaving.callback(discard)
                moves.append(move)
            self._move(moves)
        return [str(output) for output in self._outputs]

    def _move(self, moves: Sequence[Callable[[], None]]) -> None:
        for number, (move, output) in enumerate(zip(moves, self._outputs, strict=True)):
            try:
                move()
            except Exception as error:
                done = ", ".join(map(str, self._outputs[:number])) or "none"
                raise ReportNotPublishedError(
                    f"{output} could not be written ({type(error).__name__}: {error}). "
                    f"These outputs are new: {done}. The others are unchanged."
                ) from error


def publish_text(text: str, output: Output) -> None:
    """Replace one more output, a small one, in one step."""
    with TemporaryDirectory(prefix="imgver-report-") as folder, ExitStack() as leaving:
        made = Path(folder, "text")
        made.write_text(text, encoding="utf-8")
        move, discard = _stage(made, output)
        leaving.callback(discard)
        move()


Staged = tuple[Callable[[], None], Callable[[], None]]
"""Replaces an output with a finished file; and removes what is left of the file beside the output."""


def _stage(made: Path, output: Output) -> Staged:
    """Copy a finished file as close to its output as possible without replacing it."""
    if output.is_local:
        return _stage_file(made, output.file)
    if output.is_in_s3:
        return lambda: _upload(made, output), lambda: None
    return _stage_elsewhere(made, output)


def _stage_file(made: Path, place: Path) -> Staged:
    place.parent.mkdir(parents=True, exist_ok=True)
    # Left by a run that was killed.
    for left in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        left.unlink(missing_ok=True)
    part = place.with_name(f".{place.name}.{uuid4().hex}.part")
    try:
        with made.open("rb") as read, part.open("xb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            # Without it a machine that stops could leave an empty file under the report's name.
            os.fsync(write.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return lambda: os.replace(part, place), lambda: part.unlink(missing_ok=True)


def _upload(made: Path, output: Output) -> None:
    """Upload to S3, where an object appears only when it is complete."""
    bucket, key = output.bucket_and_key
    output.s3.load_file(str(made), key=key, bucket_name=bucket, replace=True)


def _stage_elsewhere(made: Path, output: Output) -> Staged:
    path = output.path
    part = path.parent / f".{path.name}.{uuid4().hex}.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.fs.glob(f"{path.parent.path.rstrip('/')}/.{glob.escape(path.name)}.*.part"):
        path.fs.rm_file(left)

    def discard() -> None:
        if path.fs.exists(part.path):
            path.fs.rm_file(part.path)

    try:
        path.fs.put_file(str(made), part.path)
    except BaseException:
        discard()
        raise
    return lambda: path.fs.mv(part.path, path.path), discard
