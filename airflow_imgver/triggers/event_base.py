"""
Triggers for ``AssetWatcher``: they send an event for each version that becomes ready or fails.

From Airflow 3.3 on they use shared streams in the mode in which Airflow says that an event is stored; before,
:meth:`run` gives Airflow a stated time to store it. Airflow imports these modules on the triggerer's event
loop, so what reads AWS is imported in a thread, when a watcher begins.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_imgver.events.filters import EventFilter
from airflow_imgver.services.description import Service
from airflow_imgver.triggers.places import digest

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")


class ImageVersionEventTrigger(BaseEventTrigger):
    """
    Sends an event for each version of an image set or image that the filter wants, at least once.

    The keyword arguments are stored in Airflow's database, and a later release still reads those of an
    earlier one. They are checked when the watcher runs, and not before: an error of a stored trigger's
    constructor would end the triggerer. Airflow has one trigger for watchers with equal arguments.

    :param aws_conn_id: the Airflow connection for AWS.
    :param region_name: the AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    """

    service: ClassVar[Service]
    arguments: ClassVar[tuple[str, ...]]
    """The arguments besides those of the connection."""

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that make this trigger again."""
        cls = type(self)
        names = (*self.arguments, *CONNECTION)
        return f"{cls.__module__}.{cls.__qualname__}", {name: getattr(self, name) for name in names}

    @cached_property
    def wanted(self) -> EventFilter:
        """
        The filter, from the arguments.

        :raises ValueError: an argument is not what it must be.
        """
        raise NotImplementedError

    @property
    def connection(self) -> dict[str, Any]:
        """The connection's settings."""
        return {name: getattr(self, name) for name in CONNECTION}

    @property
    def place_name(self) -> str:
        """The name under which the watcher keeps what it must know after a restart."""
        classpath, kwargs = self.serialize()
        own = {name: kwargs[name] for name in self.arguments if name not in ("poll_interval", "cursor_name")}
        arguments = json.dumps([classpath, own], sort_keys=True, default=str)
        return f"imgver.{classpath.rpartition('.')[2]}.{digest(arguments)}"


class EventQueueTrigger(ImageVersionEventTrigger):
    """
    Sends the events of a queue's messages; all watchers of a queue in a triggerer share one receive loop.

    Takes the arguments of :class:`ImageVersionEventTrigger` too.

    :param queue_url: the address of an SQS queue to which EventBridge delivers; not a FIFO queue.
    :param phases: the phases of the versions: ``ready``, ``failed``, ``deleted``, ``busy``.
    """

    def __init__(self, *, queue_url: str, phases: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.phases = as_list(phases)

    def shared_stream_key(self) -> Hashable | None:
        """Return what identifies the queue: two loops that receive from one would halve it."""
        return ("airflow_imgver.queue", self.queue_url)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what reads the queue for all its watchers."""
        from airflow_imgver.triggers.shared_streams import QueueProducer

        return QueueProducer(kwargs)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Send this watcher's events, one message after the other."""
        from airflow_imgver.triggers.shared_streams import queue_events

        async for event in queue_events(self, shared_stream):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Send this watcher's events, where Airflow has no shared streams."""
        from airflow_imgver.triggers.unshared_streams import queue_events

        async for event in queue_events(self):
            yield event


class WatchTrigger(ImageVersionEventTrigger):
    """
    Sends events without a queue: it scans for what changed.

    Takes the arguments of :class:`ImageVersionEventTrigger` too.

    :param phases: the phases of the versions: ``ready``, ``failed``, ``deleted``, ``busy``.
    :param poll_interval: seconds between two scans.
    :param cursor_name: the name under which the cursor is kept; None for one made of the arguments, so that
        a watcher with other arguments begins anew.
    """

    def __init__(
        self, *, phases: Any, poll_interval: float, cursor_name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.phases = as_list(phases)
        self.poll_interval = poll_interval
        self.cursor_name = cursor_name

    def watch(self) -> Any:
        """
        Return what scans for changes, a :class:`~airflow_imgver.events.scans.Watch`.

        :raises ValueError: an argument is not what it must be.
        """
        raise NotImplementedError

    def shared_stream_key(self) -> Hashable | None:
        """Return a key that no other trigger has: only a shared stream says that an event is stored."""
        classpath, kwargs = self.serialize()
        return ("airflow_imgver.watch", classpath, json.dumps(kwargs, sort_keys=True, default=str))

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what scans for changes."""
        from airflow_imgver.triggers.shared_streams import WatchProducer

        return WatchProducer(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Send the events of the scans."""
        from airflow_imgver.triggers.shared_streams import watch_events

        async for event in watch_events(self, shared_stream):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Send the events of the scans, where Airflow has no shared streams."""
        from airflow_imgver.triggers.unshared_streams import watch_events

        async for event in watch_events(self):
            yield event


def as_list(values: Any) -> Any:
    """Return a sequence as a list, which is what comes back from Airflow's database; all else as it is."""
    return list(values) if isinstance(values, list | tuple | set | frozenset) else values
