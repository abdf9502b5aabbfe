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


class Output:
    """
    One output of a report.

    :param given: the path or URL; ``s3://a_connection@bucket/key`` names an Airflow connection.
    :param connection: the operator's connection settings, as a hook takes them; S3 is reached with them too.
    :raises InvalidOutputError: nothing can be written to it, or a library is missing.
    """

    def __init__(self, given: str, connection: Mapping[str, Any]) -> None:
        if not isinstance(given, str | os.PathLike):
            raise InvalidOutputError(f"outputs must contain paths, not {given!r}.")
        text = os.path.expanduser(given)
        self.suffix = PurePosixPath(text).suffix
        if self.suffix not in SUFFIXES or text.endswith("/"):
            raise InvalidOutputError(
                f"The name of an output must end in {', '.join(SUFFIXES)}, unlike {str(given)!r}."
            )
        if missing := [library for library in NEEDS.get(self.suffix, ()) if find_spec(library) is None]:
            raise InvalidOutputError(
                f"An output in {self.suffix} needs {' and '.join(missing)}: pip install '{EXTRA}'."
            )
        self._connection = connection
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


def _is_local(path: ObjectStoragePath) -> bool:
    return path.protocol in ("", "file", "local")


def _conn_id(path: ObjectStoragePath) -> str | None:
    # Before Airflow 3.2 a path keeps it among its options alone.
    return path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")
