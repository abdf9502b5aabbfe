"""The Dags of the recipes run to their end on the embedded AWS, each as a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.session import create_session
from pages import RECIPES, blocks, dag_bundle
from sqlalchemy import select
from support import DATASTORE, IMAGE_SET, MISMATCH, changes_after, dag_bags, make_known

from airflow_imgver.emulator.state import load
from demo.recent import recent_state

OTHER_IMAGE_SET = "6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60"
UPDATED_YESTERDAY = "b1f0c2d3e4a5968778695a4b3c2d1e0f"
FAILED_YESTERDAY = "c7e2a9d4b6f8013579bdf02468ace135"

pytestmark = pytest.mark.usefixtures("metadata_database")


@pytest.fixture
def dags(aws_connection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, DAG]]:
    """The Dags of the page by id, on the state of `make up`; a change settles at the second poll."""
    for number, block in enumerate(blocks(RECIPES, "python")):
        (tmp_path / f"recipe_{number}.py").write_text(block)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(tmp_path))
    bag = dag_bags().DagBag(str(tmp_path))
    assert bag.import_errors == {}
    make_known(bag)
    load(recent_state(datetime.now(UTC)))
    for task in [
        task for dag in bag.dags.values() for task in dag.tasks if task.task_id.startswith("wait_for")
    ]:
        if not task.is_mapped:
            task.poke_interval = 0.2
    with changes_after(2):
        yield dict(bag.dags)


def run(dag: DAG, task_id: str) -> tuple[str, list[Any]]:
    """Run a Dag; return the state of the run, and the values that the instances of a task returned."""
    ended = dag.test()
    found = XComModel.get_many(
        run_id=ended.run_id, dag_ids=dag.dag_id, task_ids=task_id, key="return_value"
    ).order_by(None)
    with create_session() as session:
        rows = session.execute(found.with_only_columns(XComModel.map_index, XComModel.value))
        return str(ended.state), [value for _, value in sorted(rows)]


def test_the_page_has_a_dag_in_each_block(dags: dict[str, DAG]) -> None:
    assert set(dags) == {
        "describe_study",
        "export_each",
        "export_recent",
        "morning_message",
        "report_failed_copy",
    }
    assert len(blocks(RECIPES, "python")) == len(dags)


def test_taskflow_exports_the_version_that_the_update_made(dags: dict[str, DAG]) -> None:
    state, values = run(dags["describe_study"], "export")

    assert state == "success"
    assert [value.partition(",")[0] for value in values] == ["export version 5"]


def test_a_mapped_gate_opens_for_each_id_and_shows_the_id_in_the_ui(dags: dict[str, DAG]) -> None:
    state, values = run(dags["export_each"], "export")

    assert state == "success"
    assert values == ["export version 4", "export version 1"]
    assert names_of_instances(dags["export_each"], "wait_for_image_set") == [IMAGE_SET, OTHER_IMAGE_SET]
    assert names_of_instances(dags["export_each"], "export") == [IMAGE_SET, OTHER_IMAGE_SET]


def names_of_instances(dag: DAG, task_id: str) -> list[str | None]:
    of_task = (TaskInstance.dag_id == dag.dag_id, TaskInstance.task_id == task_id)
    with create_session() as session:
        instances = session.scalars(select(TaskInstance).where(*of_task).order_by(TaskInstance.map_index))
        return [instance.rendered_map_index for instance in instances]


def test_one_gate_waits_for_the_image_sets_that_a_search_finds(dags: dict[str, DAG]) -> None:
    state, (exported,) = run(dags["export_recent"], "export")

    assert state == "success"
    assert UPDATED_YESTERDAY in exported
    assert FAILED_YESTERDAY not in exported
    assert IMAGE_SET not in exported, "it has not changed for years"


def test_a_failed_gate_calls_back_and_notifies_with_the_reason_of_aws(
    dags: dict[str, DAG], emulator_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    queue = Topic(emulator_url, "imaging-alerts")

    state, _ = run(dags["report_failed_copy"], "wait_for_copy")

    assert state == "failed"
    assert "AWS could not make this version" in capfd.readouterr().out
    (sent,) = queue.messages()
    assert sent["Subject"] == "wait_for_copy failed"
    assert MISMATCH in sent["Message"]
    assert DATASTORE in sent["Message"]


def test_a_report_sends_its_message_when_something_needs_attention(
    dags: dict[str, DAG], emulator_url: str
) -> None:
    queue = Topic(emulator_url, "imaging-alerts")

    state, values = run(dags["morning_message"], "send")

    assert (state, values) == ("success", [True])
    (sent,) = queue.messages()
    assert sent["Subject"] == "1 failed"
    assert f"image set {FAILED_YESTERDAY}: {MISMATCH}" in sent["Message"]
    assert f"/tmp/reports/image_sets.html#failed-{FAILED_YESTERDAY}-2" in sent["Message"]


class Topic:
    """An SNS topic with a queue that receives its messages."""

    def __init__(self, url: str, name: str) -> None:
        session = boto3.Session(
            region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        topics, self._queues = (session.client(service, endpoint_url=url) for service in ("sns", "sqs"))
        self._queue = self._queues.create_queue(QueueName=name)["QueueUrl"]
        arn = self._queues.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])[
            "Attributes"
        ]
        topic = topics.create_topic(Name=name)["TopicArn"]
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])

    def messages(self) -> list[dict[str, Any]]:
        received = self._queues.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in received.get("Messages", [])]
