"""
The files of a report: written to a temporary folder, and published when all of them are complete.

A reader finds the previous report or this one at any time, and never a part of one.
"""

from __future__ import annotations

import glob
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
from airflow_imgver.reports.rows import Row, columns_of
from airflow_imgver.reports.tables import CsvFile, JsonLinesFile, ParquetFile, TableFile
from airflow_imgver.services.description import Column, Service

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

PAGE = ".html"
TABLES: Mapping[str, Callable[[Path, Sequence[Column]], TableFile]] = {
    ".csv": CsvFile,
    ".jsonl": JsonLinesFile,
    ".parquet": ParquetFile,
}
SUFFIXES = (PAGE, *TABLES)
# The libraries of a format that Airflow does not bring.
NEEDS = {PAGE: ("jinja2", "matplotlib"), ".parquet": ("pyarrow",)}
EXTRA = "airflow-provider-imgver[report]"
S3 = frozenset({"s3", "s3a"})


def outputs_of(outputs: Sequence[str], conn_id: str | None = None) -> list[ObjectStoragePath]:
    """
    Read the outputs of a report, and refuse those that cannot be written.

    :param outputs: paths and URLs; ``s3://a_connection@bucket/key`` names an Airflow connection.
    :param conn_id: the Airflow connection of URLs on S3 that name none.
    :return: the same as Airflow's paths.
    :raises InvalidOutputError: there is no output, one is given twice, or one cannot be written; says which,
        and what to install where a library is missing.
    """
    if isinstance(outputs, str) or not outputs:
        raise InvalidOutputError(f"outputs must be a list of paths, not {outputs!r}.")
    paths = [_output(output, conn_id) for output in outputs]
    places = [_place(path) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise InvalidOutputError(f"outputs names {path} twice.")
    return paths


def _output(output: str, conn_id: str | None) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath

    if not isinstance(output, str | os.PathLike):
        raise InvalidOutputError(f"outputs must contain paths, not {output!r}.")
    name = PurePosixPath(str(output))
    if name.suffix not in SUFFIXES or str(output).endswith("/"):
        raise InvalidOutputError(
            f"The name of an output must end in {', '.join(SUFFIXES)}, unlike {str(output)!r}."
        )
    if missing := [library for library in NEEDS.get(name.suffix, ()) if find_spec(library) is None]:
        raise InvalidOutputError(
            f"An output in {name.suffix} needs {' and '.join(missing)}: pip install '{EXTRA}'."
        )
    try:
        path = ObjectStoragePath(str(output))
        if path.protocol in S3 and _conn_id(path) is None and conn_id is not None:
            path = ObjectStoragePath(str(output), conn_id=conn_id)
        if path.protocol not in S3 and not _is_local(path):
            _ = path.fs  # older Airflows look for the storage no sooner
    except (ValueError, ImportError) as error:
        raise InvalidOutputError(f"Airflow cannot write to {str(output)!r}: {error}.") from None
    if path.protocol in S3 and not all(part.strip("/") for part in bucket_and_key(path)):
        raise InvalidOutputError(f"An output in S3 needs a bucket and a key, unlike {str(output)!r}.")
    return path


def bucket_and_key(path: ObjectStoragePath) -> tuple[str, str]:
    """Return the bucket of a path on S3, and the key in it."""
    # The attribute of Airflow 3.1 makes the connection a part of the bucket's name.
    bucket, _, key = path.path.partition("/")
    return bucket, key


def _place(path: ObjectStoragePath) -> tuple[str, str | None, str]:
    if _is_local(path):
        return "file", None, os.path.abspath(path.path)
    return path.protocol, _conn_id(path), path.path


class Files:
    """
    The files of one report, while it is made.

    A context manager. Until :meth:`publish` the outputs are unchanged; they stay so where it is left without.

    :param outputs: the outputs, from :func:`outputs_of`.
    :param service: the service, whose columns the tables have.
    """

    def __init__(self, outputs: Sequence[ObjectStoragePath], service: Service) -> None:
        self._outputs = list(outputs)
        self._columns = columns_of(service)
        self._leaving = ExitStack()
        self._aside: list[Path] = []
        self._open: list[TableFile] = []

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="imgver-report-")))
            self._aside = [folder / f"{number}{output.suffix}" for number, output in enumerate(self._outputs)]
            for aside in self._aside:
                if (begin := TABLES.get(aside.suffix)) is not None:
                    file = begin(aside, self._columns)
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
        Finish all files, and only then replace the outputs.

        :param contents: the contents of the page.
        :return: the paths of the outputs, in their order.
        :raises ReportNotPublishedError: an output could not be replaced; says which ones are new.
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
                    f"These outputs are new: {done}. The others are unchanged."
                ) from error


Move = tuple[Callable[[], None], Callable[[], None]]
"""Replaces an output with a finished file; and removes what is left of the file beside the output."""


def _bring_near(aside: Path, output: ObjectStoragePath) -> Move:
    """Copy a file as close to its output as possible without replacing it."""
    if _is_local(output):
        return _bring_beside(aside, Path(output.path))
    if output.protocol in S3:
        return lambda: _upload(aside, output), lambda: None
    return _bring_beside_elsewhere(aside, output)


def _bring_beside(aside: Path, place: Path) -> Move:
    place.parent.mkdir(parents=True, exist_ok=True)
    # Left by a run that was killed.
    for left in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        left.unlink(missing_ok=True)
    part = place.with_name(f".{place.name}.{uuid4().hex}.part")
    try:
        with aside.open("rb") as read, part.open("xb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            # Without it a machine that stops could leave an empty file under the report's name.
            os.fsync(write.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return lambda: os.replace(part, place), lambda: part.unlink(missing_ok=True)


def _upload(aside: Path, output: ObjectStoragePath) -> None:
    """
    Upload to S3, where an object appears only when it is complete.

    The amazon provider's own hook does it, not s3fs, which needs aiobotocore and with it an older boto3.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id=_conn_id(output))
    bucket, key = bucket_and_key(output)
    hook.load_file(str(aside), key=key, bucket_name=bucket, replace=True)


def _bring_beside_elsewhere(aside: Path, output: ObjectStoragePath) -> Move:
    part = output.parent / f".{output.name}.{uuid4().hex}.part"
    output.parent.mkdir(parents=True, exist_ok=True)
    for left in output.fs.glob(f"{output.parent.path.rstrip('/')}/.{glob.escape(output.name)}.*.part"):
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
    # Before Airflow 3.2 a path has it only among its options.
    return path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")


def _text(path: ObjectStoragePath) -> str:
    return os.path.abspath(path.path) if _is_local(path) else str(path)
