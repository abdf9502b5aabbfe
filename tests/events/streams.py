"""Watchers as the triggerer runs them, in this process: Airflow's shared streams, and a database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

import boto3
import structlog
from botocore.config import Config

from airflow_imgver.triggers.event_base import ImageVersionEventTrigger

ACCOUNT = "123456789012"


class Variables:
    """Airflow's Variables, for all triggerers of this process; as `places.Variables`."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.gone = False

    async def get(self, name: str) -> Any:
        """As `places.Variables`."""
        if self.gone:
            raise RuntimeError("the database is gone")
        return json.loads(self.values[name]) if name in self.values else None

    async def set(self, name: str, value: Any) -> None:
        """As `places.Variables`."""
        if self.gone:
            raise RuntimeError("the database is gone")
        self.values[name] = json.dumps(value)


class AssetStates:
    """The states of assets, in memory; what the triggerer's accessor reaches in Airflow's database."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.writes = 0
        self.broken = False
        self.silent = False

    async def aget(self, key: str, default: Any = None) -> Any:
        """As Airflow's accessor."""
        if self.broken:
            raise RuntimeError("the database is gone")
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        """As Airflow's accessor."""
        if self.broken:
            raise RuntimeError("the database is gone")
        if self.silent:
            await asyncio.Event().wait()
        self.writes += 1
        self.values[key] = json.dumps(value)


class Triggerer:
    """
    Runs watchers on Airflow's own shared streams, and stores their events as a supervisor does.

    What `TriggerRunner.run_trigger` of Airflow's triggerer does is repeated here in its order, with
    an await between the filter's yield and the binding of its event, where a cancelled watcher is lost.
    """

    def __init__(self, *, ack_timeout: float = 300.0) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager  # since 3.3

        self.streams = SharedStreamManager(log=structlog.get_logger(), ack_timeout=ack_timeout)
        self.stored: list[tuple[int, dict[str, Any]]] = []
        self.outbound: list[tuple[int, dict[str, Any], int | None]] = []
        self.blocked: set[int] = set()
        self.storing = True
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._sync = asyncio.ensure_future(self._store())

    def start(self, *triggers: ImageVersionEventTrigger, states: AssetStates | None = None) -> None:
        """Start watchers, numbered from 1."""
        for trigger in triggers:
            number = len(self.tasks) + 1
            if states is not None:
                trigger.asset_state_store = states  # type: ignore[assignment]
            self.tasks[number] = asyncio.ensure_future(self._run(number, trigger))

    async def _run(self, number: int, trigger: ImageVersionEventTrigger) -> None:
        key = trigger.shared_stream_key()
        stream = self.streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                # Airflow logs the event here, in a thread.
                await asyncio.sleep(0)
                while number in self.blocked:
                    await asyncio.sleep(0.02)
                json.dumps(event.payload)
                seq = self.streams.bind_pending_event(trigger_id=number, key=key)
                self.outbound.append((number, event.payload, seq))
        finally:
            await self.streams.unsubscribe(number, key)

    async def _store(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.storing:
                taken, self.outbound = self.outbound, []
                self.stored += [(number, payload) for number, payload, _ in taken]
                self.streams.confirm_persisted([seq for _, _, seq in taken if seq is not None])

    def event_keys(self, number: int | None = None) -> list[str]:
        """The keys of the stored events, of one watcher or of all."""
        return [payload["key"] for each, payload in self.stored if number in (None, each)]

    async def stop(self) -> None:
        """Stop as a triggerer does on SIGTERM: cancel the watchers and close the streams."""
        for task in self.tasks.values():
            task.cancel()
        for task in self.tasks.values():
            with suppress(asyncio.CancelledError, Exception):
                await task
        await self.streams.stop_all()
        self._sync.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Clinic:
    """The embedded AWS's resources for a test: a queue with a rule, a data store with image sets, images."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqs = self._client("sqs")
        self.events = self._client("events")
        self.healthimaging = self._client("medical-imaging")
        self.sagemaker = self._client("sagemaker")
        self.datastore_id = self.healthimaging.create_datastore(datastoreName="clinic")["datastoreId"]
        self.queue_url = self.queue("image-versions")
        self.rule("image-versions", self.queue_url)

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(inject_host_prefix=False),
        )

    def queue(self, name: str, **attributes: str) -> str:
        """Create a queue."""
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def rule(self, name: str, queue_url: str) -> None:
        """Have the events of both services delivered to a queue."""
        pattern = {
            "source": ["aws.medical-imaging", "aws.sagemaker"],
            "detail-type": [{"prefix": "Image Set "}, "SageMaker Image Version State Change"],
        }
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue_url.rpartition('/')[2]}"
        self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def image_sets(self, number: int = 1) -> list[str]:
        """Import image sets; returns their ids."""
        before = set(self.ids())
        self.healthimaging.start_dicom_import_job(
            datastoreId=self.datastore_id,
            inputS3Uri=f"s3://scans/input/series={number}/",
            outputS3Uri="s3://scans/output/",
            dataAccessRoleArn=f"arn:aws:iam::{ACCOUNT}:role/import",
        )
        return sorted(set(self.ids()) - before)

    def ids(self) -> Iterable[str]:
        """All image sets."""
        pages = self.healthimaging.get_paginator("search_image_sets").paginate(datastoreId=self.datastore_id)
        return [each["imageSetId"] for page in pages for each in page["imageSetsMetadataSummaries"]]

    def update(self, image_set_id: str, latest: int, **more: Any) -> None:
        """Make another version of an image set."""
        removal = {"SchemaVersion": "1.1", "Study": {"DICOM": {"StudyDescription": f"version {latest}"}}}
        updates = {"DICOMUpdates": {"updatableAttributes": json.dumps(removal).encode()}}
        self.healthimaging.update_image_set_metadata(
            datastoreId=self.datastore_id,
            imageSetId=image_set_id,
            latestVersionId=str(latest),
            updateImageSetMetadataUpdates=updates,
            **more,
        )

    def image(self, name: str, versions: int = 1) -> None:
        """Make an image and versions of it."""
        self.sagemaker.create_image(ImageName=name, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/studio")
        for number in range(versions):
            self.version(name, number)

    def version(self, name: str, number: int = 1) -> None:
        """Make another version of an image."""
        base = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/studio/{name}:{number}"
        self.sagemaker.create_image_version(ImageName=name, BaseImage=base)

    def left(self, queue_url: str | None = None) -> int:
        """How many messages a queue has, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=queue_url or self.queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)
