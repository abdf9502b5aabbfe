"""
One gate: its verdict over all that it watches. Poke mode, deferrable mode and the commands share it.

A gate watches one image set or image, or a list of them; the rule judges each by itself, and one that is
settled is not polled again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from airflow_imgver.arguments.identities import (
    WantedVersion,
    as_list,
    from_import,
    version_list,
    wait_until_value,
    wanted_version,
)
from airflow_imgver.exceptions import (
    AwsCallError,
    ImportJobFailedError,
    InvalidIdentityError,
    ResourceMissingError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.gate.polling import poll_all
from airflow_imgver.gate.settings import Watch
from airflow_imgver.gate.watched import Answer, Watched
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.text import one_line, timestamp
from airflow_imgver.versions import Phase, WaitUntil


class Gate:
    """
    A gate on one image set or image, or on many of one service.

    :param watch: what it watches, checked here against AWS's patterns. The last field of the identity may be
        a list, or the text of one as a template renders it; the gate then waits for all, and returns a list.
    :raises InvalidIdentityError: an id, a name or a version cannot be valid; names its position.
    :raises ValueError: ``wait_until`` or ``not_found_retries`` cannot be valid.
    """

    def __init__(self, watch: Watch) -> None:
        service, settings = watch.service, watch.settings
        retries = settings.not_found_retries
        if not isinstance(retries, int) or retries < 0:
            raise ValueError(f"not_found_retries must be a number of polls, not {retries!r}.")
        self._settings = settings
        self.wait_until: WaitUntil = wait_until_value(settings.wait_until)
        field = service.key.name
        ids = as_list(watch.identity[field], field)
        self.is_list = ids is not None
        self._gathers_errors = self.is_list and not settings.fail_fast and not settings.silent_fail
        versions = None if ids is None else version_list(settings.version)
        version = settings.version if versions is None else versions
        wanted = [
            Watched(service, one, version_of_it, retries)
            for one, version_of_it in _wanted(watch, ids, version)
        ]
        if ids is None:
            _, version = from_import(watch.identity[field], version, watch.identity, service)
        elif version is None and any(isinstance(one, Mapping) for one in ids):
            version = [one.version for one in wanted]
        self._given = watch
        self._version = version
        # An id that the list names twice is watched once.
        self._watched = {one.key: one for one in wanted}
        self._order = tuple(one.key for one in wanted) if self.is_list else ()
        self._unsettled = dict(self._watched)
        self._failed = 0
        self._reached = False
        self._trouble: Trouble | None = None
        self.restore(watch.not_found_answers)

    # --- polling ---

    @property
    def unsettled(self) -> Sequence[Watched]:
        """What has still to be polled."""
        return list(self._unsettled.values())

    @property
    def is_open(self) -> bool:
        """
        Whether all are settled well.

        :raises VersionFailedError: all are settled, and some failed: names each with AWS's reason.
        :raises VersionDeletedError: likewise, and those that failed were all deleted.
        :raises ResourceMissingError: likewise, and AWS says of those that failed that they do not exist.
        """
        if self._unsettled:
            return False
        if failed := [watched.error for watched in self._watched.values() if watched.error]:
            raise _one_error(failed, len(self._watched))
        return True

    def poll(self, hook: ImageVersionHook) -> bool:
        """
        Poll once all that is unsettled, in threads where there is more than one: True opens the gate.

        :raises AwsCallError: calls failed; ``transient`` where another poll may succeed. This and
            :attr:`is_open` also raise the errors that fail the gate.
        """
        passing: list[AwsCallError] = []
        # Closed at once where a failure ends the polling, not when the garbage is collected.
        with closing(poll_all(hook, self.unsettled)) as answers:
            for watched, answer in answers:
                if isinstance(answer, AwsCallError) and answer.transient:
                    self.note(answer)
                    passing.append(answer)
                else:
                    self.judge(watched, answer)
        if self.is_open:
            return True
        if passing:
            raise passing[0]
        return False

    def check_region(self, region: str) -> None:
        """
        Check that the ARNs among the versions are of the region that the gate polls.

        :raises InvalidIdentityError: one is of another region.
        """
        for watched in self._watched.values():
            watched.check_region(region)

    def note(self, error: AwsCallError) -> None:
        """Count an error that may pass; the timeout reports it."""
        self._trouble = self._trouble or Trouble()
        self._trouble.add(error)
        self._reached = self._reached or error.answered

    def judge(self, watched: Watched, answer: Answer) -> None:
        """
        Judge the outcome of the poll of one.

        :raises Exception: the outcome is an error that no later poll can change, or with ``fail_fast`` one
            that fails this one.
        """
        self._reached = True
        try:
            watched.judge(answer, self.wait_until, self._settings)
        except (
            VersionFailedError,
            VersionDeletedError,
            ImportJobFailedError,
            ResourceMissingError,
        ) as error:
            if not self._gathers_errors:
                raise
            # A copy has no traceback and no cause, whose frames would be kept, perhaps ten thousand times.
            watched.error = copy(error)
            self._failed += 1
        if watched.settled:
            self._unsettled.pop(watched.key, None)

    # --- outcome ---

    @property
    def size(self) -> int:
        """How many different versions are watched."""
        return len(self._watched)

    @property
    def first(self) -> Mapping[str, str] | None:
        """The identity that a console link can lead to; None for an empty list."""
        return next((watched.identity for watched in self._watched.values()), None)

    @property
    def remaining(self) -> Watch:
        """What a trigger goes on with: plain lists, and the polls in a row that have found nothing."""
        field = self._given.service.key.name
        identity = {**self._given.identity, **(self.first or {})}
        if self.is_list:
            identity[field] = [self._watched[key].identity[field] for key in self._order]
        return Watch(
            self._given.service,
            identity,
            replace(self._settings, version=self._version),
            self.not_found_answers,
        )

    @property
    def not_found_answers(self) -> dict[str, int]:
        """How many polls in a row found nothing, for each that is missing, as plain JSON."""
        missing = (watched for watched in self._unsettled.values() if watched.missing)
        return {watched.label: watched.retries_spent for watched in missing}

    def restore(self, not_found_answers: Mapping[str, int]) -> None:
        """Go on with the :attr:`not_found_answers` of an earlier object."""
        for watched in self._unsettled.values():
            watched.spend_retries(not_found_answers.get(watched.label, 0))

    def plain(self) -> Any:
        """Return the entry of the one, or the entries of the list in the order given."""
        if self.is_list:
            return [self._watched[key].entry for key in self._order]
        (only,) = self._watched.values()
        return only.entry

    @property
    def news(self) -> str:
        """What the last polls showed, without ids."""
        if not self.is_list:
            (only,) = self._watched.values()
            return only.news
        unsettled = self.unsettled
        opened = self.size - len(unsettled) - self._failed
        statuses = Counter(one_line(watched.seen.status) for watched in unsettled if watched.seen)
        missing = sum(bool(watched.missing) for watched in unsettled)
        unseen = len(unsettled) - sum(statuses.values()) - missing
        counts = [
            *((count, status) for status, count in sorted(statuses.items())),
            (missing, "missing"),
            (unseen, "not polled yet"),
            (self._failed, "failed"),
        ]
        parts = [f"{opened} of {self.size} {self.wait_until}"]
        return ", ".join([*parts, *(f"{count} {what}" for count, what in counts if count)])

    @property
    def about(self) -> str:
        """What the news are about, with full ids; of many, the one that has been busy longest."""
        if not self.is_list:
            (only,) = self._watched.values()
            return only.name
        oldest = _busy_longest(self._unsettled.values())
        return f"busy longest since {timestamp(oldest[0])} is {oldest[1]}" if oldest else ""

    @property
    def last_seen(self) -> str:
        """What a timeout reports: errors that kept the gate from AWS, then what the last polls showed."""
        if self._trouble is None:
            return f"Last seen: {self}."
        never = "" if self._reached else "AWS was never reached. "
        return f"{never}{self._trouble} Last seen: {self}."

    def __str__(self) -> str:
        return f"{self.news}: {self.about}" if self.about else self.news


class Trouble:
    """The errors of a gate's polls that may pass."""

    __slots__ = ("_count", "_last")

    def __init__(self) -> None:
        self._count = 0
        self._last: AwsCallError | None = None

    def add(self, error: AwsCallError) -> None:
        """Count an error."""
        self._count += 1
        self._last = error

    def __str__(self) -> str:
        polls = "1 poll" if self._count == 1 else f"{self._count} polls"
        return f"{polls} failed, the last with: {self._last.message if self._last else ''}"


def _busy_longest(unsettled: Iterable[Watched]) -> tuple[datetime, Watched] | None:
    busy = [
        (watched.seen.changed_at, watched)
        for watched in unsettled
        if watched.seen and watched.seen.phase is Phase.BUSY and watched.seen.changed_at
    ]
    return min(busy, key=itemgetter(0), default=None)


def _wanted(watch: Watch, ids: list[Any] | None, version: Any) -> list[tuple[dict[str, str], WantedVersion]]:
    """Pair each identity with the version wanted of it, all checked before any request."""
    service, field = watch.service, watch.service.key.name
    if ids is None:
        one, number = from_import(watch.identity[field], version, watch.identity, service)
        identity = service.check({**watch.identity, field: one})
        return [(identity, wanted_version(number, service, identity[field]))]
    versions = version if isinstance(version, list) else [version] * len(ids)
    if len(versions) != len(ids):
        raise InvalidIdentityError(
            f"version is a list of {len(versions)}, and {field} is a list of {len(ids)}. "
            "Give one version for each, or one for all."
        )
    wanted = []
    for position, (given, version_of_it) in enumerate(zip(ids, versions, strict=True)):
        try:
            one, number = from_import(given, version_of_it, watch.identity, service)
            identity = service.check({**watch.identity, field: one})
            wanted.append((identity, wanted_version(number, service, identity[field])))
        except InvalidIdentityError as error:
            raise InvalidIdentityError(f"At position {position} of the list: {error}") from None
    return wanted


def _one_error(errors: list[Exception], of: int) -> Exception:
    """Make one error of many, of their class where they all have the same."""
    if of == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else VersionFailedError
    return kind(f"{len(errors)} of {of} failed:\n" + "\n".join(f"- {error}" for error in errors))
