"""What an error of AWS or botocore means for a caller: try again, sign in again, or give up."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import AwsCallError, ResourceMissingError
from airflow_imgver.text import one_line, sentence


class ErrorCodes(Protocol):
    """The error codes of a service: its description, or what else has these two."""

    @property
    def missing_codes(self) -> frozenset[str]:
        """Those that mean that it does not exist."""

    @property
    def transient_codes(self) -> frozenset[str]:
        """The service's own that mean that the same call may succeed later."""


_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_THROTTLING = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "EC2ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "SlowDown",
        "PriorRequestNotComplete",
    }
)
"""The error codes that botocore's retries count as throttling, in every service."""
_TOO_MANY_REQUESTS = 429

_TRANSIENT = _THROTTLING | frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalServerException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
"""The error codes that all of AWS shares; a service's description adds its own."""

_ADVICE: dict[type[Exception], str] = {
    NoCredentialsError: "Give the Airflow connection an access key or a role, or the process a profile.",
    PartialCredentialsError: "Complete the credentials of the Airflow connection.",
    NoRegionError: "Set region_name on the task or on the Airflow connection.",
}

# AWS's error about a signature and Python's about a header may quote a session token.
_CANONICAL_STRING = "The Canonical String"
_ILLEGAL_HEADER = "Invalid header value"


def is_throttling(answer: Mapping[str, Any]) -> bool:
    """
    Return whether AWS refused a request because there were too many.

    :param answer: boto3's answer, or the ``response`` of its error.
    """
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == _TOO_MANY_REQUESTS or answer.get("Error", {}).get("Code") in _THROTTLING


def quotes_a_secret(error: Exception) -> bool:
    """Return whether the text of an error may hold credentials, or an answer about patients."""
    if isinstance(error, ResponseParserError):
        return True
    return any(text in str(error) for text in (_CANONICAL_STRING, _ILLEGAL_HEADER))


def check_ca_bundle(verify: bool | str | None) -> None:
    """
    Check the CA bundle of a connection, for which botocore reports only that it could not connect.

    :param verify: the connection's ``verify``; a path is a CA bundle.
    :raises AwsCallError: it is not a file with certificates.
    """
    path = verify if isinstance(verify, str) else os.environ.get("AWS_CA_BUNDLE") if verify is None else None
    if not path:
        return
    try:
        # A folder of certificates is as good to Python's ssl.
        folder = os.path.isdir(path)
        ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except (OSError, ssl.SSLError) as error:
        raise AwsCallError(
            f"The CA bundle {path} cannot be read: {sentence(str(error))} "
            "Give verify the path of a file with certificates in PEM format.",
            code=type(error).__name__,
        ) from error


def call_error(
    error: ClientError | BotoCoreError | ResponseParserError,
    operation: str,
    about: str,
    *,
    service: ErrorCodes,
    sender: Callable[[], str],
    missing_connection: str | None = None,
) -> AwsCallError:
    """
    Name a failed call.

    :param error: boto3's error.
    :param operation: the API operation.
    :param about: what the call was about, with full ids.
    :param service: the service, which has error codes of its own.
    :param sender: returns the region and the connection of the call.
    :param missing_connection: the id of the Airflow connection, where it does not exist.
    :return: :class:`ResourceMissingError` where AWS says that it does not exist, else
        :class:`AwsCallError`, which says whether another try can help.
    """
    about = f"The call was for {about}."
    if isinstance(error, ClientError):
        return _refusal(error, operation, about, service, sender)
    code = type(error).__name__
    if isinstance(error, ResponseParserError):
        # botocore quotes the whole answer, and a search's is about patients.
        return AwsCallError(
            f"{operation} got an answer that cannot be read.",
            about=about,
            operation=operation,
            code=code,
            transient=True,
            answered=True,
        )
    if _ILLEGAL_HEADER in str(error):
        return AwsCallError(
            f"{operation} was not sent: a key or a token of the Airflow connection holds a character that no "
            "HTTP header can carry, for example a line break. Remove it from the connection.",
            about=about,
            operation=operation,
            code=code,
        )
    advice = _ADVICE.get(type(error), "")
    if isinstance(error, NoRegionError | NoCredentialsError) and missing_connection:
        advice = f"The Airflow connection {missing_connection} does not exist. Create it, or {_lower(advice)}"
    return AwsCallError(
        f"{operation} got no answer: {code}: {sentence(str(error))} {advice}".rstrip(),
        about=about,
        operation=operation,
        code=code,
        # A container's or an instance's credential service that does not answer may answer the next time.
        transient=isinstance(error, ConnectionError | HTTPClientError | CredentialRetrievalError)
        and not _is_malformed(error),
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _is_malformed(error: Exception) -> bool:
    """Return whether an address, for example of a proxy, can never be valid."""
    return isinstance(getattr(error, "kwargs", {}).get("error"), ValueError)


def _refusal(
    error: ClientError, operation: str, about: str, service: ErrorCodes, sender: Callable[[], str]
) -> AwsCallError:
    details = error.response.get("Error", {})
    code = details.get("Code", "Unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = (details.get("Message") or "").partition(_CANONICAL_STRING)[0].strip()
    message = f"{one_line(code)} from {operation}{f': {sentence(text)}' if text else '.'}"
    if code in service.missing_codes:
        # The right id with the wrong region or account is the usual reason.
        return ResourceMissingError(
            f"{message} The call went {sender()}.",
            about=about,
            operation=operation,
            code=code,
            answered=True,
        )
    throttled = is_throttling(error.response)
    return AwsCallError(
        message,
        about=about,
        operation=operation,
        code=code,
        transient=code in _TRANSIENT | service.transient_codes or throttled or status >= 500,
        expired=code in _EXPIRED,
        answered=True,
        throttled=throttled,
    )
