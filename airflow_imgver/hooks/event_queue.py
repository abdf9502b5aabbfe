"""Amazon SQS: the queue to which EventBridge delivers events of image sets and image versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.config import Config

from airflow_imgver.arguments.literals import verify_value
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.hooks.base import RETRY_MODE
from airflow_imgver.hooks.errors import check_ca_bundle
from airflow_imgver.hooks.named_errors import NamedErrorsHook
from airflow_imgver.options import CONNECT_TIMEOUT, READ_TIMEOUT
from airflow_imgver.text import one_line

LARGEST_BATCH = 10
"""Messages of one request, to receive or to delete; SQS's own limit."""

_LONGEST_WAIT = 20
_AWS_URL = re.compile(r"https://(?:sqs\.)?(?P<region>[a-z0-9-]+)\.(?:queue\.)?amazonaws\.com(?:\.cn)?/")


class QueueCodes:
    """SQS's own error codes."""

    missing_codes = frozenset(
        {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"}
    )
    # Too many messages are in flight, or KMS throttles.
    transient_codes = frozenset({"OverLimit", "KmsThrottled", "KMS.ThrottlingException"})


class QueueMessage(NamedTuple):
    """
    A message as it was received.

    :param message_id: SQS's id, the same each time the message is received.
    :param receipt: what deletes it; new each time.
    :param body: its text.
    :param sent_at: when it was sent to the queue.
    :param received: how often it has been received.
    """

    message_id: str
    receipt: str
    body: str
    sent_at: datetime | None
    received: int


class EventQueueHook(NamedErrorsHook):
    """
    Receive, return and delete the messages of a queue.

    .. seealso::
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html

    :param queue_url: the queue; its region counts where ``region_name`` is not given.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    def __init__(self, queue_url: str, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "sqs"
        kwargs["region_name"] = kwargs.get("region_name") or region_of(queue_url)
        if "verify" in kwargs:
            kwargs["verify"] = verify_value(kwargs["verify"])
        super().__init__(*args, **kwargs)
        self.queue_url = queue_url

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build the boto3 client, as the base class does, on top of this package's settings."""
        given = config or self.config
        retries: Any = {"mode": RETRY_MODE, **(getattr(given, "retries", None) or {})}
        settings = Config(connect_timeout=CONNECT_TIMEOUT.number(), read_timeout=READ_TIMEOUT.number())
        check_ca_bundle(self.conn_config.verify)
        return super().get_client_type(
            region_name, settings.merge(given).merge(Config(retries=retries)), deferrable
        )

    def longest_wait(self) -> int:
        """Return the seconds that a request may wait for messages: SQS's 20, or what the timeout leaves."""
        timeout = getattr(self.conn.meta.config, "read_timeout", None) or _LONGEST_WAIT
        return max(0, min(_LONGEST_WAIT, int(timeout) // 2))

    def receive(self, *, wait: int = 0, visibility: int, most: int = LARGEST_BATCH) -> list[QueueMessage]:
        """
        Receive messages; nobody else receives them for ``visibility`` seconds.

        :param wait: seconds to wait for the first, at most 20.
        :param visibility: seconds for which the messages are hidden.
        :param most: how many at the most, 1 to 10.
        :raises ResourceMissingError: the queue does not exist, or not in this region or account.
        :raises AwsCallError: SQS refused or did not answer.
        """
        with self.named_errors("ReceiveMessage"):
            answer = self.conn.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait,
                VisibilityTimeout=visibility,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return [_message(each) for each in answer.get("Messages") or []]

    def delete(self, receipts: Sequence[str]) -> list[str]:
        """
        Delete messages, ten a request.

        :return: the receipts of those that SQS could not delete for a reason of its own, to be tried again.
        :raises AwsCallError: SQS refused or did not answer.
        """
        left: list[str] = []
        for begin in range(0, len(receipts), LARGEST_BATCH):
            some = receipts[begin : begin + LARGEST_BATCH]
            entries = [{"Id": str(number), "ReceiptHandle": each} for number, each in enumerate(some)]
            with self.named_errors("DeleteMessageBatch"):
                answer = self.conn.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
            failed = answer.get("Failed") or []
            # A receipt that SQS refuses has expired: the message is received again.
            left += [some[int(each["Id"])] for each in failed if not each.get("SenderFault")]
        return left

    def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """
        Set for how long messages stay hidden from now; 0 returns them to the queue.

        :raises AwsCallError: SQS refused or did not answer.
        """
        for begin in range(0, len(receipts), LARGEST_BATCH):
            some = receipts[begin : begin + LARGEST_BATCH]
            entries = [
                {"Id": str(number), "ReceiptHandle": each, "VisibilityTimeout": seconds}
                for number, each in enumerate(some)
            ]
            with self.named_errors("ChangeMessageVisibilityBatch"):
                self.conn.change_message_visibility_batch(QueueUrl=self.queue_url, Entries=entries)

    def close(self) -> None:
        """Close the client's connections."""
        self.conn.close()

    @contextmanager
    def named_errors(self, operation: str) -> Iterator[None]:
        """Give every error of AWS or botocore the name of the call and of the queue."""
        try:
            with self._naming(operation, f"queue {one_line(self.queue_url)}", QueueCodes()):
                yield
        except ValueError as error:
            # boto3's own error for an endpoint that is not a URL.
            raise AwsCallError(
                f"{operation} was not sent: {one_line(str(error))}", code=type(error).__name__
            ) from error


def region_of(queue_url: str) -> str | None:
    """Return the region in the address of a queue; None where it is not an address of AWS's."""
    match = _AWS_URL.match(queue_url)
    return match["region"] if match and match["region"] != "queue" else None


def _message(answer: dict[str, Any]) -> QueueMessage:
    attributes = answer.get("Attributes") or {}
    sent = str(attributes.get("SentTimestamp") or "")
    received = str(attributes.get("ApproximateReceiveCount") or "")
    return QueueMessage(
        message_id=str(answer.get("MessageId")),
        receipt=str(answer.get("ReceiptHandle")),
        body=str(answer.get("Body") or ""),
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent.isdigit() else None,
        received=int(received) if received.isdigit() else 1,
    )
