"""
The files of a report: written aside, and put into their places when all of them are whole.

A reader who comes at any moment finds the report of before, or this one, and never half of one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from airflow_imgver.exceptions import InvalidOutputError, ReportNotPublishedError
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Row, Table
from airflow_imgver.reports.tables import CsvFile, JsonLinesFile, ParquetFile, TableFile

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

PAGE = ".html"
TABLES: Mapping[str, Callable[[Path, Table], TableFile]] = {
    ".csv": CsvFile,
    ".jsonl": JsonLinesFile,
    ".parquet": ParquetFile,
}
SUFFIXES = (PAGE, *TABLES)
# What a format needs beyond what Airflow brings.
NEEDS = {PAGE: ("jinja2", "matplotlib"), ".parquet": ("pyarrow",)}
EXTRA = "airflow-provider-imgver[report]"
S3 = frozenset({"s3", "s3a"})


def outputs_of(outputs: Sequence[str], conn_id: str | None = None) -> list[ObjectStoragePath]:
    """
    Read where a report goes to, and refuse what cannot become a file of one.

    :param outputs: paths and URLs; ``s3://a_connection@bucket/key`` names an Airflow connection.
    :param conn_id: the Airflow connection of URLs on S3 that name none.
    :return: them, as Airflow's paths.
    :raises InvalidOutputError: none is given, one twice, or one that nothing can be written to; says which,
        and what to install where a library is missing.
    """
    if isinstance(outputs, str) or not outputs:
        raise InvalidOutputError(f"outputs must be a list of paths, not {outputs!r}")
    paths = [_output(output, conn_id) for output in outputs]
    places = [_place(path) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise InvalidOutputError(f"outputs names {path} twice")
    return paths


def _output(output: str, conn_id: str | None) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath

    if not isinstance(output, str | os.PathLike):
        raise InvalidOutputError(f"outputs must hold paths, not {output!r}")
    name = PurePosixPath(str(output))
    if name.suffix not in SUFFIXES or str(output).endswith("/"):
        raise InvalidOutputError(
            f"{str(output)!r} is no place for a report: its name must end in {', '.join(SUFFIXES)}"
        )
    if missing := [library for library in NEEDS.get(name.suffix, ()) if find_spec(library) is None]:
        raise InvalidOutputError(
            f"A report in {name.suffix} needs {' and '.join(missing)}: pip install '{EXTRA}'"
        )
    try:
        path = ObjectStoragePath(str(output))
        if path.protocol in S3 and _conn_id(path) is None and conn_id is not None:
            path = ObjectStoragePath(str(output), conn_id=conn_id)
        if path.protocol not in S3 and not _is_local(path):
            _ = path.fs  # older Airflows look for the storage no sooner
    except (ValueError, ImportError) as error:
        raise InvalidOutputError(f"{str(output)!r} is no place that Airflow can write to: {error}") from None
    if path.protocol in S3 and not all(part.strip("/") for part in bucket_and_key(path)):
        raise InvalidOutputError(f"{str(output)!r} names no bucket and key")
    return path


def bucket_and_key(path: ObjectStoragePath) -> tuple[str, str]:
    """Give the bucket of a path on S3, and the key in it."""
    # Airflow 3.1's own attribute takes the connection for a part of the bucket's name.
    bucket, _, key = path.path.partition("/")
    return bucket, key


def _place(path: ObjectStoragePath) -> tuple[str, str | None, str]:
    if _is_local(path):
        return "file", None, os.path.abspath(path.path)
    return path.protocol, _conn_id(path), path.path


class Files:
    """
    The files of one report, while it is made.

    A context manager. Until :meth:`publish` nothing shows at the places where the report goes to; leaving
    without it leaves them as they were.

    :param outputs: where to, as :func:`outputs_of` gives it.
    :param table: whose columns.
    """

    def __init__(self, outputs: Sequence[ObjectStoragePath], table: Table) -> None:
        self._outputs = list(outputs)
        self._table = table
        self._leaving = ExitStack()
        self._aside: list[Path] = []
        self._open: list[TableFile] = []

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="imgver-report-")))
            self._aside = [folder / f"{number}{output.suffix}" for number, output in enumerate(self._outputs)]
            for aside in self._aside:
                if (begin := TABLES.get(aside.suffix)) is not None:
                    file = begin(aside, self._table)
                    entering.callback(file.close)
                    self._open.append(file)
            self._leaving = entering.pop_all()
        return self

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

    def publish(self, contents: Contents) -> list[str]:
        """
        Finish all files, and only then put them into their places.

        :param contents: what the page says.
        :return: where they are, in the order of the outputs.
        :raises ReportNotPublishedError: one could not be put into its place; says which ones are new.
        """
        for file in self._open:
            file.close()
        tables = [_text(output) for output in self._outputs if output.suffix != PAGE]
        for aside in self._aside:
            if aside.suffix == PAGE:
                from airflow_imgver.reports.page import render

                aside.write_text(render(contents, tables), encoding="utf-8")
        with ExitStack() as leaving:
            moves = []
            for aside, output in zip(self._aside, self._outputs, strict=True):
                move, forget = _bring_near(aside, output)
                leaving.callback(forget)
                moves.append(move)
            self._move(moves)
        return [_text(output) for output in self._outputs]

    def _move(self, moves: Sequence[Callable[[], None]]) -> None:
        for number, (move, output) in enumerate(zip(moves, self._outputs, strict=True)):
            try:
                move()
            except Exception as error:
                done = ", ".join(map(_text, self._outputs[:number])) or "none"
                raise ReportNotPublishedError(
                    f"{_text(output)} could not be written ({type(error).__name__}: {error}). "
                    f"Of the report's files, these are new: {done}; the others are as they were."
                ) from error


Move = tuple[Callable[[], None], Callable[[], None]]
"""What puts a file into its place, and what takes away what is left of it beside that place."""


def _bring_near(aside: Path, output: ObjectStoragePath) -> Move:
    """Bring a file as near to its place as can be without being seen there."""
    if _is_local(output):
        return _bring_beside(aside, Path(output.path))
    if output.protocol in S3:
        return lambda: _upload(aside, output), lambda: None
    return _bring_beside_elsewhere(aside, output)


def _bring_beside(aside: Path, place: Path) -> Move:
    place.parent.mkdir(parents=True, exist_ok=True)
    # What a run that was killed has left.
    for left in place.parent.glob(f".{_literal(place.name)}.*.part"):
        left.unlink(missing_ok=True)
    part = place.with_name(f".{place.name}.{uuid4().hex}.part")
    try:
        with aside.open("rb") as read, part.open("xb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            # Else a machine that stops could leave an empty file under the report's name.
            os.fsync(write.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return lambda: os.replace(part, place), lambda: part.unlink(missing_ok=True)


def _upload(aside: Path, output: ObjectStoragePath) -> None:
    """
    Upload to S3, where an object shows when all of it is there.

    By the amazon provider's own hook and not through s3fs, which brings aiobotocore and takes boto3 back.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id=_conn_id(output))
    bucket, key = bucket_and_key(output)
    hook.load_file(str(aside), key=key, bucket_name=bucket, replace=True)


def _bring_beside_elsewhere(aside: Path, output: ObjectStoragePath) -> Move:
    part = output.parent / f".{output.name}.{uuid4().hex}.part"
    output.parent.mkdir(parents=True, exist_ok=True)
    for left in output.fs.glob(f"{output.parent.path.rstrip('/')}/.{_literal(output.name)}.*.part"):
        output.fs.rm_file(left)

    def forget() -> None:
        if output.fs.exists(part.path):
            output.fs.rm_file(part.path)

    try:
        output.fs.put_file(str(aside), part.path)
    except BaseException:
        forget()
        raise
    return lambda: output.fs.mv(part.path, output.path), forget


def _is_local(path: ObjectStoragePath) -> bool:
    return path.protocol in ("", "file", "local")


def _conn_id(path: ObjectStoragePath) -> str | None:
    # Before Airflow 3.2 a path keeps it among its options alone.
    return path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")


def _literal(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _text(path: ObjectStoragePath) -> str:
    return os.path.abspath(path.path) if _is_local(path) else str(path)
