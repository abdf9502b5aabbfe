"""
Named errors, none a subclass of ``AirflowException``.

A deferred sensor under ``soft_fail`` turns every ``AirflowException`` into "skipped", which poke mode does
not. A failed copy must never look like a skip in one mode only, so these are plain errors in both.
"""

from __future__ import annotations

from typing import Any, ClassVar


class InvalidQueryError(ValueError):
    """A ``query`` that is not a JMESPath expression, or that does not fit the response."""


class InvalidTokenError(ValueError):
    """A ``starting_token`` that no listing of this package, boto3 or the AWS CLI returned."""


class InvalidOutputError(ValueError):
    """A report cannot be written to an output; the message names the output, the rule or what to install."""


class GateError(RuntimeError):
    """
    An error that ends a gate, a listing or a command; the base of those below.

    :param message: what happened, with AWS's status and reason, and what to do.
    :param about: what it happened to, with full ids; the text of the error ends with it.
    """

    fields: tuple[str, ...] = ("about",)
    """The attributes beside the message, which go through the triggerer with it."""

    def __init__(self, message: str, *, about: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.about = about

    def __str__(self) -> str:
        return f"{self.message} {self.about}".rstrip()

    def details(self) -> dict[str, Any]:
        """Return the arguments that make the same error again, as plain JSON."""
        return {"message": self.message, **{name: getattr(self, name) for name in self.fields}}


class InvalidIdentityError(GateError, ValueError):
    """An id, name or version that AWS could not accept, or that belongs to something else."""


class VersionFailedError(GateError):
    """The version that a gate waited for ended in a ``*_FAILED`` status; carries AWS's own reason."""


class VersionDeletedError(GateError):
    """The version that a gate waited for was deleted."""


class ImportJobFailedError(GateError):
    """A DICOM import job is FAILED; or it is COMPLETED, some files failed, and the gate may not open then."""


class NothingFoundError(GateError):
    """A gate that finds its image sets by a search found none, and may not open on none."""


class UnexpectedAnswerError(GateError):
    """AWS answered with an entry that cannot be read, for example a version number without digits."""


class TriggerFailedError(GateError):
    """A trigger met an error that no answer of AWS explains; the triggerer's log has its traceback."""


class AwsCallError(GateError):
    """
    A call to AWS failed; the message names the operation and quotes AWS's own words.

    :param message: what was called, what came back, what to do.
    :param about: what the call was about, with full ids.
    :param operation: the API operation, for example ``ListImageSetVersions``.
    :param code: AWS's error code, or botocore's name for a failure that never reached AWS.
    :param transient: whether the same call may succeed later (throttling, 5xx, connection trouble).
    :param expired: whether the credentials had expired; resolving the connection again may bring new ones.
    :param answered: whether AWS answered at all.
    :param throttled: whether AWS refused the call because there were too many.
    """

    fields = ("about", "operation", "code", "transient", "expired", "answered", "throttled")

    def __init__(
        self,
        message: str,
        *,
        about: str = "",
        operation: str = "",
        code: str = "",
        transient: bool = False,
        expired: bool = False,
        answered: bool = False,
        throttled: bool = False,
    ) -> None:
        super().__init__(message, about=about)
        self.operation = operation
        self.code = code
        self.transient = transient
        self.expired = expired
        self.answered = answered
        self.throttled = throttled


class ResourceMissingError(AwsCallError):
    """AWS says that the image set, its data store, the import job or the image does not exist."""

    news: ClassVar[str] = "AWS says that it does not exist"
    """What a waiting gate logs."""


class ManifestMissingError(ResourceMissingError):
    """A DICOM import job is COMPLETED, and the manifest of its image sets is not in S3."""

    news: ClassVar[str] = "COMPLETED, and its manifest is not in S3 yet"


class NotLatestVersionError(AwsCallError):
    """Another writer changed the image set first: AWS says that the version is not the latest."""


class UnknownOutcomeError(GateError):
    """The answer to a call was lost, and what AWS made of it cannot be told from what others made."""


class UnexpectedEventError(RuntimeError):
    """A deferred gate was resumed without an event, or with one that no trigger of this package sends."""


class UnreadableError(RuntimeError):
    """A report could list nothing that it found, or not all of it where ``fail_on_unreadable`` is set."""


class ReportNotPublishedError(RuntimeError):
    """A report was made, and an output could not be replaced; the message says which outputs are new."""
