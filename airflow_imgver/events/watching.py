"""
The events of a reader as a plain iterator, for a command at a prompt. Nothing is deleted, and nothing stored.

Both iterators raise the :class:`~airflow_imgver.exceptions.AwsCallError` that ended them; where its
``transient`` is true, call the function again. Each event comes once per ``key`` for as long as one iterator
lives, or for the last 1,000 facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from airflow_imgver.events.cursor import Cursor, Remembered
from airflow_imgver.events.event import event_of
from airflow_imgver.events.filters import EventFilter
from airflow_imgver.events.queue import Outcome, QueueReader
from airflow_imgver.events.scans import Watch

Stop = Callable[[float], bool]
"""Waits for so many seconds, and returns whether to stop; ``threading.Event().wait`` is one."""


def queue_events(
    reader: QueueReader,
    wanted: Sequence[EventFilter],
    stop: Stop,
    *,
    wait: int = 5,
    visibility: int = 30,
    rejected: Callable[[str], None] = lambda why: None,
) -> Iterator[dict[str, Any]]:
    """
    Yield the events of a queue's messages, which stay in the queue.

    A message that was received is hidden from other readers for ``visibility`` seconds, and each receipt
    counts for the queue's dead-letter policy. So read a queue of your own, and not that of a running watcher.

    :param reader: a connected reader.
    :param wanted: the filters, of which one must want an event.
    :param stop: asked between two requests, with 0 seconds or a pause.
    :param wait: seconds that a request waits for messages; ``stop`` is not asked meanwhile.
    :param rejected: is called with the reason for each message that is about something else, or unreadable.
    :raises AwsCallError: AWS refused or did not answer.
    """
    events, messages = Remembered(), Remembered()
    while not stop(0):
        received = reader.receive(wait=wait, visibility=visibility)
        for message in received:
            if message.message_id in messages:
                continue
            seen = reader.observe(message)
            if seen.outcome is Outcome.LATER:
                continue
            messages.add(message.message_id)
            if seen.outcome is Outcome.REJECTED:
                rejected(seen.why)
            for fact in seen.facts:
                if any(each.wants(fact) for each in wanted) and events.add(fact.key):
                    yield event_of(fact, seen.observed_at)
        if received and all(message.message_id in messages for message in received) and stop(1):
            return


def watch_events(
    watch: Watch, stop: Stop, *, interval: float = 30.0, cursor: Cursor | None = None
) -> Iterator[dict[str, Any]]:
    """
    Yield the events of a watch without a queue.

    :param watch: a connected :class:`~.scans.DatastoreWatch` or :class:`~.scans.ImageWatch`.
    :param stop: waits between two scans.
    :param interval: seconds between two scans.
    :param cursor: where to begin; None for five minutes ago. It moves along.
    :raises AwsCallError: AWS refused or did not answer.
    """
    cursor = cursor or Cursor.start()
    while True:
        scan = watch.scan(cursor)
        for fact in scan.facts:
            cursor.remembered.add(fact.key)
            yield event_of(fact, scan.observed_at)
        cursor.move(scan.mark)
        if stop(interval):
            return
