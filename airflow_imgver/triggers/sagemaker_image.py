"""Waiting for an image of Amazon SageMaker AI, and events of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_imgver.events.filters import DEFAULT_PHASES, EventFilter
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.triggers.base import ImageVersionTrigger
from airflow_imgver.triggers.event_base import EventQueueTrigger, WatchTrigger, as_list

if TYPE_CHECKING:
    from airflow_imgver.events.scans import ImageWatch


class SageMakerImageVersionTrigger(ImageVersionTrigger):
    """
    Polls an image's version until the gate opens; further arguments are the base class's.

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them; or a
        list of them.
    """

    service = SAGEMAKER_IMAGE

    def __init__(self, *, image_name: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name


class SageMakerImageEventQueueTrigger(EventQueueTrigger):
    """
    Sends an event for each version of an image that a message of a queue is about; for ``AssetWatcher``.

    A message is a hint: the version is listed, and what AWS says then is the event. All watchers of a queue
    in a triggerer share one receive loop. Messages that are not about image versions are left in the queue,
    for its dead-letter policy. Takes the connection's arguments of the base class too.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html

    :param queue_url: the address of an SQS queue to which EventBridge delivers; not a FIFO queue.
    :param phases: which versions: ``ready``, ``failed``, ``busy``, or one of them.
    :param image_names: only images whose names match one of these shell patterns, for example ``studio-*``,
        or one pattern; None for any.
    """

    service = SAGEMAKER_IMAGE
    arguments = ("queue_url", "phases", "image_names")

    def __init__(
        self,
        queue_url: str,
        *,
        phases: str | Sequence[str] = DEFAULT_PHASES,
        image_names: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(queue_url=queue_url, phases=phases, **kwargs)
        self.image_names = as_list(image_names)

    @cached_property
    def wanted(self) -> EventFilter:
        """The filter, from the arguments."""
        patterns = {"image_name": self.image_names}
        return EventFilter.of(self.service, phases=self.phases, patterns=patterns)


class SageMakerImageWatchTrigger(WatchTrigger):
    """
    Sends an event for each version of images, without a queue; for ``AssetWatcher``.

    It lists what was modified since its cursor. Every version is reported, also one that came and went while
    no triggerer ran. Each image costs a request a scan. Takes the connection's arguments of the base class
    too.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html

    :param image_names: the names of images, or one; None for all that ``name_contains`` finds.
    :param name_contains: images with this text in their names; None for all images.
    :param phases: which versions: ``ready``, ``failed``, ``busy``, or one of them.
    :param poll_interval: seconds between two scans, 1 or more.
    :param cursor_name: the name under which the cursor is kept; None for one made of the arguments.
    """

    service = SAGEMAKER_IMAGE
    arguments = ("image_names", "name_contains", "phases", "poll_interval", "cursor_name")

    def __init__(
        self,
        image_names: str | Sequence[str] | None = None,
        name_contains: str | None = None,
        *,
        phases: str | Sequence[str] = DEFAULT_PHASES,
        poll_interval: float = 60.0,
        cursor_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(phases=phases, poll_interval=poll_interval, cursor_name=cursor_name, **kwargs)
        self.image_names = as_list(image_names)
        self.name_contains = name_contains

    @cached_property
    def wanted(self) -> EventFilter:
        """The filter, from the arguments."""
        return EventFilter.of(self.service, phases=self.phases)

    def watch(self) -> ImageWatch:
        """Return what scans for changes."""
        from airflow_imgver.events.scans import ImageWatch

        return ImageWatch(self.image_names, self.name_contains, self.wanted, **self.connection)
