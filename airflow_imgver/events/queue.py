"""
Events out of a queue to which EventBridge delivers: a message is a hint, and AWS's list is the fact.

Receiving, observing and deleting are separate calls, so that a trigger can delete a message after Airflow has
stored its event, and ``airflow imgver watch`` never deletes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_imgver.events.event import Fact
from airflow_imgver.events.hints import ForeignMessageError, Hint, MessageError, read_hint
from airflow_imgver.exceptions import ResourceMissingError, UnexpectedAnswerError
from airflow_imgver.services import SERVICES
from airflow_imgver.services.description import Service
from airflow_imgver.versions import Phase, VersionStatus

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from airflow_imgver.hooks.base import ImageVersionHook
    from airflow_imgver.hooks.event_queue import EventQueueHook, QueueMessage

# EventBridge gives times to the second, and two clocks of AWS's may differ by one.
_SAME_TIME = timedelta(seconds=2)
# AWS says "not consistent yet" for seconds.
_UNTIL_LISTED = timedelta(minutes=2)
_UNTIL_SETTLED = timedelta(hours=1)


class Outcome(StrEnum):
    """What became of a message."""

    FACTS = "facts"
    """The version was listed, and there are facts."""
    NOTHING = "nothing"
    """There is nothing to report; the message has been dealt with."""
    LATER = "later"
    """AWS does not list yet what the message says; it should be observed again in some seconds."""
    REJECTED = "rejected"
    """It is about something else or cannot be read; the queue's dead-letter policy decides."""


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What AWS says about the version of a message.

    :param message: the message.
    :param outcome: what became of it.
    :param facts: the facts, the oldest first.
    :param why: why there are none.
    :param observed_at: when AWS was asked.
    """

    message: QueueMessage
    outcome: Outcome
    facts: tuple[Fact, ...]
    why: str
    observed_at: datetime


class QueueReader:
    """
    Reads one queue, for image sets, image versions or both. Its methods block, and may run in threads.

    :param queue_url: the address of an SQS queue; not a FIFO queue.
    :param services: the services whose messages are observed; those of others are rejected.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes that of the queue's address, or the connection's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration.
    :raises ValueError: the address is not that of a queue that can be read.
    """

    def __init__(
        self,
        queue_url: str,
        *,
        services: Iterable[Service] = SERVICES,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        self.queue_url = checked_queue_url(queue_url)
        self.services = tuple(services)
        self._connection: dict[str, Any] = {
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "config": botocore_config,
        }
        self._hooks: dict[str, ImageVersionHook] = {}

    @cached_property
    def hook(self) -> EventQueueHook:
        """The hook of the queue."""
        from airflow_imgver.hooks.event_queue import EventQueueHook

        return EventQueueHook(self.queue_url, **self._connection)

    def connect(self) -> None:
        """
        Resolve the connection and build the clients; a trigger does so in the thread that Airflow allows.

        :raises AwsCallError: no client can be built.
        """
        with self.hook.named_errors("ReceiveMessage"):
            _ = self.hook.conn
        for service in self.services:
            hook = self._hook_of(service)
            with hook.named_errors(f"the connection {hook.aws_conn_id!r}"):
                _ = hook.conn

    def hooks(self) -> list[AwsGenericHook[Any]]:
        """Return the hooks of the queue and of the lists; before :meth:`connect`, they can be changed."""
        return [self.hook, *map(self._hook_of, self.services)]

    def add_service(self, service: Service) -> None:
        """Observe the messages of a service too; :meth:`connect` builds its client."""
        if service not in self.services:
            self.services = (*self.services, service)

    def close(self) -> None:
        """Close the clients' connections."""
        if "hook" in self.__dict__ and "conn" in self.hook.__dict__:
            self.hook.close()
        for hook in self._hooks.values():
            hook.close()

    def receive(self, *, wait: int = 0, visibility: int = 120) -> list[QueueMessage]:
        """
        Receive up to ten messages; nobody else receives them for ``visibility`` seconds.

        Each receipt counts for the queue's dead-letter policy, also that of a reader that deletes nothing.

        :param wait: seconds to wait for the first, at most 20.
        :raises AwsCallError: SQS refused or did not answer.
        """
        return self.hook.receive(wait=min(wait, self.hook.longest_wait()), visibility=visibility)

    def hint(self, message: QueueMessage) -> Hint:
        """
        Read which version a message is about.

        :raises MessageError: it cannot be read, or is about something else.
        """
        hint = read_hint(message.body)
        if hint.service not in self.services:
            raise ForeignMessageError(f"It is about an {hint.service.thing}, of which nobody wants events.")
        return hint

    def observe(self, message: QueueMessage) -> Observation:
        """
        List the version of a message; the request waits for its turn in the budget that gates use.

        :raises AwsCallError: AWS refused or did not answer; the message stays in the queue.
        """
        return self.observe_all([message])[0]

    def groups(self, messages: Iterable[QueueMessage]) -> list[list[QueueMessage]]:
        """Group messages about the same version, for which one request is enough."""
        groups: dict[Any, list[QueueMessage]] = {}
        for message in messages:
            try:
                hint = self.hint(message)
                about: Any = (hint.service.client_type, *sorted(hint.identity.items()), hint.version)
                # Without a number, what a message means depends on its time.
                about = about if hint.version is not None else message.message_id
            except MessageError:
                about = message.message_id
            groups.setdefault(about, []).append(message)
        return list(groups.values())

    def observe_all(self, group: Sequence[QueueMessage]) -> list[Observation]:
        """
        List the version of a group of messages, as :meth:`groups` makes them.

        :raises AwsCallError: AWS refused or did not answer; the messages stay in the queue.
        """
        at = datetime.now(UTC)
        try:
            hint, *others = map(self.hint, group)
        except MessageError as error:
            return [Observation(each, Outcome.REJECTED, (), str(error), at) for each in group]
        found: list[VersionStatus] = []
        why = "AWS does not list the version."
        try:
            found = _found(self._hook_of(hint.service), hint)
        except ResourceMissingError as error:
            why = error.message
        except UnexpectedAnswerError as error:
            return [Observation(each, Outcome.REJECTED, (), str(error), at) for each in group]
        facts = tuple(sorted((Fact(hint.service, hint.identity, each) for each in found), key=_order))
        return [
            _judged(each, said, facts, why, at) for each, said in zip(group, [hint, *others], strict=True)
        ]

    def delete(self, receipts: Sequence[str]) -> list[str]:
        """
        Delete messages that have been dealt with.

        :return: the receipts of those that SQS could not delete for a reason of its own, to be tried again.
        :raises AwsCallError: SQS refused or did not answer.
        """
        return self.hook.delete(receipts)

    def release(self, receipts: Sequence[str]) -> None:
        """
        Return messages to the queue, from which they can be received again at once.

        :raises AwsCallError: SQS refused or did not answer.
        """
        self.hook.hide(receipts, 0)

    def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """
        Keep messages hidden for so many seconds from now.

        :raises AwsCallError: SQS refused or did not answer.
        """
        self.hook.hide(receipts, seconds)

    def _hook_of(self, service: Service) -> ImageVersionHook:
        from airflow_imgver.hooks.event_queue import region_of

        if service.client_type not in self._hooks:
            connection = dict(self._connection)
            connection["region_name"] = connection["region_name"] or region_of(self.queue_url)
            self._hooks[service.client_type] = service.hook_class()(**connection)
        return self._hooks[service.client_type]


def checked_queue_url(queue_url: Any) -> str:
    """
    Check the address of a queue.

    :raises ValueError: it is not the address of a standard queue.
    """
    if not isinstance(queue_url, str) or not queue_url.startswith(("https://", "http://")):
        raise ValueError(
            f"queue_url must be the address of an SQS queue, such as "
            f"https://sqs.us-east-1.amazonaws.com/123456789012/image-versions, not {queue_url!r}."
        )
    if queue_url.endswith(".fifo"):
        raise ValueError(
            f"The queue {queue_url} is a FIFO queue, in which one message that cannot be read holds up all "
            "behind it. Use a standard queue: events carry their time and a key."
        )
    return queue_url


def _found(hook: ImageVersionHook, hint: Hint) -> list[VersionStatus]:
    """List what a message is about: its version, or those that it may mean."""
    if hint.version is not None:
        found = hook.watched_version(hook.find_version(hint.identity, hint.version))
        return [] if found is None else [hook.log_unknown_status(found) or found]
    listed = [hook.read(entry) for entry in hook.stream(hint.identity)]
    return list(_meant(hint, listed))


def _meant(hint: Hint, listed: Sequence[VersionStatus]) -> Iterator[VersionStatus]:
    """
    Choose the versions that a message without a number may mean: the latest, and those of its time.

    A version may have come and gone before the message is read, and its own message is the only one.
    """
    if not listed:
        return
    latest = max(listed, key=lambda each: each.number)
    if latest.phase is not Phase.DELETED and hint.time is not None:
        until, since = hint.time + _SAME_TIME, hint.time - _SAME_TIME
        fits = [
            (each.changed_at, each)
            for each in listed
            if each.status == hint.status and each.changed_at is not None and each.changed_at <= until
        ]
        last = max((when for when, _ in fits), default=since)
        yield from (each for when, each in fits if when >= min(last, since) and each is not latest)
    yield latest


def _judged(
    message: QueueMessage, hint: Hint, facts: tuple[Fact, ...], why: str, at: datetime
) -> Observation:
    """Decide what becomes of a message, by what it says, its age and what AWS lists."""
    age = at - (hint.time or message.sent_at or at)
    if not facts:
        deleting = (hint.status or "").startswith("DELET")
        later = age < _UNTIL_LISTED and not deleting
        return Observation(message, Outcome.LATER if later else Outcome.NOTHING, (), why, at)
    if _is_stale(hint, facts) and age < _UNTIL_SETTLED:
        why = f"The message says {hint.status}, and AWS still lists {facts[-1]}."
        return Observation(message, Outcome.LATER, facts, why, at)
    return Observation(message, Outcome.FACTS, facts, "", at)


def _is_stale(hint: Hint, facts: Sequence[Fact]) -> bool:
    """Return whether AWS still lists as busy what the message says has ended."""
    said = hint.service.fields.phases.get(hint.status or "")
    if said in (None, Phase.BUSY):
        return False
    return all(each.status.phase is Phase.BUSY for each in facts)


def _order(fact: Fact) -> Any:
    return fact.order


def connection_of(holder: object) -> Mapping[str, Any]:
    """Return the connection's settings of a trigger or of a command's options, for a reader."""
    names = ("aws_conn_id", "region_name", "verify", "botocore_config")
    return {name: getattr(holder, name) for name in names}
