"""What events are about: queues that get them, and image sets that change all the time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from embedded_aws import DATASTORE, EmbeddedAws, entry, image_set_id

QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/{name}"
VISIBILITY_SECONDS = 20
SETTLE_SECONDS = 0.2
# AWS makes no update of an attribute that does not exist.
GOOD, BAD = (
    {"DICOMUpdates": {"updatableAttributes": json.dumps({"SchemaVersion": 1.1, "Study": study}).encode()}}
    for study in ({"DICOM": {"StudyDescription": "CT"}}, {"DICOM": {"NoSuchAttribute": "1"}})
)


class Fact(NamedTuple):
    """A version, and the status in which it settled."""

    image_set_id: str
    version: str
    status: str


def create_queue(aws: EmbeddedAws, name: str, *, rule: bool = True) -> str:
    """Create a queue, with a rule that sends all events of image sets to it; return its URL."""
    attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
    aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    if rule:
        pattern = {"source": ["aws.medical-imaging"], "detail-type": [{"prefix": "Image Set "}]}
        events = aws.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    return QUEUE_URL.format(name=name)


def image_sets(group: str, count: int) -> dict[str, Any]:
    """
    A data store with so many image sets, each of one version that is ready.

    :param group: their letters; each test has its own, because watchers remember what they have reported.
    """
    ids = [image_set_id(group, number) for number in range(count)]
    return {"healthimaging": {DATASTORE: {each: [entry(each, 1, "CREATED")] for each in ids}}}


class Changes:
    """
    Updates image sets in turn; each makes a version, and every tenth update fails.

    :param aws: where.
    :param group: the letters of the image sets.
    :param count: how many image sets there are.
    """

    def __init__(self, aws: EmbeddedAws, group: str, count: int) -> None:
        self._client = aws.client("medical-imaging")
        self._versions = {image_set_id(group, number): 1 for number in range(count)}
        self._lock = threading.Lock()
        self.made: dict[Fact, float] = {}

    def make(self, *, fails: bool = False) -> Fact:
        """Make a change; the least changed image set has its turn."""
        each = min(self._versions, key=lambda one: self._versions[one])
        version = self._versions[each]
        self._client.update_image_set_metadata(
            datastoreId=DATASTORE,
            imageSetId=each,
            latestVersionId=str(version),
            updateImageSetMetadataUpdates=BAD if fails else GOOD,
        )
        self._versions[each] = version + 1
        fact = Fact(each, str(version + 1), "UPDATE_FAILED" if fails else "UPDATED")
        with self._lock:
            self.made[fact] = time.time() + SETTLE_SECONDS
        return fact

    @contextmanager
    def going_on(self, per_second: float) -> Iterator[None]:
        """Make changes at a steady rate meanwhile."""
        over = threading.Event()
        failures: list[Exception] = []

        def make() -> None:
            number = 0
            while not over.wait(1 / per_second):
                number += 1
                try:
                    self.make(fails=number % 10 == 0)
                except Exception as error:  # noqa: BLE001  # raised again where the test is
                    failures.append(error)
                    return

        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]


def events_like_eventbridge(ids: list[str]) -> Iterator[str]:
    """The messages of versions that were created, as the queue gets them."""
    for number, each in enumerate(ids):
        yield json.dumps(
            {
                "version": "0",
                "id": f"00000000-0000-0000-0000-{number:012d}",
                "detail-type": "Image Set Created",
                "source": "aws.medical-imaging",
                "account": "123456789012",
                "time": "2026-11-30T00:00:00Z",
                "region": "us-east-1",
                "resources": [
                    f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{DATASTORE}/imageset/{each}"
                ],
                "detail": {
                    "imagingVersion": "1.0",
                    "isPrimary": True,
                    "imageSetVersion": "1",
                    "datastoreId": DATASTORE,
                    "imagesetId": each,
                    "imageSetState": "ACTIVE",
                    "imageSetWorkflowStatus": "CREATED",
                },
            }
        )


def fill(aws: EmbeddedAws, url: str, bodies: list[str]) -> None:
    """Put messages into a queue."""
    sqs = aws.client("sqs")
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])
        ]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def left_in(aws: EmbeddedAws, url: str) -> int:
    """How many messages a queue has, received ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)
