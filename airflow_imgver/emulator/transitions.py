"""Statuses that change by themselves: at once, after a number of seconds, or after a number of reads."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from moto.moto_api import state_manager

if TYPE_CHECKING:
    from collections.abc import Callable

# A hundred years: a larger number of seconds does not fit into a date.
_LONGEST = timedelta(days=36_500).total_seconds()


def now() -> datetime:
    """Give the current time in whole milliseconds, which is all that an answer carries."""
    return in_milliseconds(datetime.now(UTC))


def in_milliseconds(time: datetime) -> datetime:
    """Cut a time to milliseconds, so that a filter finds what an answer showed."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class Changing:
    """
    A resource whose status changes by itself.

    moto's own ``ManagedState`` moves by one status each time it is read, and dates the change to that read.
    Here a status is a function of the clock, whether anybody reads it or not.
    """

    model: ClassVar[str]
    """The name under which moto's state manager keeps how long a change takes."""

    status: str
    since: datetime
    """The time at which the status began."""

    _reads = 0
    _number = -1

    def next_status(self) -> str | None:
        """Give the status that follows by itself, None where the status stays."""
        raise NotImplementedError

    def enter(self, status: str, time: datetime) -> None:
        """Take a status that begins at a time, with all that goes with it."""
        self.status = status


@dataclass(frozen=True)
class Change:
    """
    One change of a status, as listeners receive it.

    :param service: botocore's name of the service.
    :param resource: The resource, already in its new status.
    :param before: The status before, None for a resource that was created.
    :param after: The new status.
    :param time: The time of the change, which may be before the time at which a read found it.
    """

    service: str
    resource: Changing
    before: str | None
    after: str
    time: datetime


listeners: list[Callable[[Change], None]] = []
"""Called with each change, in the order of their times, under the lock of the service's backend."""


class Timeline:
    """
    The status changes of one service in one account and region, which happen in the order of their times.

    Every call settles the timeline first, so that a change meets the same state as if it had been carried out
    at its time. The caller holds the lock of the backend.

    :param service: botocore's name of the service.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._pending: dict[str, list[tuple[datetime, int, Changing]]] = {}
        self._numbers = itertools.count()

    def create(self, resource: Changing, status: str, time: datetime | None = None) -> None:
        """Give a new resource its first status, at a time or now."""
        self._change(resource, None, status, time or now())

    def change(self, resource: Changing, status: str, time: datetime | None = None) -> None:
        """Give a resource another status, at a time or now."""
        self._change(resource, resource.status, status, time or now())

    def add(self, resource: Changing) -> None:
        """Take a resource in its status, without a report; the time of its next change starts now."""
        resource.since, resource._reads = now(), 0
        self._wait(resource)

    def remove(self, resource: Changing) -> None:
        """Forget a resource that something else replaces."""
        resource._number = -1

    def settle(self) -> None:
        """Carry out the changes whose time has come."""
        time = now()
        while (due := self._next()) is not None and due[0] <= time:
            due_at, _, resource = due
            following = resource.next_status()
            if following is None:
                self.remove(resource)
            else:
                self._change(resource, resource.status, following, due_at)

    def read(self, resource: Changing) -> None:
        """Count one read of a resource, whose status may change after a number of reads."""
        transition = state_manager.get_transition(resource.model)
        if transition["progression"] != "manual":
            return
        resource._reads += 1
        following = resource.next_status()
        if following is not None and resource._reads >= transition["times"]:
            self._change(resource, resource.status, following, now())

    def next_due(self) -> datetime | None:
        """Give the time of the next change, None where no change waits for the clock."""
        due = self._next()
        return None if due is None else due[0]

    def _change(self, resource: Changing, before: str | None, status: str, time: datetime) -> None:
        resource.enter(status, time)
        resource.since, resource._reads = time, 0
        self._wait(resource)
        change = Change(self._service, resource, before, resource.status, time)
        for listener in tuple(listeners):
            listener(change)

    def _wait(self, resource: Changing) -> None:
        resource._number = next(self._numbers)
        if resource.next_status() is not None:
            waiting = (resource.since, resource._number, resource)
            heapq.heappush(self._pending.setdefault(resource.model, []), waiting)

    def _next(self) -> tuple[datetime, int, Changing] | None:
        """Find the change that is due first: within a model all changes take the same time."""
        first = None
        for model, pending in self._pending.items():
            while pending and pending[0][1] != pending[0][2]._number:
                heapq.heappop(pending)
            seconds = _seconds(model)
            if pending and seconds is not None:
                since, number, resource = pending[0]
                due = in_milliseconds(since + timedelta(seconds=seconds)), number, resource
                first = due if first is None else min(first, due)
        return first


def _seconds(model: str) -> float | None:
    """Give the seconds that a change of a model takes, None where it waits for reads."""
    transition = state_manager.get_transition(model)
    if transition["progression"] == "time":
        return min(float(transition["seconds"]), _LONGEST)
    return None if transition["progression"] == "manual" else 0.0
