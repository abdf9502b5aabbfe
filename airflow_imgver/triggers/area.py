"""The waits in one place, for example a data store, and the search for what changes there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_imgver.exceptions import ResourceMissingError
from airflow_imgver.gate.watched import Answer
from airflow_imgver.options import UNCHANGED_POLL_INTERVAL
from airflow_imgver.triggers.awaited import Awaited
from airflow_imgver.triggers.interest import Target
from airflow_imgver.triggers.search import Found
from airflow_imgver.triggers.trust import FAILURES, Trust

if TYPE_CHECKING:
    from airflow_imgver.triggers.change_search import ChangeSearches

log = logging.getLogger(__name__)

# At Airflow's usual interval of a minute, so many waits need a request a second: more than their search does,
# whose pages hold as many image sets. Below that, a search saves nothing.
MANY = 50
SECONDS_BETWEEN = 5.0
# Large searches are rarer: two requests a second for each data store, of the 20 that a process may send.
SECONDS_A_REQUEST = 0.5
LONGEST_PAUSE = 300.0
# Each search looks back that far from the one before, for image sets that AWS's index shows late and for the
# difference between AWS's own clocks.
OVERLAP = timedelta(seconds=120)
# Several searches show each change, and what has changed may change again meanwhile, as a busy image set does
# at the end of its work. So it is polled again, at pauses that grow: of 24 searches seven cause a poll.
WORTH_A_POLL = frozenset({1, 2, 3, 5, 8, 13, 21, *(34 << doubled for doubled in range(20))})
# A change that is older, and that no search has shown, should have been shown.
SHOWN_WITHIN = timedelta(seconds=60)
# A search that takes longer says nothing about the last minute.
LATE_AFTER = 60.0
# How long a search that asks for polls in vain is put aside.
SECONDS_ASIDE = 900.0
SECONDS_BETWEEN_LOG_LINES = 600.0


class Run:
    """One search that is under way."""

    __slots__ = ("begun", "over", "since")

    def __init__(self, since: datetime) -> None:
        self.since = since
        self.begun = datetime.now(UTC)
        self.over = False

    def is_over(self) -> bool:
        """Whether nobody waits for its outcome any more."""
        return self.over


class Area:
    """
    The waits in one place, and the search for what changes there.

    :param searches: the searches of the client.
    :param scope: the identity of the place, for example of a data store.
    """

    def __init__(self, searches: ChangeSearches, scope: tuple[str, ...]) -> None:
        self.scope = scope
        self.awaited = Awaited()
        self._searches = searches
        self._trust = Trust()
        self._relied_on = False
        self._active = False
        self._missing = False
        self._run: Run | None = None
        self._timers: list[asyncio.TimerHandle] = []
        # By AWS's clock: from when the next search looks, and which changes the searches should have shown.
        self._since: datetime | None = None
        self._covered: tuple[datetime, datetime] | None = None
        # Ids, and how many searches in a row have shown them.
        self._shown: dict[str, int] = {}
        self._logged_at = float("-inf")

    def __str__(self) -> str:
        fields = self._searches.hook.service.identity
        return ", ".join(f"{field.thing} {value}" for field, value in zip(fields, self.scope, strict=False))

    # --- for the poller ---

    def add(self, target: Target) -> None:
        """Take in a version."""
        self.awaited.add(target)
        if not self._active and not self._missing and self._searches.is_on and len(self.awaited) >= MANY:
            self._active = True
            self._since = self._covered = None
            # The processes of a fleet start at the same time.
            self._in(random.uniform(0.0, SECONDS_BETWEEN), self._begin)

    def remove(self, target: Target, one: str) -> int:
        """Forget a version; return how many ids are still waited for."""
        self.awaited.discard(one, target)
        if one not in self.awaited:
            self._shown.pop(one, None)
        # Half of them, so that a search does not come and go with every wait.
        if self._active and len(self.awaited) < MANY / 2:
            self.stop()
        return len(self.awaited)

    def turn(self, target: Target, own: float, now: float) -> float:
        """Return when a version is polled again, whose wait would poll it at ``own``."""
        if not (self._relied_on and target.calm):
            return own
        slow = now + self._searches.slow
        if target.spread:
            return max(own, slow)
        # Each at its own time: these polls are also what the search is checked by, from the beginning.
        target.spread = True
        return random.uniform(own, max(own, slow))

    def polled(self, target: Target, answer: Answer, *, woken: bool) -> None:
        """Compare a poll with what the searches have shown."""
        was_calm = target.calm
        changed = target.changed(answer)
        if woken and changed is not None:
            self._trust.found() if changed else self._trust.wasted()
        elif changed and was_calm and self._should_have_shown(target, answer):
            self._trust.missed()
        else:
            return
        self._reconsider()
        if self._active and self._trust.useless:
            self._put_aside()

    def stop(self) -> None:
        """Search no more, until there are many waits again."""
        self.end()
        self._shown.clear()
        self._reconsider()

    def end(self) -> None:
        """Begin no further search, and drop the outcome of one that is under way."""
        self._active = False
        if self._run is not None:
            self._run.over = True
            self._run = None
        self._cancel_timers()

    # --- one search after the other ---

    def _in(self, seconds: float, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(seconds, call))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _begin(self) -> None:
        self._cancel_timers()
        # The first search, whose answer has AWS's time, begins at this machine's.
        run = self._run = Run(self._since or datetime.now(UTC) - OVERLAP)
        self._in(LATE_AFTER, partial(self._late, run))
        try:
            searched = self._searches.submit(self, run.since, run)
        except RuntimeError:
            # The system gives no thread; the polls of the waits say so.
            self._run = None
            self._trust.failed()
            self._reconsider()
            self._plan(1)
            return
        searched.add_done_callback(partial(self._ended, run))

    def _late(self, run: Run) -> None:
        if run is self._run:
            self._trust.late()
            self._reconsider()

    def _ended(self, run: Run, searched: asyncio.Future[Found]) -> None:
        if run.over or run is not self._run or searched.cancelled():
            return
        self._run = None
        self._cancel_timers()
        if (bug := searched.exception()) is not None:
            log.error("The search for changes in %s failed", self, exc_info=bug)
            self._searches.switch_off(f"{type(bug).__name__} in a search for changes.")
            return
        found = searched.result()
        if found.error is None:
            self._trust.answered()
            self._move_on(run, found)
        elif found.may_pass:
            self._trust.failed()
            if found.expired:
                # The waits have to poll, which is where the connection is resolved again.
                self._trust.begin_again()
            log.debug("The search for changes in %s failed: %s", self, found.error.message)
        elif isinstance(found.error, ResourceMissingError):
            self._missing = True
            self.stop()
            return
        else:
            self._searches.switch_off(found.error.message)
            return
        # Whatever the rest meets, there is a next search.
        self._plan(found.requests)
        self._wake(found)
        self._reconsider()

    def _plan(self, requests: int) -> None:
        self._cancel_timers()
        pause = max(SECONDS_BETWEEN, requests * SECONDS_A_REQUEST)
        if self._trust.failures:
            pause = max(pause, min(LONGEST_PAUSE, SECONDS_BETWEEN * 2.0 ** min(self._trust.failures, 10)))
        self._in(pause * random.uniform(0.9, 1.1), self._begin)

    def _put_aside(self) -> None:
        """Let the waits have the requests that the search asked for in vain."""
        self._trust.begin_again()
        self._reconsider()
        if self._run is not None:
            self._run.over = True
            self._run = None
        self._cancel_timers()
        self._in(SECONDS_ASIDE, self._begin)
        self._log(
            "The search for changes in %s names image sets that have not changed: none for %.0f s.",
            *(self, SECONDS_ASIDE),
        )

    # --- what it found ---

    def _move_on(self, run: Run, found: Found) -> None:
        """Note which changes the searches should have shown, and from when the next one looks."""
        at = found.at or run.begun
        self._since = at - OVERLAP
        if found.complete:
            self._covered = (self._covered[0] if self._covered else run.since, at)
        else:
            # Which changes were left out, only the polls show.
            self._covered = None

    def _wake(self, found: Found) -> None:
        if found.error is None:
            # What is no longer shown, too old or beyond the last page, is new where it shows again.
            self._shown = {one: times for one, times in self._shown.items() if one in found.ids}
        for one in found.ids:
            times = self._shown.get(one, 0) + 1
            if times not in WORTH_A_POLL:
                self._shown[one] = times
                continue
            woken = [self._searches.polls.wake(target) for target in self.awaited.of(one)]
            if any(woken):
                self._shown[one] = times
        self._searches.polls.start_woken()

    def _should_have_shown(self, target: Target, answer: Answer) -> bool:
        changed_at = getattr(answer, "changed_at", None)
        if not isinstance(changed_at, datetime) or changed_at.tzinfo is None:
            return False
        if self._covered is None or target.watched.id in self._shown:
            return False
        begin, end = self._covered
        return bool(begin <= changed_at <= end - SHOWN_WITHIN)

    def _reconsider(self) -> None:
        """Have the waits rely on the search, or return them to their own turns."""
        relied_on = self._active and self._trust.relied_on
        if relied_on == self._relied_on:
            return
        self._relied_on = relied_on
        if relied_on:
            self._log(
                "A search every %.0f s shows what changes in %s. Image sets that change are polled first, "
                "those that are not busy every %.0f s (%s).",
                *(SECONDS_BETWEEN, self, self._searches.slow, UNCHANGED_POLL_INTERVAL),
            )
        else:
            self._searches.polls.return_to_turns(self.awaited)
            if self._active:
                why = "fails or is late" if self._trust.failures >= FAILURES else "does not show what changes"
                self._log("The search for changes in %s %s: all are polled in turn again.", self, why)

    def _log(self, text: str, *values: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= SECONDS_BETWEEN_LOG_LINES:
            self._logged_at = now
            log.info(text, *values)
