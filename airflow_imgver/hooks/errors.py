"""What an error of AWS's or botocore's means for a caller: try again, sign in again, or give up."""

from __future__ import annotations

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
from airflow_imgver.versions import one_line

_MISSING = frozenset({"ResourceNotFoundException", "ResourceNotFound"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_TRANSIENT = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalServerException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        # HealthImaging's word, on reads too, for "not consistent yet, retry after a few seconds".
        "ConflictException",
    }
)

_ADVICE: dict[type[Exception], str] = {
    NoCredentialsError: "Give the Airflow connection an access key or a role, or the process a profile.",
    PartialCredentialsError: "Complete the credentials of the Airflow connection.",
    NoRegionError: "Set region_name on the task or on the Airflow connection.",
}


# What AWS's complaint about a signature and Python's about a header quote may be a session token.
_CANONICAL_STRING = "The Canonical String"
_ILLEGAL_HEADER = "Invalid header value"


def quotes_a_credential(error: Exception) -> bool:
    """Tell whether the words of an error may hold the connection's own credentials."""
    return any(words in str(error) for words in (_CANONICAL_STRING, _ILLEGAL_HEADER))


def call_error(
    error: ClientError | BotoCoreError | ResponseParserError, operation: str, about: str
) -> AwsCallError:
    """
    Name a failed call.

    :param error: what boto3 raised.
    :param operation: the API operation.
    :param about: what was asked about, in words.
    :return: :class:`ResourceMissingError` where AWS says that it does not exist, else
        :class:`AwsCallError`, which knows whether another try can help.
    """
    if isinstance(error, ClientError):
        return _refusal(error, operation, about)
    code = type(error).__name__
    if _ILLEGAL_HEADER in str(error):
        return AwsCallError(
            f"{operation} for {about} was not sent: a key or a token of the Airflow connection holds a "
            "character, a line break say, that no HTTP header can carry. Take it out of the connection.",
            operation=operation,
            code=code,
        )
    advice = _ADVICE.get(type(error), "")
    return AwsCallError(
        f"{operation} for {about} got no answer: {code}: {one_line(str(error))} {advice}".rstrip(),
        operation=operation,
        code=code,
        # A container's or an instance's credential service that does not answer may answer the next time.
        transient=isinstance(
            error, ConnectionError | HTTPClientError | ResponseParserError | CredentialRetrievalError
        ),
    )


def _refusal(error: ClientError, operation: str, about: str) -> AwsCallError:
    details = error.response.get("Error", {})
    code = details.get("Code", "Unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    words = (details.get("Message") or "").partition(_CANONICAL_STRING)[0].rstrip()
    message = f"{operation} for {about} was refused: {one_line(code)}: {one_line(words)}"
    if code in _MISSING:
        return ResourceMissingError(message.rstrip(": "), operation=operation, code=code)
    return AwsCallError(
        message.rstrip(": "),
        operation=operation,
        code=code,
        transient=code in _TRANSIENT or status == 429 or status >= 500,
        expired=code in _EXPIRED,
    )
