"""The embedded AWS inside a process, with its faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError, ConnectionClosedError
from emulator_clients import client_of
from moto import mock_aws

from airflow_imgver.emulator import StateError, calls, inject_fault, mock_image_versions

ROLE = "arn:aws:iam::123456789012:role/studio"


@pytest.fixture
def sagemaker() -> Iterator[Any]:
    with mock_image_versions(state={"sagemaker": {"analysis": []}}):
        yield client_of("sagemaker")


def names(sagemaker: Any) -> list[str]:
    return [image["ImageName"] for image in sagemaker.list_images()["Images"]]


def test_a_state_is_loaded(sagemaker: Any) -> None:
    assert names(sagemaker) == ["analysis"]


def test_nothing_is_left_for_the_next(sagemaker: Any) -> None:
    sagemaker.create_image(ImageName="other", RoleArn=ROLE)
    assert sorted(names(sagemaker)) == ["analysis", "other"]


def test_healthimaging_is_reached_at_both_its_hosts() -> None:
    with mock_image_versions():
        healthimaging = client_of("medical-imaging")
        assert healthimaging.list_datastores()["datastoreSummaries"] == []
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            healthimaging.list_image_set_versions(datastoreId="1" * 32, imageSetId="2" * 32)
    assert calls() == {}


def test_the_rest_of_moto_is_there() -> None:
    with mock_image_versions():
        s3 = client_of("s3")
        s3.create_bucket(Bucket="scans")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["scans"]


def test_a_body_that_is_a_stream_reaches_moto_whole() -> None:
    with mock_image_versions():
        s3 = client_of("s3")
        s3.create_bucket(Bucket="scans")
        s3.put_object(Bucket="scans", Key="a", Body=BytesIO(b"x" * 100_000))
        assert s3.get_object(Bucket="scans", Key="a")["Body"].read() == b"x" * 100_000


def test_mock_aws_may_be_open_inside(sagemaker: Any) -> None:
    with mock_aws():
        assert names(sagemaker) == ["analysis"]
    assert names(sagemaker) == ["analysis"]


def test_it_works_as_a_decorator() -> None:
    @mock_image_versions()
    def create() -> list[str]:
        client_of("sagemaker").create_image(ImageName="analysis", RoleArn=ROLE)
        return names(client_of("sagemaker"))

    assert create() == create() == ["analysis"]


def test_a_malformed_state_leaves_the_process_free() -> None:
    with pytest.raises(StateError), mock_image_versions(state={"images": {}}):
        pass
    with mock_image_versions():
        assert names(client_of("sagemaker")) == []


def test_an_error_keeps_the_call_from_being_carried_out(sagemaker: Any) -> None:
    inject_fault("sagemaker", "CreateImage", error={"code": "ResourceLimitExceeded", "message": "Injected"})
    with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*Injected") as met:
        sagemaker.create_image(ImageName="other", RoleArn=ROLE)
    assert met.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert names(sagemaker) == ["analysis"]


def test_an_http_500_has_no_body(sagemaker: Any) -> None:
    inject_fault("sagemaker", "ListImages", kind="http-500")
    with pytest.raises(ClientError, match="500"):
        sagemaker.list_images()
    assert names(sagemaker) == ["analysis"]


def test_a_dropped_connection_is_met_as_one(sagemaker: Any) -> None:
    inject_fault("sagemaker", "ListImages", kind="drop")
    with pytest.raises(ConnectionClosedError, match="sagemaker"):
        sagemaker.list_images()


def test_a_dropped_connection_is_tried_again_by_a_client_that_retries(sagemaker: Any) -> None:
    inject_fault("sagemaker", "ListImages", kind="drop")
    assert names(client_of("sagemaker", retries={"total_max_attempts": 2})) == ["analysis"]
    assert calls() == {"sagemaker": {"ListImages": 2}}


def test_a_truncated_answer_is_to_botocore_one_without_members(sagemaker: Any) -> None:
    inject_fault("sagemaker", "ListImages", kind="truncate")
    assert set(sagemaker.list_images()) == {"ResponseMetadata"}
    assert names(sagemaker) == ["analysis"]


def test_a_delay_answers_late_and_rightly(sagemaker: Any) -> None:
    inject_fault("sagemaker", "ListImages", kind="delay", seconds=0.2)
    begun = time.monotonic()
    assert names(sagemaker) == ["analysis"]
    assert time.monotonic() - begun >= 0.2


def test_every_service_that_moto_serves_is_counted_and_may_fail() -> None:
    with mock_image_versions():
        inject_fault("s3", "GetObject", error={"code": "NoSuchKey"})
        inject_fault("sqs", "SendMessage", error={"code": "AccessDeniedException"})
        s3, sqs = client_of("s3"), client_of("sqs")
        s3.create_bucket(Bucket="scans")
        s3.put_object(Bucket="scans", Key="a/b", Body=b"x")
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="scans", Key="a/b")
        queue = sqs.create_queue(QueueName="events")["QueueUrl"]
        with pytest.raises(ClientError, match="AccessDeniedException"):
            sqs.send_message(QueueUrl=queue, MessageBody="x")
        assert client_of("sts").get_caller_identity()["Account"]
        assert calls() == {
            "s3": {"CreateBucket": 1, "PutObject": 1, "GetObject": 1},
            "sqs": {"CreateQueue": 1, "SendMessage": 1},
            "sts": {"GetCallerIdentity": 1},
        }


def test_faults_are_over_when_it_ends() -> None:
    with mock_image_versions():
        inject_fault("sagemaker", "ListImages", kind="http-500", times=None)
    with mock_image_versions():
        assert names(client_of("sagemaker")) == []


@pytest.mark.parametrize(
    ("service", "call"), [("medical-imaging", "list_datastores"), ("sagemaker", "list_images")]
)
def test_a_request_that_aws_refuses_is_refused(service: str, call: str) -> None:
    with mock_image_versions():
        with pytest.raises(ClientError, match="MissingAuthenticationTokenException"):
            getattr(client_of(service, signature_version=UNSIGNED), call)()
        with pytest.raises(ClientError, match=r"InvalidSignatureException.*not 'eu-central-9'"):
            getattr(client_of(service, region="eu-central-9"), call)()
