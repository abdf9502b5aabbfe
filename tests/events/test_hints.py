"""What a message of a queue says, in every shape that AWS's pages show, and in none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support import DATASTORE, IMAGE_SET, SECRET

from airflow_imgver.events.hints import ForeignMessageError, MessageError, UnreadableMessageError, read_hint
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE

OTHER_SET = "207284eef860ac01c4b2a8de27a6fc11"
ARN = f"arn:aws:medical-imaging:us-west-2:123456789012:datastore/{DATASTORE}/imageset/{OTHER_SET}"
IMAGE_ARN = "arn:aws:sagemaker:us-west-2:123456789012:image/studio-kernel"
VERSION_ARN = "arn:aws:sagemaker:us-west-2:123456789012:image-version/studio-kernel/7"

# https://docs.aws.amazon.com/healthimaging/latest/devguide/event-notifications.html
IMAGE_SET_EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7cf0fb1c-8720-4d48-baa3-6eb97b35a10e",
    "detail-type": "Image Set Copy Failed",
    "source": "aws.medical-imaging",
    "account": "123456789012",
    "time": "2024-03-14T00:01:00Z",
    "region": "us-west-2",
    "resources": [ARN],
    "detail": {
        "imagingVersion": "1.0",
        "isPrimary": True,
        "imageSetVersion": "12",
        "datastoreId": DATASTORE,
        "imagesetId": IMAGE_SET,
        "imageSetState": "ACTIVE",
        "imageSetWorkflowStatus": "COPY_FAILED",
    },
}
# https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
IMAGE_EVENT: dict[str, Any] = {
    "version": "0",
    "id": "07fc4615-ebd7-15fc-1746-243411f09f04",
    "detail-type": "SageMaker Image Version State Change",
    "source": "aws.sagemaker",
    "account": "123456789012",
    "time": "2021-04-29T01:29:59Z",
    "region": "us-west-2",
    "resources": [VERSION_ARN],
    "detail": {
        "ImageArn": IMAGE_ARN,
        "ImageVersionArn": VERSION_ARN,
        "ImageVersionStatus": "CreateFailed",
        "Version": 7.0,
        "Tags": {},
    },
}


def image_set(**detail: Any) -> dict[str, Any]:
    """The event of an image set; a member of None is left out."""
    members = {**IMAGE_SET_EVENT["detail"], **detail}
    return {**IMAGE_SET_EVENT, "detail": {name: each for name, each in members.items() if each is not None}}


def image(**detail: Any) -> dict[str, Any]:
    """The event of an image version; a member of None is left out."""
    members = {**IMAGE_EVENT["detail"], **detail}
    return {**IMAGE_EVENT, "detail": {name: each for name, each in members.items() if each is not None}}


def test_the_event_of_the_guide_names_the_image_set_its_version_and_the_time() -> None:
    hint = read_hint(json.dumps(IMAGE_SET_EVENT))
    assert hint.service is HEALTHIMAGING
    assert hint.identity == {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}
    assert (hint.version, hint.status) == (12, "COPY_FAILED")
    assert hint.time == datetime(2024, 3, 14, 0, 1, tzinfo=UTC)


def test_the_other_spelling_and_a_missing_version_are_read_too() -> None:
    hint = read_hint(json.dumps(image_set(imagesetId=None, imageSetId=IMAGE_SET, imageSetVersion=None)))
    assert hint.identity["image_set_id"] == IMAGE_SET
    assert hint.version is None


def test_an_arn_in_resources_stands_in_for_ids_that_are_missing() -> None:
    hint = read_hint(json.dumps(image_set(imagesetId=None, datastoreId=None)))
    assert hint.identity == {"datastore_id": DATASTORE, "image_set_id": OTHER_SET}


@pytest.mark.parametrize("version", [7, 7.0, "7", "7.0"])
def test_a_version_is_read_however_it_is_written(version: Any) -> None:
    assert read_hint(json.dumps(image(Version=version))).version == 7


@pytest.mark.parametrize(
    ("written", "status"),
    [("Creating", "CREATING"), ("CREATED", "CREATED"), ("CreateFailed", "CREATE_FAILED"), (None, None)],
)
def test_a_status_is_spelled_as_the_api_does(written: str | None, status: str | None) -> None:
    assert read_hint(json.dumps(image(ImageVersionStatus=written))).status == status


def test_the_image_is_read_from_either_arn() -> None:
    assert read_hint(json.dumps(IMAGE_EVENT)).service is SAGEMAKER_IMAGE
    for event in (image(ImageArn=None), image(ImageVersionArn=None), image(Version=None)):
        hint = read_hint(json.dumps(event))
        assert (hint.identity, hint.version) == ({"image_name": "studio-kernel"}, 7)


def test_a_notification_of_sns_is_unwrapped() -> None:
    body = json.dumps({"Type": "Notification", "Message": json.dumps(IMAGE_SET_EVENT)})
    assert read_hint(body) == read_hint(json.dumps(IMAGE_SET_EVENT))


def test_a_time_that_cannot_be_read_is_no_time() -> None:
    assert read_hint(json.dumps({**IMAGE_SET_EVENT, "time": "yesterday"})).time is None


@pytest.mark.parametrize(
    "event",
    [
        {**IMAGE_SET_EVENT, "detail-type": "Import Job Completed"},
        {**IMAGE_SET_EVENT, "source": "aws.s3"},
        {**IMAGE_EVENT, "detail-type": "SageMaker Image State Change"},
        {},
        {"Type": "Notification", "Message": "{}"},
        {**IMAGE_SET_EVENT, "detail-type": 7, "source": None},
    ],
)
def test_a_message_about_something_else_is_foreign(event: Any) -> None:
    with pytest.raises(ForeignMessageError, match="not an event of an image set or image version"):
        read_hint(json.dumps(event))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "not JSON"),
        (f"{{{SECRET}", "not JSON"),
        ("x" * 256 * 1024, "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ('{"Type": "Notification", "Message": "no"}', "not JSON"),
        (json.dumps({**IMAGE_SET_EVENT, "detail": "text"}), "detail is not an object"),
        (json.dumps({**image_set(imagesetId=None), "resources": None}), "no image_set_id"),
        (json.dumps({**image_set(imagesetId=None), "resources": [7, "arn"]}), "no image_set_id"),
        (json.dumps(image_set(imagesetId="../../etc")), "image_set_id must be 32 digits"),
        (json.dumps(image_set(imagesetId={"a": "b" * 10_000})), "image_set_id must be 32 digits"),
        (json.dumps(image_set(datastoreId=DATASTORE.upper()[:-1] + "X")), "datastore_id must be 32 digits"),
        (json.dumps(image_set(imageSetVersion="latest")), "not a version number"),
        (json.dumps(image_set(imageSetVersion=True)), "not a version number"),
        (json.dumps(image(Version=1.5)), "not a version number"),
        (json.dumps(image(Version=-1)), "not a version number"),
        (json.dumps(image(Version=float("nan"))), "not a version number"),
        (json.dumps(image(Version=float("inf"))), "not a version number"),
        (json.dumps(image(Version=10**30)), "not a version number"),
        (json.dumps(image(Version=[1])), "not a version number"),
    ],
)
def test_a_message_without_a_version_that_could_be_listed_is_unreadable(body: str, why: str) -> None:
    with pytest.raises(UnreadableMessageError, match=why) as caught:
        read_hint(body)
    assert len(str(caught.value)) < 400
    assert SECRET not in str(caught.value)


def test_a_message_of_256_kb_is_read() -> None:
    event = image_set(padding="x" * 255 * 1024)
    assert read_hint(json.dumps(event)).identity["image_set_id"] == IMAGE_SET


def test_no_message_raises_anything_else() -> None:
    import random

    source = random.Random(5)
    text = json.dumps(IMAGE_SET_EVENT)
    for _ in range(2000):
        cut, more = source.randrange(len(text)), source.choice(['"', "{", "\\u0000", "7", "null", ""])
        body = text[:cut] + more + text[cut + source.randrange(12) :]
        try:
            read_hint(body)
        except MessageError:
            continue
