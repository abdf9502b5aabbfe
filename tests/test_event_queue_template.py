"""`docs/cloudformation/event-queue.json`, as moto's CloudFormation creates it and its EventBridge uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import client_of

from airflow_imgver.emulator import set_events

TEMPLATE = Path(__file__).resolve().parent.parent / "docs" / "cloudformation" / "event-queue.json"
ROLE = "arn:aws:iam::123456789012:role/studio"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio/analysis:1"
UPDATES, WRONG_UPDATES = (
    {"DICOMUpdates": {"updatableAttributes": json.dumps(document).encode()}}
    for document in (
        {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "CT"}}},
        {"SchemaVersion": 1.1, "Study": {"DICOM": {"NoSuchAttribute": "1"}}},
    )
)

# moto creates the queues and the rules, and checks no permissions.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")


class Stack(NamedTuple):
    """The stack of the template: its outputs, and clients of what it is made of."""

    outputs: dict[str, str]
    sqs: Any
    events: Any

    def received(self, output: str = "QueueUrl") -> list[dict[str, Any]]:
        """Take every message of a queue."""
        url, bodies = self.outputs[output], []
        while found := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages"
        ):
            for message in found:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture
def stack(emulator_url: str) -> Stack:
    """The stack, created anew."""
    cloudformation = client_of("cloudformation", emulator_url)
    cloudformation.create_stack(StackName="imgver", TemplateBody=TEMPLATE.read_text(encoding="utf-8"))
    (created,) = cloudformation.describe_stacks(StackName="imgver")["Stacks"]
    assert created["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in created["Outputs"]}
    return Stack(outputs, client_of("sqs", emulator_url), client_of("events", emulator_url))


def change_image_sets(emulator_url: str) -> None:
    """Import a study, and create, update, copy and delete its image set, with a failure of each."""
    aws = client_of("medical-imaging", emulator_url)
    datastore_id = aws.create_datastore(datastoreName="clinic")["datastoreId"]
    aws.start_dicom_import_job(
        datastoreId=datastore_id,
        inputS3Uri="s3://scans/input/series=1/",
        outputS3Uri="s3://scans/output/",
        dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
    )
    (found,) = aws.search_image_sets(datastoreId=datastore_id)["imageSetsMetadataSummaries"]
    here = {"datastoreId": datastore_id, "imageSetId": found["imageSetId"]}
    for version, updates in enumerate((UPDATES, WRONG_UPDATES), 1):
        aws.update_image_set_metadata(
            **here, latestVersionId=str(version), updateImageSetMetadataUpdates=updates
        )
    source = {"sourceImageSet": {"latestVersionId": "3"}}
    copied = aws.copy_image_set(
        datastoreId=datastore_id, sourceImageSetId=found["imageSetId"], copyImageSetInformation=source
    )["destinationImageSetProperties"]
    destination = {"imageSetId": copied["imageSetId"], "latestVersionId": "1"}
    aws.copy_image_set(
        datastoreId=datastore_id,
        sourceImageSetId=found["imageSetId"],
        copyImageSetInformation={**source, "destinationImageSet": destination},
    )
    aws.delete_image_set(**here)


def change_images(emulator_url: str) -> None:
    """Create, fail to create, and delete versions of an image, and the image."""
    aws = client_of("sagemaker", emulator_url)
    aws.create_image(ImageName="analysis", RoleArn=ROLE)
    aws.create_image_version(ImageName="analysis", BaseImage=BASE_IMAGE)
    aws.create_image_version(ImageName="analysis", BaseImage="not-in-ecr")
    aws.delete_image_version(ImageName="analysis", Version=1)
    aws.delete_image(ImageName="analysis")


@pytest.mark.parametrize("form", ["guide", "schema"])
def test_the_queue_gets_every_event_of_image_sets_and_of_image_versions_and_no_other(
    emulator_url: str, stack: Stack, form: str
) -> None:
    everything = stack.sqs.create_queue(QueueName="everything")["QueueUrl"]
    stack.events.put_rule(
        Name="everything",
        EventPattern=json.dumps({"source": ["aws.medical-imaging", "aws.sagemaker", "aws.s3"]}),
    )
    arn = "arn:aws:sqs:us-east-1:123456789012:everything"
    stack.events.put_targets(Rule="everything", Targets=[{"Id": "queue", "Arn": arn}])
    set_events(form=form)

    change_image_sets(emulator_url)
    change_images(emulator_url)

    received = stack.received()
    stack.outputs["everything"] = everything
    sent = stack.received("everything")
    of_versions = ("Image Set ", "SageMaker Image Version ")
    wanted = [event for event in sent if event["detail-type"].startswith(of_versions)]
    assert [event["id"] for event in received] == [event["id"] for event in wanted]
    assert {event["detail-type"] for event in sent} - {event["detail-type"] for event in received} == {
        "Data Store Creating",
        "Data Store Created",
        "Import Job Submitted",
        "Import Job In Progress",
        "Import Job Completed",
        "SageMaker Image State Change",
    }
    assert {event["detail-type"] for event in received} == {
        "Image Set Created",
        "Image Set Updating",
        "Image Set Updated",
        "Image Set Update Failed",
        "Image Set Copying",
        "Image Set Copying With Read Only Access",
        "Image Set Copied",
        "Image Set Copy Failed",
        "Image Set Deleting",
        "Image Set Deleted",
        "SageMaker Image Version State Change",
    }
    assert {"CREATING", "CREATED", "CREATE_FAILED", "DELETING"} == {
        event["detail"]["ImageVersionStatus"].upper().replace("CREATEFAILED", "CREATE_FAILED")
        for event in received
        if event["source"] == "aws.sagemaker"
    }


def test_a_message_that_nobody_deletes_goes_to_the_dead_letter_queue(emulator_url: str, stack: Stack) -> None:
    url = stack.outputs["QueueUrl"]
    change_images(emulator_url)
    attributes = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "120"
    most = json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]
    receive = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0, "VisibilityTimeout": 0}

    received = [len(stack.sqs.receive_message(**receive).get("Messages", [])) for _ in range(most + 1)]

    assert received == [6] * most + [0]
    assert len(stack.received("DeadLetterQueueUrl")) == 6


def test_the_rules_alone_may_send_to_the_queues() -> None:
    resources = json.loads(TEMPLATE.read_text(encoding="utf-8"))["Resources"]
    rules = {name for name, each in resources.items() if each["Type"] == "AWS::Events::Rule"}
    queues = {name for name, each in resources.items() if each["Type"] == "AWS::SQS::Queue"}
    policy = resources["QueuePolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert {each["Ref"] for each in policy["Queues"]} == queues
    assert {each["Fn::GetAtt"][0] for each in statement["Resource"]} == queues
    sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {each["Fn::GetAtt"][0] for each in sources} == rules
    assert (statement["Principal"], statement["Action"]) == (
        {"Service": "events.amazonaws.com"},
        "sqs:SendMessage",
    )
    for name in rules:
        (target,) = resources[name]["Properties"]["Targets"]
        assert target["Arn"]["Fn::GetAtt"] == ["Queue", "Arn"]
