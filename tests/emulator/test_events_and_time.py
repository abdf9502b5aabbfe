"""Events inside a process, and events that leave because time passes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from clinic import Clinic
from emulator_clients import client_of
from receiver import Receiver, names

from airflow_imgver.emulator import mock_image_versions, serve

ROLE = "arn:aws:iam::123456789012:role/studio"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio/analysis:1"
SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012"
THREAD = "embedded-aws-events"


@pytest.fixture
def in_process() -> Iterator[tuple[Clinic, Receiver]]:
    """A clinic and the events of it, inside the process."""
    with mock_image_versions():
        ours, receiver = Clinic(), Receiver()
        receiver.received()
        yield ours, receiver


class TestHealthImaging:
    def test_sends_the_events_of_an_import(self, in_process: tuple[Clinic, Receiver]) -> None:
        ours, receiver = in_process
        job_id = ours.start_import("s3://bucket/input/series=1/", jobName="night")
        events = receiver.received()
        assert names(events) == [
            "Import Job Submitted",
            "Import Job In Progress",
            "Image Set Created",
            "Import Job Completed",
        ]
        assert events[-1]["detail"] == {
            "imagingVersion": "1.0",
            "datastoreId": ours.datastore_id,
            "jobId": job_id,
            "jobName": "night",
            "jobStatus": "COMPLETED",
            "inputS3Uri": "s3://bucket/input/series=1/",
            "outputS3Uri": "s3://bucket/output/",
        }

    def test_sends_the_events_of_image_sets(self, in_process: tuple[Clinic, Receiver]) -> None:
        ours, receiver = in_process
        [source] = ours.import_image_sets(1)
        receiver.received()
        copied = ours.not_primary(source)
        ours.update(copied, "1")
        ours.update(copied, "2", {"SchemaVersion": 1.1, "Study": {"DICOM": {"NoAttribute": "x"}}})
        ours.delete(copied)
        events = receiver.received()
        assert [
            (name, event["detail"]["imageSetVersion"])
            for name, event in zip(names(events), events, strict=True)
        ] == [
            ("Image Set Copying", "1"),
            ("Image Set Copying With Read Only Access", "1"),
            ("Image Set Copied", "1"),
            ("Image Set Updating", "2"),
            ("Image Set Updated", "2"),
            ("Image Set Updating", "3"),
            ("Image Set Update Failed", "3"),
            ("Image Set Deleting", "3"),
            ("Image Set Deleted", "3"),
        ]
        of_datastore = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{ours.datastore_id}"
        assert events[0]["resources"] == [f"{of_datastore}/imageset/{copied}"]
        assert events[0]["detail"] == {
            "imagingVersion": "1.0",
            "isPrimary": False,
            "imageSetVersion": "1",
            "datastoreId": ours.datastore_id,
            "imagesetId": copied,
            "imageSetState": "LOCKED",
            "imageSetWorkflowStatus": "COPYING",
            "sourceImageSetArn": f"{of_datastore}/imageset/{source}",
        }
        assert events[1]["detail"]["imagesetId"] == source
        assert events[1]["detail"]["isPrimary"] is True
        assert events[-1]["detail"]["imageSetState"] == "DELETED"

    def test_sends_the_end_alone_of_what_has_no_event_for_its_begin(
        self, in_process: tuple[Clinic, Receiver]
    ) -> None:
        ours, receiver = in_process
        first, sibling = ours.import_image_sets(2)
        ours.start_import("s3://bucket/input/series=2/", clientToken="again")  # Status IMPORTED, version 2.
        assert "Image Set Created" in names(receiver.received())
        ours.update(first, "2", includeStudyImageSets=True)
        events = receiver.received()
        of_sibling = [event for event in events if event["detail"]["imagesetId"] == sibling]
        assert names(of_sibling) == ["Image Set Updated"]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == THREAD]


class TestTime:
    def test_passes_for_events_without_any_request(self) -> None:
        with serve(transition_seconds=0.2, state={"sagemaker": {"analysis": []}}) as url:
            receiver = Receiver(url)
            client_of("sagemaker", url).create_image_version(ImageName="analysis", BaseImage=BASE_IMAGE)
            client_of("medical-imaging", url).create_datastore(datastoreName="clinic")
            events = receiver.wait_for(lambda events: len(events) == 4)
            assert sorted(names(events)) == [
                "Created",
                "Creating",
                "Data Store Created",
                "Data Store Creating",
            ]
            assert threads() == [THREAD]
        assert threads() == []

    def test_passes_for_a_change_that_the_state_began(self) -> None:
        entry = {
            "CreationTime": 1764000000,
            "ImageArn": f"{SAGEMAKER}:image/analysis",
            "ImageVersionArn": f"{SAGEMAKER}:image-version/analysis/1",
            "ImageVersionStatus": "CREATING",
            "LastModifiedTime": 1764000000,
            "Version": 1,
        }
        with mock_image_versions(state={"sagemaker": {"analysis": [entry]}}, transition_seconds=0.5):
            receiver = Receiver()
            begun = datetime.now(UTC).replace(microsecond=0)
            [event] = receiver.wait_for(bool)
        assert names([event]) == ["Created"]
        assert begun <= datetime.fromisoformat(event["time"]) <= datetime.now(UTC)


def test_no_thread_runs_where_changes_take_no_time() -> None:
    with mock_image_versions():
        receiver = Receiver()
        client_of("sagemaker").create_image(ImageName="analysis", RoleArn=ROLE)
        assert names(receiver.received()) == ["Creating", "Created"]
        assert threads() == []


def test_nothing_is_sent_after_the_end() -> None:
    with mock_image_versions(transition_seconds=0.2):
        receiver = Receiver()
        client_of("sagemaker").create_image(ImageName="analysis", RoleArn=ROLE)
        assert names(receiver.received()) == ["Creating"]
    with mock_image_versions():
        assert Receiver().received() == []
