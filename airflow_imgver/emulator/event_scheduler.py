"""Carries out the changes of a status at their times, so that their events leave without any request."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from moto.moto_api import state_manager

from airflow_imgver.emulator.transitions import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_imgver.emulator.transitions import Change, Timeline

log = logging.getLogger(__name__)

# Seconds. A test may shorten the time of a change at any time, which nothing reports.
_LONGEST_WAIT = 1.0
# Many changes at once are looked through once.
_SHORTEST_WAIT = 0.01


class EventScheduler:
    """
    One thread, which runs only once something waits for the clock.

    :param next_due: Gives the time at which an event is due, None where none is.
    :param deliver: Delivers the events that are due.
    """

    def __init__(self, next_due: Callable[[], datetime | None], deliver: Callable[[], None]) -> None:
        self._next_due = next_due
        self._deliver = deliver
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread, or wake it where it runs."""
        with self._starting:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="embedded-aws-events", daemon=True)
                self._thread.start()
        self._woken.set()

    def changed(self, change: Change) -> None:
        """Take note of a change that another one may follow."""
        if state_manager.get_transition(change.resource.model)["progression"] == "time":
            self.start()

    def stop(self) -> None:
        """End the thread, and wait for its end."""
        with self._starting:
            self._stopped.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_SHORTEST_WAIT):
            try:
                due = self._settle()
                self._deliver()
            except Exception:
                log.exception("A change of a status failed")
                due = None
            seconds = _LONGEST_WAIT if due is None else (due - now()).total_seconds()
            self._woken.wait(min(max(seconds, 0), _LONGEST_WAIT))
            self._woken.clear()

    def _settle(self) -> datetime | None:
        """Carry out what is due, and give the time of what comes next."""
        times = [self._next_due()]
        for lock, timeline in _timelines():
            with lock:
                timeline.settle()
                times.append(timeline.next_due())
        return min((time for time in times if time is not None), default=None)


def _timelines() -> Iterator[tuple[Any, Timeline]]:
    """Give the timelines of both services, each with the lock of its backend."""
    of_healthimaging = sys.modules.get("airflow_imgver.emulator.medicalimaging.models")
    for regions in list(of_healthimaging.medicalimaging_backends.values()) if of_healthimaging else ():
        for backend in list(regions.values()):
            yield backend.lock, backend.timeline
    of_sagemaker = sys.modules.get("airflow_imgver.emulator.sagemaker.store")
    for store in of_sagemaker.stores() if of_sagemaker else ():
        yield store.lock, store.timeline
