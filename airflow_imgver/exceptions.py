"""
Named errors, none a subclass of ``AirflowException``.

A deferred sensor under ``soft_fail`` turns every ``AirflowException`` into "skipped", which poke mode does
not. A failed copy must never look like a skip in one mode only, so these are plain errors in both.
"""

from __future__ import annotations


class InvalidIdentityError(ValueError):
    """An id, name or version that AWS could not accept; raised before any request."""


class InvalidQueryError(ValueError):
    """A ``query`` that is no JMESPath expression, or that does not fit the response it is asked of."""


class InvalidTokenError(ValueError):
    """A ``starting_token`` that no listing of this package, boto3 or the AWS CLI returned."""


class VersionFailedError(RuntimeError):
    """The version that a gate waited for ended in a ``*_FAILED`` status; carries AWS's own reason."""


class VersionDeletedError(RuntimeError):
    """The version that a gate waited for was deleted."""


class UnexpectedAnswerError(RuntimeError):
    """AWS answered with an entry that cannot be read, a version number that is none, say."""


class UnreadableError(RuntimeError):
    """A report could read nothing of what was found, or not all of it where it was told to fail then."""


class TriggerFailedError(RuntimeError):
    """A trigger met an error that no answer of AWS's explains; the triggerer's log has its traceback."""


class UnexpectedEventError(RuntimeError):
    """A deferred gate was resumed without an event, or with one that no trigger of this package sends."""


class AwsCallError(RuntimeError):
    """
    A call to AWS failed; the message names the operation, what it was asked about and AWS's own words.

    :param message: what was asked, what came back, what to do.
    :param operation: the API operation, ``ListImageSetVersions`` say.
    :param code: AWS's error code, or botocore's name for a failure that never reached AWS.
    :param transient: whether the same call may succeed later (throttling, 5xx, connection trouble).
    :param expired: whether the credentials had expired; resolving the connection again may bring new ones.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        code: str = "",
        transient: bool = False,
        expired: bool = False,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.code = code
        self.transient = transient
        self.expired = expired


class ResourceMissingError(AwsCallError):
    """AWS says that the image set, its data store or the image does not exist."""


class InvalidOutputError(ValueError):
    """A report cannot go to where it is told to; the message names the place, the rule or what to install."""


class ReportNotPublishedError(RuntimeError):
    """A report was made, and could not be put into its place; the message says which of its files are new."""
