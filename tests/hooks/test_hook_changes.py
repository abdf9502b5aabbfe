"""The hook finds what has changed since a time: ids and AWS's time, page by page, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import DATASTORE, SECRET, Answer, Asked, connection_json, image_set_entry, stub_aws

from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import AwsCallError, InvalidIdentityError, UnexpectedAnswerError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.image_set_changes import ChangedPage

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def name(number: int) -> str:
    return f"{number:032d}"


def pages(answer: Callable[[Asked], Answer], monkeypatch: pytest.MonkeyPatch) -> list[ChangedPage]:
    """The pages that the hook makes of a stub's answers."""
    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url, max_attempts=1))
        return list(HealthImagingHook().iter_changed_image_set_pages(DATASTORE, SINCE))


@pytest.mark.usefixtures("aws_connection")
def test_the_last_changed_come_first_in_pages_of_fifty() -> None:
    entries = {
        name(number): [image_set_entry(1, imageSetId=name(number), updatedAt=SINCE + timedelta(hours=number))]
        for number in range(120)
    }
    load({"healthimaging": {DATASTORE: entries}})

    found = list(HealthImagingHook().iter_changed_image_set_pages(DATASTORE, SINCE + timedelta(hours=10)))

    assert [len(page.ids) for page in found] == [50, 50, 10]
    assert [one for page in found for one in page.ids] == [name(number) for number in range(119, 9, -1)]
    for page in found:
        assert page.at is not None
        assert abs(page.at - datetime.now(UTC)) < timedelta(seconds=60)


def test_a_page_has_ids_and_a_time_and_nothing_of_a_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = {
        "imageSetId": name(1),
        "version": 1,
        "createdAt": 1680027126.436,
        "DICOMTags": {"DICOMPatientName": SECRET},
    }
    (page,) = pages(lambda asked: Answer({"imageSetsMetadataSummaries": [summary]}), monkeypatch)
    assert page.ids == [name(1)]
    assert SECRET not in repr(page)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(raw=b'{"imageSetsMetadataSummaries": [{"DICOMPatientName": "' + SECRET.encode()),
        Answer(raw=f"<html>{SECRET}</html>".encode()),
        Answer(raw=f'"{SECRET}"'.encode()),
        Answer({SECRET: 1}),
    ],
    ids=["half a page", "a proxy's page", "a text", "no list"],
)
@pytest.mark.parametrize(
    "search",
    [
        lambda hook: hook.iter_changed_image_set_pages(DATASTORE, SINCE),
        lambda hook: hook.iter_changed_image_sets(DATASTORE, updated_after=SINCE),
        lambda hook: hook.iter_image_set_ids(DATASTORE),
    ],
    ids=["pages", "with times", "all ids"],
)
def test_an_answer_that_cannot_be_read_is_not_quoted(
    search: Callable[[HealthImagingHook], Any], answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_aws(lambda asked: answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url, max_attempts=1))
        with pytest.raises(AwsCallError) as raised:
            list(search(HealthImagingHook()))
    assert raised.value.transient
    assert raised.value.message == "SearchImageSets got an answer that cannot be read."
    assert raised.value.__suppress_context__
    assert SECRET not in str(raised.value.details())


@pytest.mark.parametrize("bad", [None, 7, ["x"]])
def test_an_id_that_is_not_a_text_is_refused(bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnexpectedAnswerError, match="an item whose imageSetId is not a text"):
        pages(lambda asked: Answer({"imageSetsMetadataSummaries": [{"imageSetId": bad}]}), monkeypatch)


@pytest.mark.usefixtures("aws_connection")
def test_an_id_that_cannot_be_valid_is_refused_before_any_request() -> None:
    with pytest.raises(InvalidIdentityError, match="datastore_id must be 32 digits"):
        next(HealthImagingHook().iter_changed_image_set_pages("nonsense", SINCE))
