"""
The rule of the gate, pure: a status and its phase, the latest of many versions, the verdict of a gate.

Nothing here knows Airflow or boto3. Poke mode and deferrable mode judge by this module and by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from airflow_imgver.exceptions import (
    GateError,
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.text import one_line, sentence

Entry = Mapping[str, Any]
"""One version as AWS lists it: AWS's own names, times as aware datetimes."""

WaitUntil = Literal["ready", "settled", "deleted"]

WITHOUT_A_STATUS = "without a status"
"""The status of an entry in which AWS gives none."""

VERSION_DIGITS = r"[0-9]{1,18}"
"""A version number; bounded, because Python refuses to read thousands of digits, and names no field."""

VERSIONS = range(10**18)
"""The version numbers that have as many digits; each fits into the 64 bits of a file or a message."""


class Phase(StrEnum):
    """The phase of a version, in one vocabulary for all services."""

    BUSY = "busy"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


# --- an entry -> its status and phase -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFields:
    """
    How to read the entries of a service: the members that the rule needs, and the phase of each status.

    :param number: the member that holds the version number; None where there are no versions.
    :param number_is_text: AWS sends the number as a string, in which "10" < "9".
    :param status: the member that holds the status.
    :param state: the member that holds a state beside the status; None where the service has none.
    :param reason: the member that holds AWS's message about a failure; None where the service has none.
    :param changed: the members that hold the time of the last change, the first that is there counts.
    :param phases: the phase of each status.
    :param states: the phase of each state.
    :param read_only: the busy statuses in which the version can be read all the same.
    :param deletion_failed: the statuses of a deletion that failed.
    """

    number: str | None
    number_is_text: bool = False
    status: str
    state: str | None = None
    reason: str | None = None
    changed: tuple[str, ...]
    phases: Mapping[str, Phase]
    states: Mapping[str, Phase] = field(default_factory=dict)
    read_only: frozenset[str] = frozenset()
    deletion_failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """
    The status of a version entry.

    :param number: the version number; 0 where there are no versions.
    :param phase: the entry's :class:`Phase`.
    :param status: AWS's status or, where the entry has none, the state.
    :param state: HealthImaging's ``imageSetState``; None for SageMaker, which has no such member.
    :param reason: AWS's message about a failure, if any, as AWS sent it.
    :param changed_at: when the version last changed, or else was created.
    :param known: False for a status that this package does not know; the state decided its phase.
    :param entry: the entry itself.
    :param read_only: the version is busy, and can be read all the same.
    :param deletion_failed: the version failed to be deleted.
    :param detail: what messages add to the status in place of the version number; None adds the number.
    :param shortfall: what AWS left out although it ended well, for example files that it could not import.
    """

    number: int
    phase: Phase
    status: str
    state: str | None
    reason: str | None
    changed_at: datetime | None
    known: bool
    entry: Entry
    read_only: bool = False
    deletion_failed: bool = False
    detail: str | None = None
    shortfall: str = ""

    @property
    def busy(self) -> bool:
        """Whether AWS still works on it."""
        return self.phase is Phase.BUSY

    def in_utc(self) -> VersionStatus:
        """
        Return the same with times in UTC.

        botocore makes a time zone for each time, and Python's collector visits all of thousands of gates.
        """
        entry = {name: _in_utc(value) for name, value in self.entry.items()}
        return replace(self, entry=entry, changed_at=_in_utc(self.changed_at))

    def __str__(self) -> str:
        if self.detail is not None:
            return f"{one_line(self.status)} ({self.detail})" if self.detail else one_line(self.status)
        state = f"{one_line(self.state)}, " if self.state and self.state != self.status else ""
        return f"{one_line(self.status)} ({state}version {self.number})"


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def read_entry(entry: Entry, fields: EntryFields) -> VersionStatus:
    """
    Read the status of an entry.

    A status that is not known is judged by its state, because AWS has extended HealthImaging's enumeration
    twice within eight months; without a state it counts as busy. A name that ends in ``_FAILED`` is a failure
    in any case. ACTIVE is not a success: AWS shows COPY_FAILED and UPDATE_FAILED as ACTIVE.

    :param entry: the entry, with AWS's names.
    :param fields: how to read the entries of its service.
    :raises UnexpectedAnswerError: the number is not one, or a status is not a text.
    """
    status = _text(entry, fields.status)
    state = _text(entry, fields.state) if fields.state else None
    reason = entry.get(fields.reason) if fields.reason else None
    changed = (entry.get(name) for name in fields.changed)
    known = status in fields.phases or (status is None and fields.state is not None)
    return VersionStatus(
        number=_number(entry, fields),
        phase=_phase(status, state, fields),
        status=status or state or WITHOUT_A_STATUS,
        state=state,
        reason=reason if isinstance(reason, str) else None,
        changed_at=next((when for when in changed if isinstance(when, datetime)), None),
        known=known and (fields.state is None or state in fields.states),
        entry=entry,
        read_only=status in fields.read_only,
        deletion_failed=status in fields.deletion_failed,
        detail=None if fields.number else "",
    )


def _phase(status: str | None, state: str | None, fields: EntryFields) -> Phase:
    failed = Phase.FAILED if status is not None and status.endswith("_FAILED") else None
    by_status = fields.phases.get(status or "", failed)
    if fields.state is None:
        return by_status or Phase.BUSY
    # A state that AWS has yet to invent does not open a gate.
    by_state = fields.states.get(state or "", Phase.BUSY)
    for phase in (Phase.DELETED, Phase.FAILED, Phase.BUSY):
        if phase in (by_status, by_state):
            return phase
    return Phase.READY


def _text(entry: Entry, name: str) -> str | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise UnexpectedAnswerError(f"AWS listed a version whose {name} is {value!r}, which is not a text.")
    return value


def _number(entry: Entry, fields: EntryFields) -> int:
    if fields.number is None:
        return 0
    value = entry.get(fields.number)
    if fields.number_is_text:
        if isinstance(value, str) and re.fullmatch(VERSION_DIGITS, value):
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value in VERSIONS:
        return value
    raise UnexpectedAnswerError(
        f"AWS listed a version whose {fields.number} is {value!r}, which is not a version number."
    )


# --- the latest of many ---------------------------------------------------------------------------------


class FoundVersions(NamedTuple):
    """The latest version of a listing, and the version that was asked for."""

    latest: VersionStatus | None
    wanted: VersionStatus | None


def find_versions(
    pages: Iterable[Iterable[Entry]],
    read: Callable[[Entry], VersionStatus],
    version: int | None = None,
) -> FoundVersions:
    """
    Find the latest version, and the wanted one, in as few pages as prove them.

    Latest means the greatest number. Neither service promises an order, so the first entry counts as the
    latest only as long as the numbers run strictly down; where they do not, all pages are read.

    :param pages: the pages of a listing; only as many are requested as are needed.
    :param read: reads the status of an entry.
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
    return FoundVersions(latest, latest if version is None else wanted)


def _later(one: VersionStatus | None, other: VersionStatus) -> VersionStatus:
    """Return the later of two: the greater number, or of one number listed twice the last change."""
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


@dataclass(frozen=True, slots=True)
class Failure:
    """
    The error of a failed version or job.

    :param error: its class.
    :param advice: what to do.
    """

    error: type[GateError]
    advice: str


VERSION_FAILURE = Failure(
    VersionFailedError,
    "Fix the cause and repeat the action that made this version; "
    "wait_until='settled' opens on a failed version too.",
)


def gate_opens(
    found: VersionStatus | None,
    wait_until: WaitUntil,
    *,
    of: str,
    allow_read_only: bool = False,
    fail_on_shortfall: bool = False,
    failure: Failure = VERSION_FAILURE,
) -> bool:
    """
    Apply the rule of the gate: True opens it, False lets it wait.

    :param found: the status of the watched version; None where the listing does not show it yet.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param of: the image set or image, for the error: ``image set ... in data store ...``.
    :param allow_read_only: the source of a running copy, which can be read meanwhile, counts as ready.
    :param fail_on_shortfall: what ended well with a shortfall counts as failed.
    :param failure: the error of a failed one, and its advice.
    :raises VersionFailedError: the version failed, and no later poll can open the gate; with AWS's reason. A
        job raises the error of ``failure``.
    :raises VersionDeletedError: the version was deleted, and the gate waits until it is ready.
    """
    if found is None:
        row = _RULE["absent"]
    elif found.deletion_failed:
        row = _RULE["delete failed"]
    elif found.phase is Phase.BUSY and found.read_only and allow_read_only:
        row = _RULE[Phase.READY]
    else:
        row = _RULE[found.phase]
    verdict = row[wait_until]
    if verdict == "raise" and found is not None:
        raise _error_of(found, of, failure)
    if verdict == "open" and fail_on_shortfall and found is not None and found.shortfall:
        raise failure.error(f"{one_line(found.status)}, and {found.shortfall}", about=f"It is {of}.")
    return verdict == "open"


def _error_of(found: VersionStatus, of: str, failure: Failure) -> GateError:
    about = f"It is version {found.number} of {of}." if found.detail is None else f"It is {of}."
    if found.phase is Phase.DELETED:
        return VersionDeletedError(
            "DELETED, and this gate waits until the version is ready. "
            "wait_until='deleted' or 'settled' opens on a deleted version.",
            about=about,
        )
    said = (found.reason or "").strip()
    reason = f": {sentence(said)}" if said else ", and AWS gave no reason."
    return failure.error(f"{one_line(found.status)}{reason} {failure.advice}", about=about)
