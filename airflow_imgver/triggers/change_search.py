"""
Searches for what has changed, for all waits of one client: one for each data store with many waits.

A search only wakes waits, which are then polled before all others: a gate opens, fails or settles on the call
that lists versions alone. Waits that are not busy are polled less often, once their search has proven that it
shows changes. Whatever a search does, fail, lag or lie, it costs delay and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Protocol

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import CHANGE_SEARCH, UNCHANGED_POLL_INTERVAL
from airflow_imgver.triggers.area import Area, Run
from airflow_imgver.triggers.interest import Target
from airflow_imgver.triggers.search import Found, search

log = logging.getLogger(__name__)


class Polls(Protocol):
    """What a search may ask of the poller."""

    def wake(self, target: Target) -> bool:
        """Poll a version before all others; return False where no wait could use its answer yet."""

    def start_woken(self) -> None:
        """Begin with the polls of those that were woken."""

    def return_to_turns(self, targets: Iterable[Target]) -> None:
        """Poll versions as often as their waits would by themselves."""


class ChangeSearches:
    """
    The searches of one client. Everything here runs on the event loop, except the requests.

    :param hook: a hook whose client is built.
    :param polls: the poller.
    :raises ValueError: an option cannot be read.
    """

    def __init__(self, hook: ImageVersionHook, polls: Polls) -> None:
        self.hook = hook
        self.polls = polls
        self.slow = UNCHANGED_POLL_INTERVAL.number()
        self._method = hook.service.changed_by if CHANGE_SEARCH.is_on() else None
        self._areas: dict[tuple[str, ...], Area] = {}
        self._thread: ThreadPoolExecutor | None = None

    @property
    def is_on(self) -> bool:
        """Whether this client searches."""
        return self._method is not None

    def add(self, target: Target) -> None:
        """Take in a version that is polled from now on."""
        scope = target.watched.searched_in if self.is_on else None
        if scope is None:
            return
        area = self._areas.get(scope)
        if area is None:
            area = self._areas[scope] = Area(self, scope)
        target.area = area
        area.add(target)

    def remove(self, target: Target, one: str) -> None:
        """Forget a version that nobody waits for any more."""
        area, target.area = target.area, None
        if area is not None and area.remove(target, one) == 0:
            self._areas.pop(area.scope, None)

    def submit(self, area: Area, since: datetime, run: Run) -> asyncio.Future[Found]:
        """Search in a thread: one for all areas, so that searches never keep polls waiting."""
        assert self._method is not None  # noqa: S101  # for the type checker
        if self._thread is None:
            name = f"imgver-{self.hook.service.client_type}-search"
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        call = partial(search, self.hook, self._method, area.scope, since, area.awaited, run.is_over)
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def switch_off(self, reason: str) -> None:
        """Search no more with this client."""
        if not self.is_on:
            return
        self._method = None
        for area in list(self._areas.values()):
            area.stop()
        service = self.hook.service
        log.warning(
            "%s Waits are polled in turn, without a search for changes. Allow %s:%s to the identity of the "
            "connection, or set %s to False.",
            *(reason, service.client_type, service.finding.operation, CHANGE_SEARCH),
        )

    def close(self) -> None:
        """Begin no further search."""
        for area in self._areas.values():
            area.end()

    def join(self) -> None:
        """Wait for a search that is under way; not on the event loop."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
