"""A program that receives events: a rule on the default bus, with an SQS queue as its target."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from emulator_clients import client_of

SOURCES = {"source": ["aws.medical-imaging", "aws.sagemaker"]}
QUEUE_ARN = "arn:aws:sqs:{region}:123456789012:{name}"


class Receiver:
    """
    A queue for the events that a pattern matches.

    :param url: The embedded AWS; None in process.
    :param pattern: The rule's event pattern.
    """

    def __init__(
        self, url: str | None = None, *, pattern: Any = None, name: str = "events", region: str = "us-east-1"
    ) -> None:
        self._sqs = client_of("sqs", url, region=region)
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        events = client_of("events", url, region=region)
        events.put_rule(Name=name, EventPattern=json.dumps(pattern or SOURCES))
        events.put_targets(
            Rule=name, Targets=[{"Id": "queue", "Arn": QUEUE_ARN.format(region=region, name=name)}]
        )

    def received(self) -> list[dict[str, Any]]:
        """Take all events that are in the queue, in the order in which they arrived."""
        events: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                events.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return events

    def wait_for(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Take events until there are enough; no request reaches the two services meanwhile."""
        events: list[dict[str, Any]] = []
        deadline = time.monotonic() + 30
        while not enough(events):
            assert time.monotonic() < deadline, f"these events alone arrived: {events}"
            events += self.received()
            time.sleep(0.01)
        return events


def names(events: list[dict[str, Any]]) -> list[str]:
    """The detail types of HealthImaging's events, and the statuses of SageMaker's."""
    return [
        event["detail"].get("ImageVersionStatus")
        or event["detail"].get("ImageStatus")
        or event["detail-type"]
        for event in events
    ]
