"""What AWS has started, or why it has not yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_imgver.exceptions import AwsCallError

NOT_THE_LATEST = "not the latest"
"""Words of HealthImaging's error for a version that another writer has replaced; it is a 404."""
LOST_ANSWER = "Whether AWS has carried out the call is not known; that is checked before it is sent again."
_REFUSALS = frozenset({"ConflictException", "ServiceQuotaExceededException", "ResourceInUse"})


class Started(NamedTuple):
    """
    What AWS has started.

    :param identity: the image set or image that changes.
    :param version: the number of the version to wait for; None for the latest.
    :param entry: the version, as AWS answered, with the names of a list entry.
    """

    identity: dict[str, str]
    version: int | None
    entry: dict[str, Any]


class NotYet(Exception):
    """
    The action cannot start yet; a later attempt may.

    :param message: why.
    :param busy: the image set that is locked; None where there is another reason.
    :param throttled: whether AWS gets too many requests.
    """

    def __init__(
        self, message: str, busy: Mapping[str, str] | None = None, *, throttled: bool = False
    ) -> None:
        super().__init__(message)
        self.busy = busy
        self.throttled = throttled


@contextmanager
def passing() -> Iterator[None]:
    """Turn an error that may pass, of a request that changes nothing, into a later attempt."""
    try:
        yield
    except AwsCallError as error:
        if not error.transient:
            raise
        raise NotYet(f"{error} This may pass.") from error


def is_refusal(error: AwsCallError) -> bool:
    """Return whether AWS has surely not carried out a call; a fault of AWS, or no answer, leaves it open."""
    return not error.transient or error.throttled or error.code in _REFUSALS
