"""The example Dags, run by Airflow itself against the embedded AWS."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import airflow
import pendulum
import pytest
from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.utils.session import create_session
from moto.moto_api import state_manager
from moto.sns.models import sns_backends
from sqlalchemy import select
from support import client_of, dag_bags, make_known

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.emulator.state import load
from demo.stack import create_topic

CHECKOUT = Path(__file__).resolve().parent.parent
DAGS = CHECKOUT / "dags"
STATE = CHECKOUT / "demo" / "state.json"

UNKNOWN_ATTRIBUTE = '{"Study": {"DICOM": {"NoSuchAttribute": "1"}}}'
CHANGES = ("medical-imaging::image-set", "sagemaker::image-version")

pytestmark = pytest.mark.usefixtures("metadata_database")


@pytest.fixture(scope="module")
def dags(metadata_database: None) -> dict[str, DAG]:
    """The Dags by id, read by Airflow with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bag = dag_bags().DagBag(str(DAGS))
    assert bag.import_errors == {}
    make_known(bag)
    for dag in bag.dags.values():
        for gate in dag.tasks:
            if isinstance(gate, BaseSensorOperator):
                gate.poke_interval = 0.2
    return dict(bag.dags)


@pytest.fixture
def aws(aws_connection: str, emulator_url: str) -> str:
    """The embedded AWS with the demo's state; a change settles at the second poll."""
    load(STATE)
    create_topic(emulator_url)
    for model in CHANGES:
        state_manager.set_transition(model, {"progression": "manual", "times": 2})
    return aws_connection


class Run:
    """A run that has ended."""

    def __init__(self, dag: DAG, params: dict[str, Any] | None = None, **more: Any) -> None:
        self._run = dag.test(run_conf=params, **more)
        self.state = str(self._run.state)
        instances = self._run.get_task_instances()
        self.tasks = {instance.task_id: str(instance.state) for instance in instances}
        self.mapped = {(each.task_id, each.rendered_map_index) for each in instances if each.map_index >= 0}

    def xcom(self, task_id: str) -> Any:
        """What a task returned."""
        found = XComModel.get_many(
            run_id=self._run.run_id, dag_ids=self._run.dag_id, task_ids=task_id, key="return_value"
        )
        with create_session() as session:
            (value,) = session.scalars(found.with_only_columns(XComModel.value))
        return value


def test_every_file_holds_one_dag_of_its_own_name(dags: dict[str, DAG]) -> None:
    assert set(dags) == {file.stem for file in DAGS.glob("*.py")}


def test_every_example_says_in_the_ui_what_it_is_for(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        assert "###" in str(dag.doc_md), dag_id
        assert "example" in dag.tags, dag_id


@pytest.mark.usefixtures("aws")
def test_the_copy_example_ends_with_the_history_of_the_destination_and_its_good_versions(
    dags: dict[str, DAG], caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(dags["example_healthimaging_copy"])

    assert run.state == "success"
    assert "running trigger in line" in caplog.text, "the gate deferred"
    gate = run.xcom("copy_image_set")
    assert (gate["versionId"], gate["ImageSetWorkflowStatus"]) == ("5", "COPIED")
    versions = run.xcom("list_versions")
    assert [version["versionId"] for version in versions] == ["5", "4", "3", "2", "1"]
    assert versions[0] == gate
    assert versions[3]["message"].startswith("INVALID_REQUEST:  Series of SourceImageSet")
    assert run.xcom("versions_to_read") == ["5", "4", "3", "1"]


@pytest.mark.usefixtures("aws")
def test_the_copy_example_stops_when_the_copy_failed(dags: dict[str, DAG]) -> None:
    run = Run(dags["example_healthimaging_copy"], {"force": False})

    assert run.state == "failed"
    assert run.tasks["copy_image_set"] == "failed"
    assert run.tasks["list_versions"] == "upstream_failed"


@pytest.mark.usefixtures("aws")
def test_the_update_example_goes_on_with_a_good_version(dags: dict[str, DAG]) -> None:
    run = Run(dags["example_healthimaging_update"])

    assert run.state == "success"
    assert run.xcom("version_before") == "4"
    assert run.xcom("update_metadata")["versionId"] == "5"
    assert run.xcom("wait_for_update")["ImageSetWorkflowStatus"] == "UPDATED"
    assert run.xcom("use_update") == "5"
    assert run.tasks["revert"] == "skipped"
    assert run.tasks["report_failed_update"] == "skipped"


@pytest.mark.usefixtures("aws")
def test_the_update_example_reverts_a_failed_update_and_then_fails(dags: dict[str, DAG]) -> None:
    run = Run(dags["example_healthimaging_update"], {"updates": UNKNOWN_ATTRIBUTE})

    assert run.tasks["use_update"] == "skipped"
    failed, restored = run.xcom("wait_for_update"), run.xcom("revert")
    assert (failed["versionId"], failed["ImageSetWorkflowStatus"]) == ("5", "UPDATE_FAILED")
    assert (restored["versionId"], restored["ImageSetWorkflowStatus"]) == ("6", "UPDATED")
    assert run.tasks["report_failed_update"] == "failed"
    assert run.state == "failed"


@pytest.mark.usefixtures("aws")
def test_the_sagemaker_example_rolls_out_the_version_that_it_built(
    dags: dict[str, DAG], caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(dags["example_sagemaker_image"])

    assert run.state == "success"
    assert "running trigger in line" in caplog.text, "the gate deferred"
    gate = run.xcom("create_image_version")
    assert (gate["Version"], gate["ImageVersionStatus"]) == (3, "CREATED")
    versions = run.xcom("list_versions")
    assert [(v["Version"], v["ImageVersionStatus"]) for v in versions] == [
        (3, "CREATED"),
        (2, "CREATED"),
        (1, "CREATE_FAILED"),
    ]
    assert run.xcom("roll_out") == gate["ImageVersionArn"]


@pytest.mark.usefixtures("aws")
def test_the_sagemaker_example_rolls_nothing_out_when_the_build_failed(dags: dict[str, DAG]) -> None:
    run = Run(dags["example_sagemaker_image"], {"base_image": "not-in-ecr"})

    assert run.state == "failed"
    assert run.tasks["create_image_version"] == "failed"
    assert run.tasks["roll_out"] == "upstream_failed"


@pytest.mark.usefixtures("aws")
def test_the_update_example_sends_nothing_that_is_not_json(dags: dict[str, DAG]) -> None:
    run = Run(dags["example_healthimaging_update"], {"updates": "not JSON"})

    assert run.state == "failed"
    assert run.tasks["update_metadata"] == "failed"
    assert calls()["medical-imaging"].keys() == {"ListImageSetVersions"}


@pytest.mark.usefixtures("aws")
def test_the_import_example_lists_and_reports_every_image_set_of_the_import(
    dags: dict[str, DAG], tmp_path: Path
) -> None:
    run = Run(dags["example_healthimaging_import"], {"folder": str(tmp_path)})

    assert run.state == "success"
    made = [each["imageSetId"] for each in run.xcom("import_study")]
    assert made
    assert run.xcom("ids_of") == made
    assert {name for task_id, name in run.mapped if task_id in ("list_versions", "use_image_set")} == set(
        made
    )
    assert run.xcom("report")["rows"] == len(made)
    assert ".html" in {path.suffix for path in tmp_path.iterdir()}


def test_the_import_example_sends_a_message_when_the_import_failed(
    dags: dict[str, DAG], aws: str, emulator_url: str
) -> None:
    sns, sqs = client_of("sns", emulator_url), client_of("sqs", emulator_url)
    topic = sns.create_topic(Name="imaging-failures")["TopicArn"]
    queue = sqs.create_queue(QueueName="team")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    denied = {"code": "AccessDeniedException", "message": "not authorized"}
    inject_fault("medical-imaging", "StartDICOMImportJob", error=denied)

    run = Run(dags["example_healthimaging_import"], {"topic_arn": topic})

    assert run.state == "failed"
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    sent = json.loads(message["Body"])
    assert sent["Subject"] == "example_healthimaging_import: import_study failed"
    knows_the_error = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 3)
    error = "AccessDeniedException from StartDICOMImportJob: not authorized"
    assert (error if knows_the_error else "failed: see its log") in sent["Message"]


def stored(asset: str, *changes: dict[str, Any]) -> None:
    """Store an event for each change, as the trigger of an asset's watcher is made to."""
    with create_session() as session:
        found = session.scalar(select(AssetModel).where(AssetModel.name == asset))
        if found is None:
            found = AssetModel(name=asset, uri=asset, group="asset")
            session.add_all([found, AssetActive(name=asset, uri=asset)])
            session.flush()
        for change in changes:
            event = {"service": "medical-imaging", "datastore_id": STORE, "reason": None, **change}
            event |= {
                "key": f"{change['image_set_id']}/{change['version']}",
                "changed_at": "2026-11-30T00:00:00",
            }
            extra = {"from_trigger": True, "payload": event}
            session.add(AssetEvent(asset_id=found.id, extra=extra))


STORE = "12345678901234567890123456789012"
COPIED, CREATED = "ea92b0d8838c72a3f25d00d13616f87e", "6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60"


@pytest.mark.usefixtures("aws")
def test_the_example_on_ready_image_sets_lists_each_once_and_goes_on(dags: dict[str, DAG]) -> None:
    events = [(COPIED, 3), (COPIED, 4), (CREATED, 1), (COPIED, 4)]
    stored(
        "healthimaging_image_set_ready",
        *({"image_set_id": each, "version": version, "phase": "ready"} for each, version in events),
    )

    run = Run(dags["example_healthimaging_ready"])

    assert run.state == "success"
    assert {each["image_set_id"] for each in run.xcom("image_sets")} == {COPIED, CREATED}
    assert run.mapped >= {("use_image_set", COPIED), ("use_image_set", CREATED)}
    assert len(run.mapped) == 4


@pytest.mark.usefixtures("aws")
def test_the_example_on_failures_sends_one_message_for_all(dags: dict[str, DAG]) -> None:
    failed = {"image_set_id": COPIED, "phase": "failed", "status": "COPY_FAILED"}
    reason = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."
    stored(
        "healthimaging_version_failed", {**failed, "version": 2, "reason": reason}, {**failed, "version": 3}
    )

    run = Run(dags["example_healthimaging_failures"])
    again = Run(dags["example_healthimaging_failures"])

    assert (run.state, again.state) == ("success", "success")
    assert (run.xcom("notify_the_team"), again.xcom("notify_the_team")) == (2, 0)
    (sent,) = sent_to_the_topic()
    assert sent.subject == "HealthImaging: 2 failed"
    about = (
        f"COPY_FAILED, version 2 of image set {COPIED} in data store {STORE}, 2026-11-30T00:00:00: {reason}"
    )
    assert sent.message.splitlines() == [
        about,
        about.replace("version 2", "version 3").replace(reason, "no reason"),
    ]


def test_no_example_calls_boto3_itself() -> None:
    for file in DAGS.glob("*.py"):
        assert "boto3" not in file.read_text(encoding="utf-8"), file.name
        assert "Hook" not in file.read_text(encoding="utf-8"), file.name


@pytest.fixture
def broken_build(aws: str) -> str:
    """An image whose last build failed on 5 October, and no later one is good."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    entry = {
        "ImageArn": f"{arn}:image/studio-broken",
        "ImageVersionArn": f"{arn}:image-version/studio-broken/1",
        "ImageVersionStatus": "CREATE_FAILED",
        "Version": 1,
        "CreationTime": "2026-10-05T09:00:00+00:00",
        "LastModifiedTime": "2026-10-05T09:03:00+00:00",
        "FailureReason": "The container image was not found in Amazon ECR.",
    }
    load({"sagemaker": {"studio-broken": [entry]}})
    return "studio-broken"


class Sent(NamedTuple):
    """A message that the topic got."""

    message: str
    subject: str


def sent_to_the_topic() -> list[Sent]:
    """The messages that the topic of the example got."""
    (topic,) = sns_backends["123456789012"]["us-east-1"].topics.values()
    # The amazon provider sends a message for all kinds of subscribers.
    return [
        Sent(json.loads(message)["default"], subject) for _, message, subject, *_ in topic.sent_notifications
    ]


SUMMARIES = ("image_sets.summary.json", "images.summary.json")


def reported_on(day: pendulum.DateTime, dags: dict[str, DAG], folder: Path) -> Run:
    """A run of the report of a day, as the scheduler makes it when the day has ended."""
    return Run(dags["example_version_report"], {"folder": str(folder)}, logical_date=day.add(days=1))


@pytest.mark.usefixtures("broken_build")
def test_the_report_example_notifies_of_a_failure_and_says_where_to_read_on(
    dags: dict[str, DAG], tmp_path: Path
) -> None:
    run = reported_on(pendulum.datetime(2026, 10, 5), dags, tmp_path)

    assert run.state == "success"
    assert (run.tasks["send_messages"], run.tasks["all_is_well"]) == ("success", "skipped")
    summary = run.xcom("report_images")
    assert summary["updated_after"] == "2026-10-05T00:00:00+00:00"
    assert summary["updated_before"] == "2026-10-06T00:00:00+00:00"
    assert [(failure["id"], failure["good_successor"]) for failure in summary["failures"]] == [
        ("studio-broken", None),
        ("studio-imaging", 2),
    ]
    (sent,) = sent_to_the_topic()
    assert sent.message == run.xcom("send_messages")
    assert sent.subject == "Image sets: Nothing needs attention. Images: 1 failed."
    of_image_sets, of_images = sent.message.split("\n\n")
    assert of_image_sets.startswith("Nothing needs attention: data store")
    assert of_images == summary["text"]
    assert of_images.splitlines()[-1].startswith(f"{tmp_path}/20261005T000000/images.html#failed-")
    folder = tmp_path / "20261005T000000"
    assert sorted(path.name for path in folder.iterdir()) == [
        "image_sets.csv",
        "image_sets.html",
        "image_sets.parquet",
        "images.html",
        "images.jsonl",
    ]


@pytest.mark.usefixtures("aws")
def test_the_report_example_of_a_quiet_day_goes_on_and_leaves_an_empty_report_of_its_own(
    dags: dict[str, DAG], tmp_path: Path
) -> None:
    quiet = pendulum.datetime(2026, 11, 1)
    run = reported_on(quiet, dags, tmp_path)

    assert run.state == "success"
    assert (run.tasks["send_messages"], run.tasks["all_is_well"]) == ("skipped", "success")
    assert run.xcom("report_image_sets")["rows"] == 0
    assert sent_to_the_topic() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20261101T000000", *SUMMARIES]


@pytest.mark.usefixtures("aws")
def test_the_report_example_without_a_logical_date_covers_the_24_hours_before_its_run(
    dags: dict[str, DAG], tmp_path: Path
) -> None:
    run_after = pendulum.datetime(2026, 10, 6, 12)
    run = Run(
        dags["example_version_report"], {"folder": str(tmp_path)}, logical_date=None, run_after=run_after
    )

    assert run.state == "success"
    summary = run.xcom("report_images")
    assert (summary["updated_after"], summary["updated_before"]) == (
        "2026-10-05T12:00:00+00:00",
        "2026-10-06T12:00:00+00:00",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20261005T120000", *SUMMARIES]


@pytest.mark.usefixtures("broken_build")
def test_the_report_example_compares_with_the_day_before(dags: dict[str, DAG], tmp_path: Path) -> None:
    reported_on(pendulum.datetime(2026, 10, 5), dags, tmp_path)
    next_day = reported_on(pendulum.datetime(2026, 10, 6), dags, tmp_path)

    assert next_day.xcom("report_images")["since"]["failed"] == {"new": 0, "still": 1, "gone": 0}


def test_the_report_example_covers_each_day_once_and_whole(dags: dict[str, DAG]) -> None:
    timetable = dags["example_version_report"].timetable
    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2026, 11, 21, 0, 1))
    assert (interval.start, interval.end) == (
        pendulum.datetime(2026, 11, 20),
        pendulum.datetime(2026, 11, 21),
    )
