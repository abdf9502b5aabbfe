"""Changes of a status reach a queue through the embedded EventBridge, as AWS's pages show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from emulator_clients import client_of
from moto.moto_api import state_manager
from receiver import Receiver, names

from airflow_imgver.emulator.registration import MANAGED_MODELS

ROLE = "arn:aws:iam::123456789012:role/studio"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio/analysis:1"
SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture
def receiver(emulator_url: str) -> Receiver:
    return Receiver(emulator_url)


def create_version(sagemaker: Any, **arguments: Any) -> None:
    sagemaker.create_image_version(**{"ImageName": "analysis", "BaseImage": BASE_IMAGE, **arguments})


class TestSageMaker:
    def test_sends_the_events_of_an_image(self, sagemaker: Any, receiver: Receiver) -> None:
        tags = [{"Key": "ward", "Value": "3"}]
        sagemaker.create_image(ImageName="Analysis", RoleArn=ROLE, Tags=tags)
        created = sagemaker.describe_image(ImageName="Analysis")
        sagemaker.delete_image(ImageName="Analysis")
        events = receiver.received()
        assert names(events) == ["Creating", "Created", "Deleting"]
        assert len({event.pop("id") for event in events}) == 3
        assert datetime.fromisoformat(events[0].pop("time")) == created["CreationTime"].replace(microsecond=0)
        assert events[0] == {
            "version": "0",
            "detail-type": "SageMaker Image State Change",
            "source": "aws.sagemaker",
            "account": "123456789012",
            "region": "us-east-1",
            "resources": [f"{SAGEMAKER}:image/analysis"],
            "detail": {
                "ImageName": "Analysis",
                "ImageArn": f"{SAGEMAKER}:image/analysis",
                "ImageStatus": "Creating",
                "Version": 1.0,
                "Tags": {"ward": "3"},
            },
        }

    def test_sends_the_events_of_a_version(self, sagemaker: Any, receiver: Receiver) -> None:
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        receiver.received()
        create_version(sagemaker, BaseImage="not-in-ecr")
        create_version(sagemaker)
        sagemaker.delete_image_version(ImageName="analysis", Version=2)
        events = receiver.received()
        assert names(events) == ["Creating", "CreateFailed", "Creating", "Created", "Deleting"]
        assert {event["detail-type"] for event in events} == {"SageMaker Image Version State Change"}
        assert [event["detail"]["Version"] for event in events] == [1.0, 1.0, 2.0, 2.0, 2.0]
        assert events[-1]["resources"] == [f"{SAGEMAKER}:image-version/analysis/2"]
        assert events[-1]["detail"] == {
            "ImageArn": f"{SAGEMAKER}:image/analysis",
            "ImageVersionArn": f"{SAGEMAKER}:image-version/analysis/2",
            "ImageVersionStatus": "Deleting",
            "Version": 2.0,
            "Tags": {},
        }


class TestHealthImaging:
    def test_sends_the_events_of_a_data_store(self, healthimaging: Any, receiver: Receiver) -> None:
        created = healthimaging.create_datastore(datastoreName="clinic")["datastoreId"]
        healthimaging.delete_datastore(datastoreId=created)
        events = receiver.received()
        assert [(event["detail-type"], event["detail"]["datastoreStatus"]) for event in events] == [
            ("Data Store Creating", "CREATING"),
            ("Data Store Created", "ACTIVE"),
            ("Data Store Deleting", "DELETING"),
            ("Data Store Deleted", "DELETED"),
        ]
        arn = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{created}"
        assert (events[0]["source"], events[0]["resources"]) == ("aws.medical-imaging", [arn])
        assert events[0]["detail"] == {
            "imagingVersion": "1.0",
            "datastoreId": created,
            "datastoreName": "clinic",
            "datastoreStatus": "CREATING",
        }


class TestARule:
    def test_gets_what_its_pattern_matches_alone(self, emulator_url: str, sagemaker: Any) -> None:
        pattern = {"source": ["aws.sagemaker"], "detail": {"ImageVersionStatus": ["Created"]}}
        receiver = Receiver(emulator_url, pattern=pattern)
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        create_version(sagemaker)
        assert names(receiver.received()) == ["Created"]

    def test_that_is_disabled_gets_nothing(self, emulator_url: str, sagemaker: Any) -> None:
        receiver = Receiver(emulator_url)
        client_of("events", emulator_url).disable_rule(Name="events")
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        assert receiver.received() == []

    def test_delivers_to_each_of_its_targets_beside_one_that_fails(
        self, emulator_url: str, sagemaker: Any, receiver: Receiver
    ) -> None:
        arn = "arn:aws:sqs:us-east-1:123456789012:"
        events, other = client_of("events", emulator_url), Receiver(emulator_url, name="other")
        targets = [{"Id": name, "Arn": arn + name} for name in ("missing", "other")]
        events.remove_targets(Rule="other", Ids=["queue"])
        events.put_targets(Rule="events", Targets=targets)
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        assert names(other.received()) == names(receiver.received()) == ["Creating", "Created"]

    def test_gets_the_events_of_its_region_alone(self, emulator_url: str, receiver: Receiver) -> None:
        elsewhere = Receiver(emulator_url, region="eu-west-1")
        client_of("sagemaker", emulator_url, region="eu-west-1").create_image(
            ImageName="analysis", RoleArn=ROLE
        )
        assert {event["region"] for event in elsewhere.received()} == {"eu-west-1"}
        assert receiver.received() == []

    def test_may_transform_its_events(self, emulator_url: str, sagemaker: Any, receiver: Receiver) -> None:
        transformer = {"InputPathsMap": {"arn": "$.resources[0]"}, "InputTemplate": '{"image": "<arn>"}'}
        target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:123456789012:events"}
        client_of("events", emulator_url).put_targets(
            Rule="events", Targets=[target | {"InputTransformer": transformer}]
        )
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        assert receiver.received()[0] == {"image": f"{SAGEMAKER}:image/analysis"}


class TestTime:
    def test_may_be_switched_on_while_it_runs(self, sagemaker: Any, receiver: Receiver) -> None:
        for model in MANAGED_MODELS:
            state_manager.set_transition(model, {"progression": "time", "seconds": 0.1})
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        assert names(receiver.wait_for(lambda events: len(events) == 2)) == ["Creating", "Created"]

    def test_is_a_number_of_reads_where_a_test_says_so(
        self, sagemaker: Any, receiver: Receiver, reads: Any
    ) -> None:
        reads("sagemaker::image", 2)
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        sagemaker.describe_image(ImageName="analysis")
        assert names(receiver.received()) == ["Creating"]
        sagemaker.describe_image(ImageName="analysis")
        assert names(receiver.received()) == ["Created"]


def test_a_change_without_a_rule_leaves_no_trace(sagemaker: Any, emulator_url: str) -> None:
    sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
    assert Receiver(emulator_url).received() == []
