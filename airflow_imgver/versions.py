"""
The rule of the gate, pure: a status and its phase, the latest of many versions, the verdict of a gate.

Nothing here knows Airflow or boto3. Poke mode and deferrable mode judge by this module and by nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from airflow_imgver.exceptions import UnexpectedAnswerError, VersionDeletedError, VersionFailedError

Entry = Mapping[str, Any]
"""One version as AWS lists it: AWS's own names, times as aware datetimes."""

WaitUntil = Literal["ready", "settled", "deleted"]


WITHOUT_A_STATUS = "without a status"
"""What an entry is said to be that AWS gives no word for."""


class Phase(StrEnum):
    """Where a version stands, in one vocabulary for both services."""

    BUSY = "busy"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """
    What a version entry says of itself.

    :param number: the version number; AWS sends HealthImaging's as a string, in which "10" < "9".
    :param phase: the entry's :class:`Phase`.
    :param status: AWS's word for it, the workflow status or, where there is none, the state.
    :param state: HealthImaging's ``imageSetState``; None for SageMaker, which has no such field.
    :param reason: AWS's message about a failure, if any, as AWS sent it.
    :param changed_at: when the version last changed, or else was created.
    :param known: False for a status that this package has not met; its phase was judged by its state.
    :param entry: the entry itself.
    """

    number: int
    phase: Phase
    status: str
    state: str | None
    reason: str | None
    changed_at: datetime | None
    known: bool
    entry: Entry

    def __str__(self) -> str:
        state = f" ({one_line(self.state)})" if self.state and self.state != self.status else ""
        return f"version {self.number} is {one_line(self.status)}{state}"


# --- status -> phase ------------------------------------------------------------------------------------

VERSION_DIGITS = r"[0-9]{1,18}"
"""A version number; bounded, because Python refuses to read thousands of digits, and names no field."""

_READ_ONLY = "COPYING_WITH_READ_ONLY_ACCESS"
_IMAGE_SET_BUSY = frozenset(
    {
        "COPYING",
        _READ_ONLY,
        "UPDATING",
        "UPDATING_FOR_STUDY_CONSISTENCY",
        "IMPORTING",
        "DELETING",
    }
)
_IMAGE_SET_SETTLED = frozenset({"CREATED", "COPIED", "UPDATED", "IMPORTED", "DELETED"})
_IMAGE_SET_FAILED = frozenset({"COPY_FAILED", "UPDATE_FAILED", "IMPORT_FAILED"})

_IMAGE_VERSION_PHASES = {
    "CREATED": Phase.READY,
    "CREATING": Phase.BUSY,
    "DELETING": Phase.BUSY,
    "CREATE_FAILED": Phase.FAILED,
    "DELETE_FAILED": Phase.FAILED,
}


def image_set_status(entry: Entry) -> VersionStatus:
    """
    Read an entry of HealthImaging's ``ListImageSetVersions``.

    A status nobody knows yet is judged by its state, because AWS has extended the enumeration twice within
    eight months. ACTIVE alone is no success: AWS shows COPY_FAILED and UPDATE_FAILED as ACTIVE.

    https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ImageSetProperties.html

    :param entry: the entry, with AWS's names.
    :raises UnexpectedAnswerError: ``versionId`` is no number, or a status is no text.
    """
    state = _word(entry, "imageSetState")
    status = _word(entry, "ImageSetWorkflowStatus")
    known = (
        status is None
        or status in _IMAGE_SET_BUSY
        or status in _IMAGE_SET_SETTLED
        or status in _IMAGE_SET_FAILED
    )
    if state == "DELETED" or status == "DELETED":
        phase = Phase.DELETED
    elif status is not None and status.endswith("_FAILED"):
        phase = Phase.FAILED
    elif status in _IMAGE_SET_BUSY or state != "ACTIVE":
        # A state other than ACTIVE is LOCKED, or one that AWS has yet to invent: neither opens a gate.
        phase = Phase.BUSY
    else:
        phase = Phase.READY
    return VersionStatus(
        number=_image_set_version(entry),
        phase=phase,
        status=status or state or WITHOUT_A_STATUS,
        state=state,
        reason=entry.get("message"),
        changed_at=entry.get("updatedAt") or entry.get("createdAt"),
        known=known and state in {"ACTIVE", "LOCKED", "DELETED"},
        entry=entry,
    )


def image_version_status(entry: Entry) -> VersionStatus:
    """
    Read an entry of SageMaker's ``ListImageVersions``.

    There is no state beside the status here, so a status nobody knows yet keeps the gate shut, unless it says
    by its name that it failed.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ImageVersion.html

    :param entry: the entry, with AWS's names.
    :raises UnexpectedAnswerError: ``Version`` is no number, or a status is no text.
    """
    status = _word(entry, "ImageVersionStatus") or WITHOUT_A_STATUS
    unknown = Phase.FAILED if status.endswith("_FAILED") else Phase.BUSY
    number = entry.get("Version")
    if not isinstance(number, int) or isinstance(number, bool):
        raise UnexpectedAnswerError(f"SageMaker listed an image version whose Version is {number!r}")
    return VersionStatus(
        number=number,
        phase=_IMAGE_VERSION_PHASES.get(status, unknown),
        status=status,
        state=None,
        reason=entry.get("FailureReason"),
        changed_at=entry.get("LastModifiedTime") or entry.get("CreationTime"),
        known=status in _IMAGE_VERSION_PHASES,
        entry=entry,
    )


def _word(entry: Entry, name: str) -> str | None:
    word = entry.get(name)
    if word is not None and not isinstance(word, str):
        raise UnexpectedAnswerError(f"AWS listed a version whose {name} is {word!r}, which is no text")
    return word


def _image_set_version(entry: Entry) -> int:
    number = entry.get("versionId")
    if not isinstance(number, str) or not re.fullmatch(VERSION_DIGITS, number):
        raise UnexpectedAnswerError(
            f"HealthImaging listed an image set version whose versionId is {number!r}"
        )
    return int(number)


# --- the latest of many ---------------------------------------------------------------------------------


class Survey(NamedTuple):
    """What a listing showed: its latest version, and the one that was asked for."""

    latest: VersionStatus | None
    wanted: VersionStatus | None


def survey(
    pages: Iterable[Iterable[Entry]],
    read: Callable[[Entry], VersionStatus],
    version: int | None = None,
) -> Survey:
    """
    Find the latest version, and the wanted one, while asking for as few pages as prove them.

    Latest means the greatest number. Neither service promises an order, so only as long as the numbers run
    strictly down is the head taken for the latest; where they do not, all pages are read.

    :param pages: the pages of a listing; only as many are drawn as are needed.
    :param read: makes a :class:`VersionStatus` of an entry.
    :param version: the number of the wanted version; None wants the latest.
    """
    latest: VersionStatus | None = None
    wanted: VersionStatus | None = None
    lowest: int | None = None
    runs_down = True
    for page in pages:
        for found in map(read, page):
            runs_down = runs_down and (lowest is None or found.number < lowest)
            lowest = found.number
            latest = _later(latest, found)
            if found.number == version:
                wanted = _later(wanted, found)
        if runs_down and lowest is not None and (version is None or wanted or lowest < version):
            break
    return Survey(latest, latest if version is None else wanted)


def _later(one: VersionStatus | None, other: VersionStatus) -> VersionStatus:
    """Tell which came later: the greater number, or of one number listed twice the last change."""
    if one is None or other.number > one.number:
        return other
    if other.number == one.number and (other.changed_at or _EPOCH) > (one.changed_at or _EPOCH):
        return other
    return one


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- the verdict of a gate ------------------------------------------------------------------------------

_Verdict = Literal["wait", "open", "raise"]

_RULE: dict[Phase | Literal["absent", "delete failed"], dict[WaitUntil, _Verdict]] = {
    "absent": {"ready": "wait", "settled": "wait", "deleted": "open"},
    Phase.BUSY: {"ready": "wait", "settled": "wait", "deleted": "wait"},
    Phase.READY: {"ready": "open", "settled": "open", "deleted": "wait"},
    Phase.FAILED: {"ready": "raise", "settled": "open", "deleted": "wait"},
    "delete failed": {"ready": "raise", "settled": "open", "deleted": "raise"},
    Phase.DELETED: {"ready": "raise", "settled": "open", "deleted": "open"},
}


def gate_opens(
    found: VersionStatus | None, wait_until: WaitUntil, *, of: str, allow_read_only: bool = False
) -> bool:
    """
    Apply the rule of the gate: True opens it, False lets it wait.

    :param found: what the listing shows of the watched version; None where it shows nothing of it yet.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param of: whose version it is, for the error: ``image set ... in data store ...``.
    :param allow_read_only: take the source of a running copy, which may be read meanwhile, for ready.
    :raises VersionFailedError: the version failed, and no later poll can open the gate; with AWS's reason.
    :raises VersionDeletedError: the version is gone where the gate waits for it to be ready.
    """
    if found is None:
        row = _RULE["absent"]
    elif found.status == "DELETE_FAILED":
        row = _RULE["delete failed"]
    elif found.phase is Phase.BUSY and found.status == _READ_ONLY and allow_read_only:
        row = _RULE[Phase.READY]
    else:
        row = _RULE[found.phase]
    verdict = row[wait_until]
    if verdict == "raise" and found is not None:
        raise _failure(found, of)
    return verdict == "open"


def _failure(found: VersionStatus, of: str) -> VersionFailedError | VersionDeletedError:
    if found.phase is Phase.DELETED:
        return VersionDeletedError(
            f"{of}: {found}, and the gate waited for it to be ready. "
            "wait_until='deleted' or 'settled' opens on a deleted version."
        )
    reason = f"AWS says: {one_line(found.reason)}" if found.reason else "AWS gave no reason."
    return VersionFailedError(
        f"{of}: {found}. {reason} "
        "Mend the action that made this version and repeat it; "
        "wait_until='settled' opens on a failed version too."
    )


# --- words and values -----------------------------------------------------------------------------------


def as_plain(value: Any) -> Any:
    """
    Turn AWS's dictionaries and lists into what any language can load: times as ISO 8601 strings in UTC.

    :param value: an entry, a list of entries, or a whole response; numbers stay numbers.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {name: as_plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(member) for member in value]
    return value


def one_line(text: str) -> str:
    """Escape what AWS's words must not do to a log: break its lines, turn its writing direction, hide."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character)[0] in "CZ" and character != " "
        else character
        for character in text
    )
