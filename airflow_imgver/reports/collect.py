"""Listing the versions of many image sets or images at once: rows, in the order of finding."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

from airflow_imgver.exceptions import (
    AwsCallError,
    InvalidIdentityError,
    UnexpectedAnswerError,
    UnreadableError,
)
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import THREADS
from airflow_imgver.reports.found import Candidate, Found
from airflow_imgver.reports.progress import Progress
from airflow_imgver.reports.rows import Attention, Row, Scope, rows_of
from airflow_imgver.services.description import Service
from airflow_imgver.text import one_line

# How many listings each thread may be ahead of the one whose turn it is: while that one is tried again for
# some seconds, the others must not run out of work.
AHEAD = 32
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts where a failure may pass; each attempt is up to three of boto3's own."""
GIVE_UP_AFTER = 100
"""This many failures in a row, for one reason, end a report."""
_NOTICE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class History:
    """The rows of one image set or image, in AWS's order."""

    name: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Unread:
    """An image set or image that could not be listed."""

    name: str
    reason: str
    code: str
    transient: bool = False


@dataclass
class Collection:
    """
    One run over all candidates, several at a time, as fast as the hook's budget of requests lets it.

    :param hook: the service's hook; the threads share its client.
    :param scope: the scope of the report.
    :param found: the candidates; closed when the run ends.
    :param identify: makes the hook's identity of a candidate's name.
    :param progress: logs how far the run is.
    :param stop: ends the run where it is set elsewhere.
    :param pauses: seconds between the attempts at one.
    :param earlier: those that needed attention in the report before: where they still do, they are in this
        one too, whenever they changed.
    """

    hook: ImageVersionHook
    scope: Scope
    found: Found
    identify: Callable[[str], Mapping[str, str]]
    progress: Progress
    stop: Event = field(default_factory=Event)
    pauses: tuple[float, ...] = PAUSES
    earlier: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[History | Unread]:
        """
        Return the history of each candidate, in the order of finding; those outside the scope are left out.

        :raises UnreadableError: :data:`GIVE_UP_AFTER` could not be read one after another, for one reason.
        :raises AwsCallError: finding failed for good, or the credentials have expired.
        :raises RuntimeError: ``stop`` was set.
        """
        patience = _Patience(self.hook.service)
        size = THREADS.whole()
        _ = self.hook.conn  # built once, before each thread would build one
        threads = ThreadPoolExecutor(size, thread_name_prefix="imgver-report")
        try:
            for history in self._in_turn(threads, size * AHEAD):
                self.progress.count(unreadable=isinstance(history, Unread))
                patience.judge(history)
                if history is not None:
                    yield history
        finally:
            self.stop.set()
            threads.shutdown(wait=False, cancel_futures=True)
            self.found.close()

    def _in_turn(self, threads: ThreadPoolExecutor, ahead: int) -> Iterator[History | Unread | None]:
        """Keep the threads busy, and return the results in the order of the candidates."""
        candidates: deque[Candidate] = deque()
        pending: deque[Future[History | Unread | None]] = deque()
        taken, more = 0, True
        while more or candidates or pending:
            if more and not candidates and len(pending) < ahead:
                some = self.found.after(taken, 0 if pending else _NOTICE_SECONDS)
                candidates.extend(some or ())
                taken += len(candidates)
                more = some is None or bool(some)
            while candidates and len(pending) < ahead:
                pending.append(threads.submit(self._list, candidates.popleft()))
            if pending and wait([pending[0]], _NOTICE_SECONDS).done:
                yield pending.popleft().result()
            if self.stop.is_set():
                raise RuntimeError("The report was stopped before it was complete. No file was written.")
            self.progress.log(self.found.total)

    def _list(self, candidate: Candidate) -> History | Unread | None:
        """List one, again where that may help; None where it is outside the scope."""
        pauses = iter(self.pauses)
        while True:
            try:
                return self._within_scope(candidate, self._rows(candidate.name))
            except AwsCallError as error:
                if error.expired:
                    raise
                if error.code in self.hook.service.missing_codes and self._is_only_earlier(candidate):
                    return None  # deleted since: no one has to act
                pause = next(pauses, None) if error.transient else None
                if pause is None or self.stop.is_set():
                    return Unread(candidate.name, str(error), error.code, error.transient)
            except (UnexpectedAnswerError, InvalidIdentityError) as error:
                return Unread(candidate.name, one_line(str(error)), type(error).__name__)
            # Not all at the same time; and woken where the run ends.
            self.stop.wait(pause * random.uniform(0.5, 1))

    def _rows(self, name: str) -> list[Row]:
        identity = self.identify(name)
        statuses = [self.hook.read(entry) for entry in self.hook.stream(identity)]
        return rows_of(self.hook.service, self.scope, identity, statuses)

    def _within_scope(self, candidate: Candidate, rows: list[Row]) -> History | None:
        inside = candidate.certain or any(
            row.attention is Attention.STUCK
            or self.scope.covers(row.status.changed_at)
            or (row.is_open and self._is_only_earlier(candidate))
            for row in rows
        )
        return History(candidate.name, rows) if inside else None

    def _is_only_earlier(self, candidate: Candidate) -> bool:
        return not candidate.certain and candidate.name in self.earlier


class _Patience:
    """Ends a run in which everything fails: from its beginning on, or since AWS stopped answering."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._in_a_row = 0
        self._code: str | None = None
        self._any_read = False

    def judge(self, history: History | Unread | None) -> None:
        """
        Count the next one.

        :raises UnreadableError: too many in a row could not be read.
        """
        if not isinstance(history, Unread):
            self._any_read, self._in_a_row, self._code = True, 0, None
            return
        self._in_a_row = self._in_a_row + 1 if history.code == self._code else 1
        self._code = history.code
        # Later in a run many in a row may rightly be denied: permissions can differ for each.
        if self._in_a_row >= GIVE_UP_AFTER and (history.transient or not self._any_read):
            raise UnreadableError(
                f"{self._in_a_row} {self._service.things} in a row could not be read, all for one reason. "
                f"The report ends here. The last reason: {history.reason}"
            )
