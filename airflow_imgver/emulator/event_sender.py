"""
Puts each change of a status on the default event bus of the embedded EventBridge.

A change happens under the lock of its backend. Its event is written there, and delivered after the call, when
no lock is held: the target of a rule may be a program that calls the embedded AWS again.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import logging
import random
import sys
import threading
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator import transitions
from airflow_imgver.emulator.event_forms import FORMS, Event, event_of
from airflow_imgver.emulator.event_options import MIXED, EventOptions, event_options
from airflow_imgver.emulator.event_scheduler import EventScheduler
from airflow_imgver.emulator.transitions import Change, now

if TYPE_CHECKING:
    from moto.events.models import Rule

log = logging.getLogger(__name__)

# An event that is out of order waits for the next one, but not for ever.
_LONGEST_HOLD = timedelta(seconds=1)


class EventSender:
    """The events of this process, from a change to moto's EventBridge."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        self._numbers = itertools.count()
        self._scheduler: EventScheduler | None = None
        self._begin(EventOptions())

    def open(self, options: EventOptions, *, timed: bool) -> None:
        """
        Send events until :meth:`close`.

        :param options: How events are delivered.
        :param timed: Whether changes take time, so that they must be sent without any request.
        """
        with self._lock:
            self._begin(options)
            self._scheduler = EventScheduler(self.next_due, self.deliver)
        if timed:
            self._scheduler.start()
        transitions.listeners.append(self.note)

    def close(self) -> None:
        """Drop what was not delivered, and end the scheduler."""
        transitions.listeners.remove(self.note)
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.stop()
        with self._lock:
            self._begin(EventOptions())

    def set(self, options: EventOptions) -> None:
        """Deliver the next events in another way, and set the counts to zero."""
        with self._lock:
            self._options, self._random = options, random.Random(options.seed)
            self._counts.clear()

    def report(self) -> dict[str, Any]:
        """Give the options, and the number of events by what happened to them."""
        with self._lock:
            names = ("delivered", "lost", "doubled", "delayed", "out_of_order")
            counts = {name: self._counts[name] for name in names}
            return {"options": self._options.as_document(), "counts": counts}

    def note(self, change: Change) -> None:
        """Take a change, and queue its event if there are rules that may want it."""
        scheduler = self._scheduler
        if scheduler is None:
            return
        scheduler.changed(change)
        if not _has_rules():
            return
        with self._lock:
            form = self._options.form
            event = event_of(change, self._random.choice(FORMS) if form == MIXED else form)
            if event is not None:
                self._queue_as_chosen(event)
            late = bool(self._later)
        if late:
            scheduler.start()

    def deliver(self) -> None:
        """
        Deliver what is due.

        Only one thread delivers at a time, in order; another leaves its events to that one.
        """
        while self._has_due():
            if not self._delivering.acquire(blocking=False):
                return
            try:
                while (event := self._next()) is not None:
                    _put(event)
            finally:
                self._delivering.release()

    def next_due(self) -> datetime | None:
        """Give the time at which a late event is due."""
        with self._lock:
            return self._later[0][0] if self._later else None

    def _begin(self, options: EventOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._counts: Counter[str] = Counter()
        self._due: deque[Event] = deque()
        self._later: list[tuple[datetime, int, Event]] = []
        self._held: set[int] = set()

    def _queue_as_chosen(self, event: Event) -> None:
        options = self._options
        if self._chosen("lost", options.lost):
            return
        copies = 2 if self._chosen("doubled", options.doubled) else 1
        for _ in range(copies):
            if self._chosen("delayed", options.delayed):
                self._put_off(event, timedelta(seconds=options.delay_seconds))
            elif self._chosen("out_of_order", options.out_of_order):
                self._held.add(self._put_off(event, _LONGEST_HOLD))
            else:
                self._due.append(event)
                self._release_held()

    def _chosen(self, option: str, share: float) -> bool:
        chosen = self._random.random() < share
        self._counts[option] += chosen
        return chosen

    def _put_off(self, event: Event, delay: timedelta) -> int:
        number = next(self._numbers)
        heapq.heappush(self._later, (now() + delay, number, event))
        return number

    def _release_held(self) -> None:
        """Let the events that were held back follow the one that overtook them."""
        if self._held:
            late = sorted(self._later)
            self._due.extend(event for _, number, event in late if number in self._held)
            self._later = [each for each in late if each[1] not in self._held]
            self._held.clear()

    def _has_due(self) -> bool:
        with self._lock:
            return bool(self._due or (self._later and self._later[0][0] <= now()))

    def _next(self) -> Event | None:
        with self._lock:
            while self._later and self._later[0][0] <= now():
                _, number, event = heapq.heappop(self._later)
                self._held.discard(number)
                self._due.append(event)
            if not self._due:
                return None
            self._counts["delivered"] += 1
            return self._due.popleft()


EVENTS = EventSender()


def set_events(**options: Any) -> None:
    """
    Change how the next events of HealthImaging and SageMaker are delivered, and set their counts to zero.

    :param options: The members of :class:`~airflow_imgver.emulator.event_options.EventOptions`; one that is
        not given has its default, so no options at all mean each event once, in order and at once.
    :raises ValueError: an option is unknown, or its value is out of range.
    """
    EVENTS.set(event_options(options))


def events() -> dict[str, Any]:
    """
    Give how events are delivered, and how many were.

    :return: ``options``, as :func:`set_events` takes them, and ``counts``: ``delivered``, ``lost``,
        ``doubled``, ``delayed`` and ``out_of_order``. An event counts if the embedded EventBridge has a rule.
    """
    return EVENTS.report()


def _has_rules() -> bool:
    # Nobody can have made a rule before moto has imported its EventBridge, which takes a while.
    module = sys.modules.get("moto.events.models")
    if module is None:
        return False
    return any(
        backend.event_buses["default"].rules
        for regions in list(module.events_backends.values())
        for backend in list(regions.values())
    )


def _put(event: Event) -> None:
    """Put an event on the default bus of its account and region."""
    from moto.events.models import events_backends

    backend = events_backends[event["account"]][event["region"]]
    for rule in list(backend.event_buses["default"].rules.values()):
        if rule.state == "DISABLED":
            continue
        for target in list(rule.targets):
            try:
                _send(rule, target, event)
            except Exception:
                # As with AWS, a target that cannot take an event keeps it from no other target.
                log.exception("%s could not be delivered to %s", event["detail-type"], target["Arn"])


def _send(rule: Rule, target: dict[str, Any], event: Event) -> None:
    # moto changes the event for each target, so each has its own. Without a template of the target, moto's
    # default one would leave out the account.
    of_target = copy.copy(rule)
    of_target.targets = [target]
    message: Any = copy.deepcopy(event)
    transform = "InputTransformer" in target
    if transform:
        message["ingestion-time"] = now().timestamp()
    of_target.send_to_targets(message, transform_input=transform)
