"""What the watchers of a queue do when something is wrong: an error in the log, and no end."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow has shared streams since 3.3")

from streams import AssetStates, Clinic, Triggerer, until
from support import DATASTORE, IMAGE_SET
from test_hints import image_set

from airflow_imgver.emulator import clear_faults, inject_fault
from airflow_imgver.events.queue import QueueReader
from airflow_imgver.triggers import memory, queue_stream
from airflow_imgver.triggers.healthimaging import HealthImagingEventQueueTrigger

DENIED = {"code": "AccessDenied", "message": "Access to the resource is denied.", "status": 403}
USE = "Cannot use the queue"

Steps = Callable[[Triggerer], Awaitable[None]]


def run(trigger: Any, steps: Steps, states: AssetStates | None = None) -> None:
    """Run a watcher, and the steps of a test beside it; the watcher must not end."""

    async def main() -> None:
        async with Triggerer() as triggerer:
            triggerer.start(trigger, states=states or AssetStates())
            await steps(triggerer)
            assert not triggerer.tasks[1].done()

    asyncio.run(main())


def watch(clinic: Clinic, **more: Any) -> HealthImagingEventQueueTrigger:
    """A watcher of the clinic's queue."""
    return HealthImagingEventQueueTrigger(clinic.queue_url, **more)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[logging.LogRecord]]:
    """Finds lines of the log."""
    caplog.set_level(logging.INFO)
    return lambda text: [each for each in caplog.records if text in each.getMessage()]


Said = Callable[[str], list[logging.LogRecord]]


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        ("http://127.0.0.1:1/123456789012/absent", "ReceiveMessage"),
        ("https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo", "is a FIFO queue"),
        ("image-versions", "must be the address of an SQS queue"),
        (None, "must be the address of an SQS queue"),
    ],
)
def test_a_queue_that_cannot_be_read_is_an_error_and_is_tried_again(
    clinic: Clinic, said: Said, queue: Any, why: str
) -> None:
    run(HealthImagingEventQueueTrigger(queue), lambda _: until(lambda: len(said(USE)) >= 3))
    first, second, *_ = said(USE)
    assert why in first.getMessage()
    assert (first.levelno, second.levelno) == (logging.ERROR, logging.WARNING)
    assert "Trying again in" in first.getMessage()
    assert first.exc_info is None


def test_a_queue_of_another_account_is_an_error_with_the_region_and_the_connection(
    clinic: Clinic, said: Said
) -> None:
    other = clinic.queue_url.replace("image-versions", "another")
    run(HealthImagingEventQueueTrigger(other), lambda _: until(lambda: said(USE)))
    message = said(USE)[0].getMessage()
    assert "NonExistentQueue" in message
    assert "us-east-1 with the connection aws_default" in message


def test_without_permission_to_receive_it_waits_and_goes_on_after(clinic: Clinic, said: Said) -> None:
    inject_fault("sqs", "ReceiveMessage", error=DENIED, times=None)

    async def steps(triggerer: Triggerer) -> None:
        await until(lambda: len(said(USE)) >= 2)
        clinic.image_sets(1)
        clear_faults()
        await until(lambda: len(triggerer.stored) == 1)
        await until(lambda: said("Can use the queue"))

    run(watch(clinic), steps)
    assert "AccessDenied from ReceiveMessage" in said(USE)[0].getMessage()


def test_without_permission_to_delete_nothing_more_is_received_and_nothing_sent_twice(
    clinic: Clinic, said: Said
) -> None:
    inject_fault("sqs", "DeleteMessageBatch", error=DENIED, times=None)

    async def steps(triggerer: Triggerer) -> None:
        [one] = clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1 and said(USE))
        clinic.update(one, 1)
        await until(lambda: len(said(USE)) >= 3)
        assert len(triggerer.stored) == 1
        clear_faults()
        await until(lambda: clinic.left() == 0)
        await until(lambda: len(triggerer.stored) == 2)

    run(watch(clinic), steps)
    assert "AccessDenied from DeleteMessageBatch" in said(USE)[0].getMessage()


def test_without_permission_to_list_the_message_stays_and_others_go_on(clinic: Clinic, said: Said) -> None:
    async def steps(triggerer: Triggerer) -> None:
        inject_fault("medical-imaging", "ListImageSetVersions", error={"code": "AccessDeniedException"})
        [one] = clinic.image_sets(1)
        await until(lambda: said("Its message stays in the queue"))
        await until(lambda: len(triggerer.stored) == 1 and clinic.left() == 0)
        assert one in triggerer.event_keys()[0]

    run(watch(clinic), steps)
    assert "AccessDeniedException" in said("Its message stays in the queue")[0].getMessage()


def test_while_aws_does_not_list_the_messages_wait(clinic: Clinic, said: Said) -> None:
    async def steps(triggerer: Triggerer) -> None:
        inject_fault("medical-imaging", "ListImageSetVersions", kind="http-500", times=None)
        clinic.image_sets(2)
        await until(lambda: len(said(USE)) >= 2)
        clear_faults()
        await until(lambda: len(triggerer.stored) == 2 and clinic.left() == 0)

    run(watch(clinic), steps)


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "x" * 256 * 1024,
        json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}),
        json.dumps(image_set(imagesetId="../../etc")),
        json.dumps(image_set(datastoreId="?")),
    ],
    ids=["text", "256 KB", "another source", "id", "data store"],
)
def test_a_message_that_cannot_be_used_is_left_to_the_dead_letter_policy(
    clinic: Clinic, said: Said, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_stream, "VISIBILITY", 1)
    dead = clinic.queue("dead-letters")
    arn = "arn:aws:sqs:us-east-1:123456789012:dead-letters"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    clinic.sqs.set_queue_attributes(QueueUrl=clinic.queue_url, Attributes={"RedrivePolicy": policy})

    async def steps(triggerer: Triggerer) -> None:
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=body)
        clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1)
        await until(lambda: clinic.left(dead) == 1 and clinic.left() == 0)

    run(watch(clinic), steps)
    [line] = said("is left to the queue's dead-letter policy")
    assert len(line.getMessage()) < 600


def test_an_image_set_that_is_not_there_is_waited_for_and_then_needs_no_event(
    clinic: Clinic, said: Said
) -> None:
    from datetime import UTC, datetime

    async def steps(triggerer: Triggerer) -> None:
        old = {**image_set(datastoreId=clinic.datastore_id), "time": "2024-03-14T00:01:00Z"}
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=json.dumps(old))
        await until(lambda: said("A message needs no event"))
        await until(lambda: clinic.left() == 0)
        new = {**old, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=json.dumps(new))
        await until(lambda: said("It is listed again later"))
        assert clinic.left() == 1
        assert triggerer.stored == []

    run(watch(clinic), steps)


def test_a_message_that_says_ended_while_aws_lists_busy_is_listed_again(clinic: Clinic, said: Said) -> None:
    from datetime import UTC, datetime

    from moto.moto_api import state_manager

    async def steps(triggerer: Triggerer) -> None:
        [one] = clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1)
        state_manager.set_transition("medical-imaging::image-set", {"progression": "manual", "times": 10**6})
        clinic.update(one, 1)
        members = {
            "datastoreId": clinic.datastore_id,
            "imagesetId": one,
            "imageSetVersion": "2",
            "imageSetWorkflowStatus": "UPDATED",
        }
        early = {**image_set(**members), "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=json.dumps(early))
        await until(lambda: said("The message says UPDATED, and AWS still lists UPDATING"))
        state_manager.unset_transition("medical-imaging::image-set")
        await until(lambda: len(triggerer.stored) == 2)
        assert triggerer.event_keys()[1].endswith(f"{one}/2/UPDATED")

    run(watch(clinic), steps)


def test_a_wrong_filter_is_an_error_and_takes_no_message(clinic: Clinic, said: Said) -> None:
    async def steps(triggerer: Triggerer) -> None:
        clinic.image_sets(1)
        await until(lambda: said("This watcher sends no events"))
        await asyncio.sleep(1.5)
        assert clinic.left() > 0

    run(watch(clinic, phases=["done"]), steps)


def test_a_triggerer_that_is_killed_brings_the_message_back_and_it_is_recognised(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after Airflow stored the event and the watcher remembered it, before the message was deleted."""
    monkeypatch.setattr(queue_stream, "VISIBILITY", 2)
    states = AssetStates()

    async def steps(first: Triggerer) -> None:
        inject_fault("sqs", "DeleteMessageBatch", kind="http-500", times=None)
        clinic.image_sets(1)
        await until(lambda: len(first.stored) == 1 and states.writes == 1)

    run(watch(clinic), steps, states)
    clear_faults()

    async def after(second: Triggerer) -> None:
        await until(lambda: clinic.left() == 0)
        assert second.stored == []

    run(watch(clinic), after, states)


def test_what_a_watcher_remembers_that_cannot_be_read_is_kept_aside(clinic: Clinic, said: Said) -> None:
    states, trigger = AssetStates(), watch(clinic)
    states.values[trigger.place_name] = json.dumps(["odd"])

    async def steps(triggerer: Triggerer) -> None:
        clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1)

    run(trigger, steps, states)
    assert json.loads(states.values[f"{trigger.place_name}.unreadable"]) == ["odd"]
    assert said("cannot be read. It is kept as")


def test_a_state_store_that_fails_costs_no_event(clinic: Clinic, said: Said) -> None:
    states = AssetStates()
    states.broken = True

    async def steps(triggerer: Triggerer) -> None:
        clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1 and clinic.left() == 0)

    run(watch(clinic), steps, states)
    assert said("could not be kept")


def test_a_state_store_that_gives_no_answer_costs_no_event_either(
    clinic: Clinic, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that stops answers nothing any more, and its watchers still delete what is stored."""
    monkeypatch.setattr(memory, "_SECONDS_TO_SAVE", 0.5)
    states = AssetStates()
    states.silent = True

    async def steps(triggerer: Triggerer) -> None:
        clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1 and clinic.left() == 0)

    run(watch(clinic), steps, states)
    assert said("could not be kept")


def test_a_message_whose_event_airflow_stores_late_is_kept_hidden(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_stream, "VISIBILITY", 3)
    received: Counter[str] = Counter()
    receive = QueueReader.receive

    def counted(reader: QueueReader, **arguments: Any) -> Any:
        messages = receive(reader, **arguments)
        received.update(each.message_id for each in messages)
        return messages

    monkeypatch.setattr(QueueReader, "receive", counted)

    async def steps(triggerer: Triggerer) -> None:
        triggerer.storing = False
        clinic.image_sets(1)
        await until(lambda: triggerer.outbound)
        await asyncio.sleep(8)
        triggerer.storing = True
        await until(lambda: clinic.left() == 0)
        assert len(triggerer.stored) == 1

    run(watch(clinic), steps)
    assert set(received.values()) == {1}


def test_an_event_that_airflow_never_stores_is_not_deleted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow gives up on it, and ends the watcher; the next one gets the message again."""
    monkeypatch.setattr(queue_stream, "VISIBILITY", 2)

    async def main() -> None:
        first = Triggerer(ack_timeout=1.0)
        first.storing = False
        first.start(watch(clinic), states=AssetStates())
        clinic.image_sets(1)
        await until(lambda: first.tasks[1].done())
        await first.stop()
        assert clinic.left() > 0
        async with Triggerer() as second:
            second.start(watch(clinic), states=AssetStates())
            await until(lambda: len(second.stored) == 1 and clinic.left() == 0)

    asyncio.run(main())


def test_nothing_that_aws_says_about_an_image_set_is_in_the_log_but_its_status(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "DOE^JANE"
    body = image_set(datastoreId=DATASTORE, imagesetId=IMAGE_SET, patientName=secret)

    async def steps(_: Triggerer) -> None:
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=json.dumps(body))
        clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody=f"{secret} is no JSON")
        await until(lambda: "dead-letter policy" in caplog.text and "needs no event" in caplog.text)

    with caplog.at_level(logging.DEBUG):
        run(watch(clinic), steps)
    ours = [each for each in caplog.records if each.name.startswith("airflow_imgver.triggers")]
    assert secret not in "".join(each.getMessage() for each in ours)


def test_what_is_stored_is_remembered_while_messages_are_still_being_deleted(clinic: Clinic) -> None:
    """Airflow calls `advance` one at a time, so a slow deletion must not hold up what comes after it."""
    states, trigger = AssetStates(), watch(clinic)

    async def steps(triggerer: Triggerer) -> None:
        inject_fault("sqs", "DeleteMessageBatch", kind="delay", seconds=8, times=None)
        [one] = clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1)
        for latest in range(1, 5):
            clinic.update(one, latest)
            await until(lambda latest=latest: len(triggerer.stored) == latest + 1)
        await until(lambda: len(json.loads(states.values[trigger.place_name])["remembered"]) == 5, 3.0)
        assert clinic.left() > 0
        clear_faults()

    run(trigger, steps, states)


def test_what_is_stored_is_deleted_while_lists_wait_for_their_turn(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread for lists, so that a deletion in the same pool would wait for the list."""
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", "1")
    listing, listed, deleted = threading.Event(), threading.Event(), threading.Event()
    observe_all, delete = QueueReader.observe_all, QueueReader.delete

    def the_second_list_waits(reader: QueueReader, group: Any) -> Any:
        if json.loads(group[0].body)["detail"]["imageSetVersion"] == "2":
            listing.set()
            listed.wait(30)
        return observe_all(reader, group)

    def after_the_second_list_began(reader: QueueReader, receipts: Any) -> Any:
        listing.wait(30)
        left = delete(reader, receipts)
        deleted.set()
        return left

    monkeypatch.setattr(QueueReader, "observe_all", the_second_list_waits)
    monkeypatch.setattr(QueueReader, "delete", after_the_second_list_began)

    async def steps(triggerer: Triggerer) -> None:
        [one] = clinic.image_sets(1)
        await until(lambda: len(triggerer.stored) == 1)
        clinic.update(one, 1)
        await until(deleted.is_set)
        assert not listed.is_set()
        listed.set()
        await until(lambda: clinic.left() == 0)

    try:
        run(watch(clinic), steps)
    finally:
        listing.set()
        listed.set()
