"""The outputs of a report: where it is written, all checked before the first request about versions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_imgver.exceptions import InvalidOutputError
from airflow_imgver.text import sentence

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.sdk import ObjectStoragePath

PAGE = ".html"
SUFFIXES = (PAGE, ".csv", ".jsonl", ".parquet")
# The libraries of a format that Airflow does not bring.
NEEDS = {PAGE: ("jinja2", "matplotlib"), ".parquet": ("pyarrow",)}
EXTRA = "airflow-provider-imgver[report]"
S3 = frozenset({"s3", "s3a"})
SUMMARY = ".json"
# What a page's name ends in, and what the name of the summary beside it does.
BESIDE_A_PAGE = ".summary.json"


class Output:
    """
    One output of a report.

    :param given: the path or URL; ``s3://a_connection@bucket/key`` names an Airflow connection.
    :param connection: the operator's connection settings, as a hook takes them; S3 is reached with them too.
    :param suffixes: what its name may end in.
    :param argument: the operator's argument, for the error.
    :raises InvalidOutputError: nothing can be written to it, or a library is missing.
    """

    def __init__(
        self,
        given: str,
        connection: Mapping[str, Any],
        suffixes: Sequence[str] = SUFFIXES,
        argument: str = "outputs",
    ) -> None:
        if not isinstance(given, str | os.PathLike):
            raise InvalidOutputError(f"{argument} must contain paths, not {given!r}.")
        text = os.path.expanduser(given)
        self.suffix = PurePosixPath(text).suffix
        if self.suffix not in suffixes or text.endswith("/"):
            what = "an output" if argument == "outputs" else argument
            raise InvalidOutputError(
                f"The name of {what} must end in {', '.join(suffixes)}, unlike {str(given)!r}."
            )
        if missing := [library for library in NEEDS.get(self.suffix, ()) if find_spec(library) is None]:
            raise InvalidOutputError(
                f"An output in {self.suffix} needs {' and '.join(missing)}: pip install '{EXTRA}'."
            )
        self._connection = connection
        self._text = text
        self.path = self._open(text)

    def _open(self, text: str) -> ObjectStoragePath:
        from airflow.sdk import ObjectStoragePath

        try:
            path = ObjectStoragePath(text)
            conn_id = self._connection.get("aws_conn_id")
            if path.protocol in S3 and _conn_id(path) is None and conn_id is not None:
                path = ObjectStoragePath(text, conn_id=conn_id)
            if path.protocol not in S3 and not _is_local(path):
                _ = path.fs  # older Airflows look for the storage no sooner
        except (ValueError, ImportError) as error:
            raise InvalidOutputError(f"Airflow cannot write to {text!r}: {error}.") from None
        return path

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return _is_local(self.path)

    @property
    def is_in_s3(self) -> bool:
        """Whether it is an object in S3."""
        return self.path.protocol in S3

    @property
    def file(self) -> Path:
        """The file of this machine; the target of a symbolic link, so that the link stays."""
        return Path(os.path.realpath(self.path.path))

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """The bucket in S3, and the key in it."""
        # The attribute of Airflow 3.1 makes the connection a part of the bucket's name.
        bucket, _, key = self.path.path.partition("/")
        return bucket, key

    @property
    def place(self) -> tuple[str, str | None, str]:
        """What two outputs of the same file have in common."""
        if self.is_local:
            return "file", None, str(self.file)
        return self.path.protocol, _conn_id(self.path), self.path.path

    @cached_property
    def s3(self) -> S3Hook:
        """
        The hook for S3, with the operator's connection settings.

        The amazon provider's own hook, not s3fs, which needs aiobotocore and with it an older boto3.
        """
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        conn_id = _conn_id(self.path)
        own = conn_id == self._connection.get("aws_conn_id")
        # Another connection has a region of its own; the network, and so TLS and proxy, is the operator's.
        region = self._connection.get("region_name") if own else None
        return S3Hook(**{**self._connection, "aws_conn_id": conn_id, "region_name": region})

    def __str__(self) -> str:
        return os.path.abspath(self.path.path) if self.is_local else str(self.path)

    def beside(self) -> Output:
        """Return the summary beside this page."""
        name = self._text.removesuffix(self.suffix) + BESIDE_A_PAGE
        return Output(name, self._connection, (SUMMARY,), "summary_file")

    def read(self, most: int) -> bytes | None:
        """
        Read what it holds.

        :param most: how many bytes at the most.
        :return: None where there is no such file or object.
        """
        if self.is_in_s3:
            return self._read_from_s3(most)
        try:
            if self.is_local:
                with self.file.open("rb") as local:
                    return local.read(most)
            with self.path.fs.open(self.path.path, "rb") as elsewhere:
                return bytes(elsewhere.read(most))
        except FileNotFoundError:
            return None

    def _read_from_s3(self, most: int) -> bytes | None:
        from botocore.exceptions import ClientError

        bucket, key = self.bucket_and_key
        client: Any = self.s3.conn
        try:
            with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
                return bytes(body.read(most))
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return None
            raise

    # --- checks ---

    def check(self) -> None:
        """
        Check that it can be written, as far as that shows before it is.

        :raises InvalidOutputError: it cannot.
        """
        if self.is_local:
            self._check_file()
        elif self.is_in_s3:
            self._check_bucket()
        elif self.path.is_dir():
            raise InvalidOutputError(f"{self} is a folder, not a file.")

    def _check_file(self) -> None:
        file = self.file
        if file.is_dir():
            raise InvalidOutputError(f"{self} is a folder, not a file.")
        nearest = next(parent for parent in file.parents if parent.exists())
        if not nearest.is_dir():
            raise InvalidOutputError(f"{self} cannot be written: {nearest} is a file, not a folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise InvalidOutputError(f"{self} cannot be written: no permission to write to {nearest}.")

    def _check_bucket(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        bucket, key = self.bucket_and_key
        if not bucket.strip("/") or not key.strip("/"):
            raise InvalidOutputError(f"An output in S3 needs a bucket and a key, unlike {self}.")
        try:
            client: Any = self.s3.conn
            client.head_bucket(Bucket=bucket)
        except ClientError as error:
            # A policy may allow to write objects and not to ask for the bucket.
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                raise InvalidOutputError(
                    f"{self} cannot be written: bucket {bucket} does not exist."
                ) from None
        except (BotoCoreError, ValueError) as error:
            # ValueError is boto3's own for an endpoint that is not a URL.
            reason = sentence(f"{type(error).__name__}: {error}")
            raise InvalidOutputError(
                f"{self} cannot be written: {reason} {self._missing_connection()}".rstrip()
            ) from error

    def _missing_connection(self) -> str:
        """Say so where the connection does not exist; the hook goes on with boto3's own credentials."""
        from airflow.providers.common.compat.sdk import AirflowNotFoundException

        conn_id = _conn_id(self.path)
        try:
            if conn_id is not None:
                self.s3.get_connection(conn_id)
        except AirflowNotFoundException:
            return f"The Airflow connection {conn_id} does not exist."
        return ""


def outputs_of(outputs: Sequence[str], connection: Mapping[str, Any] | None = None) -> list[Output]:
    """
    Read the outputs of a report, and check that they can be written.

    :param outputs: paths and URLs.
    :param connection: the operator's connection settings, as a hook takes them; None for boto3's own.
    :raises InvalidOutputError: there is no output, one is given twice, or one cannot be written; says which,
        and what to install where a library is missing.
    """
    if isinstance(outputs, str) or not outputs:
        raise InvalidOutputError(f"outputs must be a list of paths, not {outputs!r}.")
    read = [Output(output, connection or {}) for output in outputs]
    places = [output.place for output in read]
    for output in read:
        if places.count(output.place) > 1:
            raise InvalidOutputError(f"outputs names {output} twice.")
    for output in read:
        output.check()
    return read


def summary_of(
    given: str | None, outputs: Sequence[Output], connection: Mapping[str, Any] | None = None
) -> Output | None:
    """
    Return the file of the summary: the one given, or the one beside the first page; None without both.

    :param given: a path or URL that ends in ``.json``.
    :param outputs: the outputs of the report.
    :param connection: the operator's connection settings.
    :raises InvalidOutputError: it cannot be written.
    """
    if given:
        output = Output(given, connection or {}, (SUMMARY,), "summary_file")
        output.check()
        return output
    return next((output.beside() for output in outputs if output.suffix == PAGE), None)


def _is_local(path: ObjectStoragePath) -> bool:
    return path.protocol in ("", "file", "local")


def _conn_id(path: ObjectStoragePath) -> str | None:
    # Before Airflow 3.2 a path keeps it among its options alone.
    return path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")
