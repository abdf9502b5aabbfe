"""
Events without a queue: a scan finds what changed since the last one.

A search or a list finds what changed; the versions of each are listed, and every version that changed since
the cursor is reported, those too that came and went between two scans. ``updatedAt`` is known to move when
work begins, and not known to move when it ends, so what is busy is listed at every scan until it is not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow_imgver.events.cursor import OVERLAP, Cursor, Mark
from airflow_imgver.events.event import Fact
from airflow_imgver.events.filters import EventFilter
from airflow_imgver.exceptions import AwsCallError, ResourceMissingError, UnexpectedAnswerError
from airflow_imgver.options import THREADS
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE
from airflow_imgver.services.description import Service
from airflow_imgver.versions import Phase, VersionStatus

if TYPE_CHECKING:
    from airflow_imgver.hooks.base import ImageVersionHook
    from airflow_imgver.hooks.healthimaging import HealthImagingHook
    from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What a scan found.

    :param facts: the facts that the filter wants and the cursor does not remember, the oldest first.
    :param mark: where the cursor moves once the events of all facts are stored.
    :param observed_at: when the scan began.
    """

    facts: tuple[Fact, ...]
    mark: Mark
    observed_at: datetime


class Watch:
    """
    Scans for what changed; the base of :class:`DatastoreWatch` and :class:`ImageWatch`. Its methods block.

    A scan changes nothing: report its facts, store them, then :meth:`~.cursor.Cursor.move` the cursor to its
    mark and ``cursor.remembered.add`` the key of each fact::

        cursor = Cursor.start()
        while True:
            scan = watch.scan(cursor)
            for fact in scan.facts:
                report(event_of(fact, scan.observed_at))
                cursor.remembered.add(fact.key)
            cursor.move(scan.mark)
            time.sleep(30)

    :param wanted: which events are wanted.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    """

    service: Service

    def __init__(
        self,
        wanted: EventFilter,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        self.wanted = wanted
        self._connection: dict[str, Any] = {
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "config": botocore_config,
        }
        # What was listed and settled, and its last change: as long as that is the same, there is no news.
        self._settled: dict[str, datetime] = {}

    @cached_property
    def hook(self) -> ImageVersionHook:
        """The hook; each request waits for its turn in the budget that gates use."""
        return self.service.hook_class()(**self._connection)

    def connect(self) -> None:
        """
        Resolve the connection and build the client; a trigger does so in the thread that Airflow allows.

        :raises AwsCallError: no client can be built.
        """
        with self.hook.named_errors(f"the connection {self.hook.aws_conn_id!r}"):
            _ = self.hook.conn

    def close(self) -> None:
        """Close the client's connections."""
        if "hook" in self.__dict__ and "conn" in self.hook.__dict__:
            self.hook.close()

    def scan(self, cursor: Cursor) -> Scan:
        """
        Find what changed since the cursor, and list it.

        :param cursor: where to begin; it stays as it is.
        :raises AwsCallError: AWS refused or did not answer, or a request that may succeed later failed.
        """
        began = datetime.now(UTC)
        changed = self._changed(cursor)
        since = max([cursor.since, *(when for when in changed.values() if when is not None)])
        names = [name for name in {**changed, **cursor.busy} if self._is_news(name, changed, cursor)]
        floor = cursor.since - OVERLAP
        floors = {name: min(floor, cursor.busy.get(name, floor)) for name in names}
        facts: list[Fact] = []
        busy: dict[str, datetime] = {}
        for name, listed in self._listed(names, floors):
            last = changed.get(name) or cursor.busy.get(name) or floor
            if isinstance(listed, ResourceMissingError):
                continue
            if isinstance(listed, Exception):
                log.warning("%s It is tried again at the next scan.", listed)
                busy[name] = cursor.busy.get(name, last)
                continue
            facts += self._news(name, listed, floors[name])
            since = max([since, *(each.changed_at for each in listed if each.changed_at)])
            if any(each.phase is Phase.BUSY for each in listed):
                busy[name] = cursor.busy.get(name, last)
                self._settled.pop(name, None)
            elif name in changed and changed[name] is not None:
                self._settled[name] = cast("datetime", changed[name])
        self._forget(floor)
        found = {
            fact.key: fact for fact in facts if self.wanted.wants(fact) and fact.key not in cursor.remembered
        }
        return Scan(tuple(sorted(found.values(), key=_order)), Mark.of(min(since, began), busy), began)

    def _changed(self, cursor: Cursor) -> Mapping[str, datetime | None]:
        """Find what may have changed, and when; None where AWS does not say it."""
        raise NotImplementedError

    def _identity(self, name: str) -> dict[str, str]:
        raise NotImplementedError

    def _versions(self, name: str, floor: datetime) -> Iterable[VersionStatus]:
        """List the versions that may have changed since a time."""
        return map(self.hook.read, self.hook.stream(self._identity(name)))

    def _is_news(self, name: str, changed: Mapping[str, datetime | None], cursor: Cursor) -> bool:
        if not self.wanted.wants_identity(self._identity(name)):
            return False
        last = changed.get(name)
        return name in cursor.busy or last is None or self._settled.get(name) != last

    def _listed(
        self, names: Sequence[str], floors: Mapping[str, datetime]
    ) -> Iterable[tuple[str, list[VersionStatus] | AwsCallError | UnexpectedAnswerError]]:
        """List each in a few threads; an error that may pass ends the scan."""

        def listed(name: str) -> list[VersionStatus] | AwsCallError | UnexpectedAnswerError:
            try:
                return list(self._versions(name, floors[name]))
            except (AwsCallError, UnexpectedAnswerError) as error:
                if isinstance(error, AwsCallError) and (error.transient or error.expired):
                    raise
                return error.with_traceback(None)

        if len(names) <= 1:
            return [(name, listed(name)) for name in names]
        with ThreadPoolExecutor(
            min(len(names), THREADS.whole()), thread_name_prefix="imgver-scan"
        ) as threads:
            try:
                return list(zip(names, threads.map(listed, names), strict=True))
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _news(self, name: str, listed: Sequence[VersionStatus], floor: datetime) -> Iterable[Fact]:
        """Return the facts of the versions that changed since a time."""
        identity = self._identity(name)
        latest = max(listed, key=_number, default=None)
        for each in listed:
            # HealthImaging deletes whole image sets: one fact, and not one for each version.
            if each.phase is Phase.DELETED and each is not latest:
                continue
            if each.changed_at is None or each.changed_at >= floor:
                self.hook.log_unknown_status(each)
                yield Fact(self.service, identity, each)

    def _forget(self, floor: datetime) -> None:
        """Forget what no search finds any more."""
        self._settled = {name: when for name, when in self._settled.items() if when >= floor}


class DatastoreWatch(Watch):
    """
    Scans for image sets of a data store that changed, through SearchImageSets.

    Needs ``medical-imaging:SearchImageSets`` and ``medical-imaging:ListImageSetVersions``. Only ids and times
    of a search's answers are kept.

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :raises InvalidIdentityError: the id breaks AWS's pattern.
    """

    service = HEALTHIMAGING

    def __init__(self, datastore_id: str, wanted: EventFilter | None = None, **connection: Any) -> None:
        super().__init__(wanted or EventFilter.of(HEALTHIMAGING), **connection)
        self.datastore_id = HEALTHIMAGING.identity[0].check(datastore_id)

    def _changed(self, cursor: Cursor) -> Mapping[str, datetime | None]:
        found = cast("HealthImagingHook", self.hook).iter_changed_image_sets(
            self.datastore_id, updated_after=cursor.since - OVERLAP
        )
        return dict(found)

    def _identity(self, name: str) -> dict[str, str]:
        return {"datastore_id": self.datastore_id, "image_set_id": name}


class ImageWatch(Watch):
    """
    Scans for versions of images that changed, through ListImageVersions.

    Each image costs a request a scan. Needs ``sagemaker:ListImageVersions``, and for ``name_contains`` or no
    names ``sagemaker:ListImages``.

    :param image_names: the names of images, or one; None for all that ``name_contains`` finds.
    :param name_contains: images with this text in their names; None for all images.
    :raises InvalidIdentityError: a name breaks AWS's pattern.
    :raises ValueError: both are given.
    """

    service = SAGEMAKER_IMAGE

    def __init__(
        self,
        image_names: str | Sequence[str] | None = None,
        name_contains: str | None = None,
        wanted: EventFilter | None = None,
        **connection: Any,
    ) -> None:
        super().__init__(wanted or EventFilter.of(SAGEMAKER_IMAGE), **connection)
        if image_names is not None and name_contains is not None:
            raise ValueError("Give image_names or name_contains, not both.")
        names = (image_names,) if isinstance(image_names, str) else image_names
        check = SAGEMAKER_IMAGE.key.check
        self.image_names = None if names is None else tuple(dict.fromkeys(check(name) for name in names))
        if self.image_names == ():
            raise ValueError("image_names is empty, so that no event would be sent. Leave it out for all.")
        self.name_contains = name_contains

    def _changed(self, cursor: Cursor) -> Mapping[str, datetime | None]:
        if self.image_names is not None:
            return dict.fromkeys(self.image_names)
        hook = cast("SageMakerImageHook", self.hook)
        return dict.fromkeys(hook.iter_image_names(name_contains=self.name_contains))

    def _identity(self, name: str) -> dict[str, str]:
        return {"image_name": name}

    def _versions(self, name: str, floor: datetime) -> Iterable[VersionStatus]:
        hook = cast("SageMakerImageHook", self.hook)
        return map(hook.read, hook.iter_image_versions(name, last_modified_time_after=floor))


def _number(each: VersionStatus) -> int:
    return each.number


def _order(fact: Fact) -> Any:
    return fact.order
