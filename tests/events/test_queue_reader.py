"""What a message means: which versions are listed for it, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streams import AssetStates, Clinic, Triggerer, until
from support import image_set_entry, image_set_status
from test_hints import image, image_set

from airflow_imgver.emulator import calls, reset_calls, set_events
from airflow_imgver.events.filters import EventFilter
from airflow_imgver.events.hints import read_hint
from airflow_imgver.events.queue import Outcome, QueueReader, _meant, checked_queue_url
from airflow_imgver.events.watching import queue_events
from airflow_imgver.hooks.event_queue import QueueMessage, region_of
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE
from airflow_imgver.triggers.healthimaging import HealthImagingEventQueueTrigger

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def meant(status: str, at: datetime, *listed: tuple[int, str, float]) -> list[int]:
    """The versions that a message without a number means; of each number, status and seconds after `AT`."""
    event = {**image_set(imageSetVersion=None, imageSetWorkflowStatus=status), "time": at.isoformat()}
    statuses = [
        image_set_status(
            image_set_entry(
                number,
                said,
                "DELETED" if said == "DELETED" else "ACTIVE",
                updatedAt=AT + timedelta(seconds=after),
            )
        )
        for number, said, after in listed
    ]
    return sorted(each.number for each in _meant(read_hint(json.dumps(event)), statuses))


def test_a_message_without_a_number_means_the_latest_version_alone_where_that_fits() -> None:
    old = (1, "UPDATED", -9000.0)
    assert meant("UPDATED", AT, (2, "UPDATED", 0.5), old) == [2]
    assert meant("UPDATED", AT, (2, "UPDATED", -300.0), old) == [2]  # Begun five minutes before it ended.


def test_a_version_that_a_later_one_has_replaced_is_meant_too() -> None:
    later = (3, "UPDATED", 60.0)
    assert meant("UPDATED", AT, later, (2, "UPDATED", 0.0), (1, "CREATED", -60.0)) == [2, 3]
    assert meant("UPDATED", AT, later, (2, "UPDATED", -300.0), (1, "UPDATED", -9000.0)) == [2, 3]
    assert meant("UPDATED", AT, (3, "UPDATING", 60.0), (2, "UPDATED", 0.0)) == [2, 3]


def test_two_versions_of_one_second_are_both_meant() -> None:
    assert meant("UPDATED", AT, (3, "UPDATED", 0.9), (2, "UPDATED", 0.2), (1, "CREATED", 0.1)) == [2, 3]


def test_a_deleted_image_set_is_one_fact() -> None:
    assert meant("UPDATED", AT, (2, "DELETED", 9.0), (1, "UPDATED", 0.0)) == [2]


def test_messages_about_one_version_cost_one_request(clinic: Clinic) -> None:
    reader = QueueReader(clinic.queue_url)
    reader.connect()
    [one] = clinic.image_sets(1)
    clinic.update(one, 1)
    messages = reader.receive()
    assert len(messages) == 3
    groups = reader.groups(messages)
    assert sorted(map(len, groups)) == [1, 2]
    reset_calls()
    for group in groups:
        seen = reader.observe_all(group)
        assert {each.outcome for each in seen} == {Outcome.FACTS}
        assert len({each.facts[0].key for each in seen}) == 1
    assert calls()["medical-imaging"] == {"ListImageSetVersions": 2}
    reader.close()


@pytest.mark.parametrize("event", [image_set(), image()], ids=["image set", "image"])
def test_a_message_about_a_service_that_nobody_watches_is_rejected_without_a_request(
    clinic: Clinic, event: Any
) -> None:
    other = SAGEMAKER_IMAGE if "imagesetId" in event["detail"] else HEALTHIMAGING
    reader = QueueReader(clinic.queue_url, services=[other])
    reset_calls()
    seen = reader.observe(QueueMessage("id", "receipt", json.dumps(event), None, 1))
    assert seen.outcome is Outcome.REJECTED
    assert "nobody wants events" in seen.why
    assert calls().get(other.client_type) is None


@pytest.mark.parametrize("form", ["guide", "schema", "mixed"])
def test_every_version_is_reported_whatever_eventbridge_does_to_its_messages(
    clinic: Clinic, form: str
) -> None:
    pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow has shared streams since 3.3")
    set_events(form=form, doubled=0.4, out_of_order=0.3, delayed=0.2, delay_seconds=0.5, seed=7)

    async def main() -> None:
        async with Triggerer() as triggerer:
            ids = clinic.image_sets(3)
            for latest in range(1, 5):
                for each in ids:
                    clinic.update(each, latest)
            triggerer.start(HealthImagingEventQueueTrigger(clinic.queue_url), states=AssetStates())
            await until(lambda: len(set(triggerer.event_keys())) == 15)
            await until(lambda: clinic.left() == 0)
            assert len(triggerer.event_keys()) == 15

    asyncio.run(main())


def test_a_command_reads_events_and_deletes_nothing(clinic: Clinic) -> None:
    reader = QueueReader(clinic.queue_url)
    reader.connect()
    ids = clinic.image_sets(2)
    clinic.image("training")
    rejected: list[str] = []
    clinic.sqs.send_message(QueueUrl=clinic.queue_url, MessageBody="odd")
    wanted = [EventFilter.of(HEALTHIMAGING), EventFilter.of(SAGEMAKER_IMAGE)]
    rounds = iter(range(4))
    events = list(
        queue_events(reader, wanted, lambda _: next(rounds, None) is None, wait=0, rejected=rejected.append)
    )
    assert {each.get("image_set_id") or each["image_name"] for each in events} == {*ids, "training"}
    assert rejected == ["It is not JSON: JSONDecodeError."]
    assert clinic.left() > 3


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/a", "eu-west-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/a", "eu-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a", "cn-north-1"),
        ("https://queue.amazonaws.com/123456789012/a", None),
        ("http://127.0.0.1:5000/123456789012/a", None),
    ],
)
def test_the_region_is_read_from_the_address_of_a_queue(url: str, region: str | None) -> None:
    assert region_of(url) == region
    assert checked_queue_url(url) == url


@pytest.mark.parametrize(
    "url", ["image-versions", "", None, 7, "https://sqs.eu-west-1.amazonaws.com/1/a.fifo"]
)
def test_what_is_not_the_address_of_a_standard_queue_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match=r"must be the address of an SQS queue|is a FIFO queue"):
        checked_queue_url(url)
