"""The base of the hooks: an error of a call says which call it was, for what, and who sent it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from airflow_imgver.hooks.errors import ErrorCodes, call_error, quotes_a_secret


class NamedErrorsHook(AwsGenericHook[Any]):
    """A hook that gives errors of AWS and botocore the names of the call and of its subject."""

    @contextmanager
    def _naming(self, operation: str, about: str, codes: ErrorCodes) -> Iterator[None]:
        """
        Name the errors of a call.

        :param operation: the API operation.
        :param about: what the call is about, with full ids.
        :param codes: the error codes of the service.
        """
        try:
            yield
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            # A traceback prints the cause too; and a variable for it would form a cycle with its frames.
            raise call_error(
                error,
                operation,
                about,
                service=codes,
                sender=self._sender,
                missing_connection=self._missing_connection(),
            ) from (None if quotes_a_secret(error) else error)

    def _missing_connection(self) -> str | None:
        """Return the connection's id where it does not exist; the base class goes on without it."""
        resolved = self.__dict__.get("conn_config")
        return self.aws_conn_id or None if resolved is not None and not resolved else None

    def _sender(self) -> str:
        connection = f"the connection {self.aws_conn_id}" if self.aws_conn_id else "no Airflow connection"
        return f"to {self.conn_region_name} with {connection}"
