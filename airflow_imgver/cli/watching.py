"""``airflow imgver watch``: the events of a watcher, at a prompt."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TextIO

from airflow_imgver.arguments.times import time_value
from airflow_imgver.cli.connection import overridden
from airflow_imgver.cli.running import UsageError, command
from airflow_imgver.events.cursor import Cursor
from airflow_imgver.events.filters import EventFilter
from airflow_imgver.events.queue import QueueReader
from airflow_imgver.events.scans import DatastoreWatch, ImageWatch, Watch
from airflow_imgver.events.watching import queue_events, watch_events
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE, SERVICES
from airflow_imgver.text import one_line

Event = dict[str, Any]

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_OF_IMAGE_SETS = ("datastore_id", "image_set_id", "primary_only")
_OF_IMAGES = ("image_name", "name_contains")


@command
def watch(args: argparse.Namespace, out: TextIO) -> None:
    """Print events until Ctrl-C, or until there were ``--max-items``."""
    stop = threading.Event().wait
    with closing(_source(args)) as source:
        events = _patiently(lambda: source.events(stop), stop)
        for event in islice(events, args.max_items):
            out.write(f"{_json(event) if args.output == 'json' else _line(event)}\n")
            out.flush()


def _patiently(events: Callable[[], Iterator[Event]], stop: Callable[[float], bool]) -> Iterator[Event]:
    """Wait out errors that may pass, with growing pauses, and go on."""
    pause = _FIRST_PAUSE
    while True:
        try:
            for event in events():
                pause = _FIRST_PAUSE
                yield event
        except AwsCallError as error:
            if not error.transient:
                raise
            _say(f"{error.message} This may pass; next request in {pause:.0f} s. {error.about}")
        else:
            return
        stop(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


# --- what is watched ------------------------------------------------------------------------------------


class _Queue:
    """The events of a queue."""

    def __init__(self, args: argparse.Namespace) -> None:
        if args.since is not None:
            raise UsageError("--since is not for a queue, which gives what it has.")
        if args.name_contains is not None:
            raise UsageError("--name-contains is not for a queue. Name the images with --image-name.")
        wanted = _filters(args)
        self._wanted = list(wanted)
        self._reader = QueueReader(
            args.queue_url, services=[each.service for each in wanted], aws_conn_id=args.aws_conn_id or None
        )
        for hook in self._reader.hooks():
            overridden(hook, args)
        self._reader.connect()
        _say(
            f"Watching {one_line(args.queue_url)} until Ctrl-C. Nothing is deleted, but each message that is "
            "received here is hidden from other readers for 30 s and counts as received."
        )

    def events(self, stop: Callable[[float], bool]) -> Iterator[Event]:
        """Return the events; messages about other things are reported on stderr."""
        return queue_events(self._reader, self._wanted, stop, rejected=_say)

    def close(self) -> None:
        self._reader.close()


class _Scans:
    """The events of a data store or of images."""

    def __init__(self, watch: Watch, args: argparse.Namespace) -> None:
        self._watch, self._interval = watch, args.interval
        self._cursor = Cursor.start(_time(args.since))
        overridden(watch.hook, args)
        watch.connect()
        _say(f"Watching until Ctrl-C, with a scan every {args.interval:g} s.")

    def events(self, stop: Callable[[float], bool]) -> Iterator[Event]:
        """Return the events."""
        return watch_events(self._watch, stop, interval=self._interval, cursor=self._cursor)

    def close(self) -> None:
        self._watch.close()


def _source(args: argparse.Namespace) -> _Queue | _Scans:
    if args.queue_url is not None:
        return _checked(_Queue, args)
    connection = {"aws_conn_id": args.aws_conn_id or None}
    named = [name for name in ("datastore_id", *_OF_IMAGES) if getattr(args, name) is not None]
    if len(named) != 1:
        raise UsageError(
            "Give --queue-url, --datastore-id, --image-name or --name-contains"
            + (", one of them without a queue." if named else ".")
        )
    (wanted,) = _filters(args)
    if named == ["datastore_id"]:
        return _Scans(DatastoreWatch(args.datastore_id, wanted, **connection), args)
    return _Scans(ImageWatch(args.image_name, args.name_contains, wanted, **connection), args)


def _checked(source: type[_Queue], args: argparse.Namespace) -> _Queue:
    try:
        return source(args)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _filters(args: argparse.Namespace) -> list[EventFilter]:
    """Return a filter for each service that the options leave; all have the same phases."""
    image_sets = any(getattr(args, name) for name in _OF_IMAGE_SETS)
    images = any(getattr(args, name) for name in _OF_IMAGES)
    if image_sets and images:
        raise UsageError("--image-name and --name-contains are not for image sets.")
    filters = {
        HEALTHIMAGING.client_type: EventFilter.of(
            HEALTHIMAGING,
            phases=args.phases,
            ids={"datastore_id": args.datastore_id, "image_set_id": args.image_set_id},
            primary_only=args.primary_only,
        ),
        SAGEMAKER_IMAGE.client_type: EventFilter.of(
            SAGEMAKER_IMAGE, phases=args.phases, ids={"image_name": args.image_name}
        ),
    }
    left = {HEALTHIMAGING.client_type: not images, SAGEMAKER_IMAGE.client_type: not image_sets}
    return [each for name, each in filters.items() if left[name]]


def _time(since: str | None) -> datetime | None:
    try:
        return time_value(since, "--since")
    except ValueError as error:
        raise UsageError(str(error)) from error


# --- what is printed ------------------------------------------------------------------------------------


def _json(event: Mapping[str, Any]) -> str:
    return json.dumps(event)


def _line(event: Mapping[str, Any]) -> str:
    service = next(each for each in SERVICES if each.client_type == event["service"])
    identity = {name: event[name] for name in service.identity_names}
    reason = f": {event['reason']}" if event["reason"] else ""
    when = event["changed_at"] or event["observed_at"]
    return one_line(
        f"{when} {event['phase']} {event['status']} version {event['version']} of "
        f"{service.describe(identity)}{reason}"
    )


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", file=sys.stderr, flush=True)  # noqa: T201
