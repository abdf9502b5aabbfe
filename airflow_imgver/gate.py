"""
One gate: what it watches, what it waits for, what it last saw. Poke mode and deferrable mode share it.

A gate watches one image set or image, or a list of them; each is a :class:`Watched`, judged by the rule on
its own and asked no more once it is settled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import copy
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from airflow_imgver.arguments import listed, listed_versions, version_number, wait_until_value
from airflow_imgver.exceptions import (
    AwsCallError,
    InvalidIdentityError,
    ResourceMissingError,
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.settings import whole
from airflow_imgver.versions import (
    Phase,
    VersionStatus,
    WaitUntil,
    as_plain,
    gate_opens,
)

GATE_ERRORS: tuple[type[Exception], ...] = (
    VersionFailedError,
    VersionDeletedError,
    ResourceMissingError,
    AwsCallError,
    UnexpectedAnswerError,
)
"""What a look may raise, besides opening the gate or not."""

LOOKS_AHEAD = 4
"""How many looks a thread may be ahead of the judgement, where a worker looks at many."""

Answer = VersionStatus | Exception | None
"""What came of a look: a status, None where the listing shows none, or the error that the look met."""


class Watched:
    """One image set or image of a gate."""

    __slots__ = ("_of", "error", "identity", "missing", "open", "retries_left", "seen", "version")

    def __init__(self, of: str, identity: Mapping[str, str], version: int | None, retries: int) -> None:
        self._of = of
        self.identity = identity
        self.version = version
        self.retries_left = retries
        self.seen: VersionStatus | None = None
        self.missing = False
        self.open = False
        self.error: Exception | None = None

    @property
    def settled(self) -> bool:
        """Whether no further look can change anything."""
        return self.open or self.error is not None

    @property
    def entry(self) -> dict[str, Any] | None:
        """The entry last seen, with times as ISO 8601 text; None where AWS showed none."""
        return as_plain(self.seen.entry) if self.seen else None

    def __str__(self) -> str:
        if self.missing:
            return f"{self._of}: AWS says that it does not exist"
        if self.seen is not None:
            return f"{self._of}: {self.seen}"
        which = "no version" if self.version is None else f"no version {self.version}"
        return f"{self._of}: {which} listed yet"


class Gate:
    """
    A gate on one image set or image, or on many of one kind.

    :param hook_class: the service's hook.
    :param identity: field to value, checked here against AWS's patterns. The last field may be a list, or the
        text of one as a template renders it; the gate then waits for all, and gives a list.
    :param version: the version to watch; None for the latest; with a list of ids one for all, or a list.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param allow_read_only: take the source of a running copy for ready.
    :param not_found_retries: how many looks in a row AWS may answer that there is no such thing.
    :param fail_fast: with a list, fail at the first that fails; else when all are settled, naming each.
    :param silent_fail: raise a failure and look again all the same: it settles nothing, as Airflow's sensors
        mean it.
    :raises InvalidIdentityError: an id, a name or a version cannot be one; names its position.
    :raises ValueError: ``wait_until`` or ``not_found_retries`` cannot be one.
    """

    def __init__(
        self,
        hook_class: type[ImageVersionHook],
        identity: Mapping[str, Any],
        *,
        version: Any = None,
        wait_until: str = "ready",
        allow_read_only: bool = False,
        not_found_retries: int = 2,
        fail_fast: bool = False,
        silent_fail: bool = False,
    ) -> None:
        if not isinstance(not_found_retries, int) or not_found_retries < 0:
            raise ValueError(f"not_found_retries must be a number of looks, not {not_found_retries!r}")
        self._wait_until: WaitUntil = wait_until_value(wait_until)
        self._allow_read_only = allow_read_only
        self._retries = not_found_retries
        *_, field = identity
        ids = listed(identity[field], field)
        self.is_list = ids is not None
        self._gathers_errors = self.is_list and not fail_fast and not silent_fail
        versions = None if ids is None else listed_versions(version)
        self.stored: dict[str, Any] = {
            **identity,
            field: identity[field] if ids is None else ids,
            "version": version if versions is None else versions,
        }
        """What was given, as a trigger can store it: plain lists, whatever sequences or texts they were."""
        wanted = _wanted(hook_class, identity, field, ids, version if versions is None else versions)
        # One that stands in the list twice is watched once.
        self._watched = {
            key: Watched(hook_class.describe(one), one, number, not_found_retries)
            for key, (one, number) in {_key(one, number): (one, number) for one, number in wanted}.items()
        }
        self._order = [_key(one, number) for one, number in wanted] if self.is_list else []
        self._unsettled = dict(self._watched)
        self._failed = 0

    # --- looking ---

    @property
    def unsettled(self) -> Sequence[Watched]:
        """What has still to be looked at."""
        return list(self._unsettled.values())

    @property
    def is_open(self) -> bool:
        """
        Whether all are settled well.

        :raises VersionFailedError: all are settled, and some failed: names each with AWS's reason.
        :raises VersionDeletedError: likewise, and those that failed were all deleted.
        :raises ResourceMissingError: likewise, and AWS knows nothing of those that failed.
        """
        if self._unsettled:
            return False
        if failed := [watched.error for watched in self._watched.values() if watched.error]:
            raise _together(failed, len(self._watched))
        return True

    def look(self, hook: ImageVersionHook) -> bool:
        """
        Look once at all that is unsettled, in threads where there is more than one: True opens the gate.

        :raises AwsCallError: calls failed; ``transient`` where another look may succeed. Also, and from
            :attr:`is_open`, whatever fails the gate.
        """
        passing: list[AwsCallError] = []
        # Closed at once where a failure ends the looking, not when the garbage is collected.
        with closing(_answers(hook, self.unsettled)) as answers:
            for watched, answer in answers:
                if isinstance(answer, AwsCallError) and answer.transient:
                    passing.append(answer)
                else:
                    self.judge(watched, answer)
        if self.is_open:
            return True
        if passing:
            raise passing[0]
        return False

    def judge(self, watched: Watched, answer: Answer) -> None:
        """
        Take in what came of a look at one.

        :raises Exception: the answer is an error that no later look can mend, or with ``fail_fast`` one that
            fails this one.
        """
        try:
            watched.open = self._opens(watched, answer)
        except (VersionFailedError, VersionDeletedError, ResourceMissingError) as error:
            if not self._gathers_errors:
                raise
            # A copy has no traceback and no cause, whose frames would be kept, ten thousand of them maybe.
            watched.error = copy(error)
            self._failed += 1
        if watched.settled:
            self._unsettled.pop(_key(watched.identity, watched.version), None)

    def _opens(self, watched: Watched, answer: Answer) -> bool:
        if isinstance(answer, ResourceMissingError):
            watched.seen, watched.missing = None, True
            if self._wait_until == "deleted":
                return True
            if watched.retries_left == 0:
                raise answer
            watched.retries_left -= 1
            return False
        if isinstance(answer, Exception):
            raise answer
        watched.seen, watched.missing, watched.retries_left = answer, False, self._retries
        return gate_opens(answer, self._wait_until, of=watched._of, allow_read_only=self._allow_read_only)

    # --- what came of it ---

    @property
    def size(self) -> int:
        """How many different versions are watched."""
        return len(self._watched)

    @property
    def first(self) -> Mapping[str, str] | None:
        """The identity that a console link can lead to; None for an empty list."""
        return next((watched.identity for watched in self._watched.values()), None)

    @property
    def retries_left(self) -> int:
        """How many more looks AWS may answer that there is no such thing."""
        return min((watched.retries_left for watched in self._unsettled.values()), default=self._retries)

    def plain(self) -> Any:
        """Give the entry of the one, or the entries of the list in the order given."""
        if self.is_list:
            return [self._watched[key].entry for key in self._order]
        (only,) = self._watched.values()
        return only.entry

    def __str__(self) -> str:
        if not self.is_list:
            (only,) = self._watched.values()
            return str(only)
        return self._progress()

    def _progress(self) -> str:
        unsettled = self.unsettled
        opened = self.size - len(unsettled) - self._failed
        told = [f"{opened} of {self.size} {self._wait_until}"]
        statuses = Counter(watched.seen.status for watched in unsettled if watched.seen)
        told += [f"{count} {status}" for status, count in sorted(statuses.items())]
        missing = sum(1 for watched in unsettled if watched.missing)
        unseen = len(unsettled) - sum(statuses.values()) - missing
        told += [
            f"{count} {words}"
            for count, words in ((missing, "missing"), (unseen, "not seen yet"), (self._failed, "failed"))
            if count
        ]
        if oldest := _busy_longest(unsettled):
            told.append(f"busy longest, since {oldest[0]:%Y-%m-%d %H:%M:%S %Z}: {oldest[1]}")
        return "; ".join(told)


def answer_to(hook: ImageVersionHook, watched: Watched) -> Answer:
    """Look at one, and give what came of it, an error too."""
    try:
        return hook.observe(watched.identity, watched.version)
    except GATE_ERRORS as error:
        _let_go_of_frames(error)
        return error


def _let_go_of_frames(error: BaseException | None) -> None:
    """Cut the tracebacks off: botocore's frames stand in circles, and keep connections open with them."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _answers(
    hook: ImageVersionHook, watched: Sequence[Watched]
) -> Generator[tuple[Watched, Answer], None, None]:
    """Look at each, a few at a time; where the caller stops drawing, what has not begun is not asked."""
    if len(watched) <= 1:
        yield from ((one, answer_to(hook, one)) for one in watched)
        return
    size = whole("threads")
    with ThreadPoolExecutor(size, thread_name_prefix="imgver-poke") as threads:
        try:
            # Not all at once: the threads would be hundreds of requests ahead of the one that judges.
            for begin in range(0, len(watched), LOOKS_AHEAD * size):
                some = watched[begin : begin + LOOKS_AHEAD * size]
                yield from zip(some, threads.map(partial(answer_to, hook), some), strict=True)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _busy_longest(unsettled: Iterable[Watched]) -> tuple[datetime, Watched] | None:
    busy = [
        (watched.seen.changed_at, watched)
        for watched in unsettled
        if watched.seen and watched.seen.phase is Phase.BUSY and watched.seen.changed_at
    ]
    return min(busy, key=itemgetter(0), default=None)


def _key(identity: Mapping[str, str], version: int | None) -> tuple[Any, ...]:
    return (*identity.values(), version)


def _wanted(
    hook_class: type[ImageVersionHook],
    identity: Mapping[str, Any],
    field: str,
    ids: list[Any] | None,
    version: Any,
) -> list[tuple[dict[str, str], int | None]]:
    """Pair each identity with the version wanted of it, all checked before any request."""
    if ids is None:
        return [(hook_class.check(identity), version_number(version))]
    versions = version if isinstance(version, list) else [version] * len(ids)
    if len(versions) != len(ids):
        raise InvalidIdentityError(
            f"version is a list of {len(versions)}, and {field} one of {len(ids)}; "
            "give one for each, or one for all"
        )
    wanted = []
    for position, (one, number) in enumerate(zip(ids, versions, strict=True)):
        try:
            wanted.append((hook_class.check({**identity, field: one}), version_number(number)))
        except InvalidIdentityError as error:
            raise InvalidIdentityError(f"at position {position} of the list: {error}") from None
    return wanted


def _together(errors: list[Exception], of: int) -> Exception:
    """Make one error of many, of their class where they are of one."""
    if of == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else VersionFailedError
    return kind(f"{len(errors)} of {of} failed:\n" + "\n".join(f"- {error}" for error in errors))
