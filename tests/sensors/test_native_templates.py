"""Gates of a Dag with `render_template_as_native_obj`, run by Airflow: digits arrive as numbers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from pages import dag_bundle
from support import (
    DATASTORE,
    IMAGE,
    changes_after,
    dag_bags,
    image_set_entry,
    image_version_entry,
    list_calls,
    make_known,
)

from airflow_imgver.emulator.state import load

DIGITS, MORE_DIGITS = "1" + "0" * 31, "2" * 32
LOST = "1" * 28 + "e012"
DAG_FILE = f'''
from airflow.sdk import DAG, task

from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.operators.sagemaker_image import SageMakerListImageVersionsOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor

params = {{"id": "{DIGITS}", "more": "{MORE_DIGITS}", "lost": "{LOST}", "name": "2024", "release": "1.0"}}
with DAG("native", schedule=None, render_template_as_native_obj=True, params=params):

    @task
    def ids() -> dict:
        return {{"one": "{DIGITS}", "all": ["{DIGITS}", "{MORE_DIGITS}"], "version": "1"}}

    found = ids()
    datastore = {{"datastore_id": "{DATASTORE}"}}
    waiting = {{"deferrable": True, "poke_interval": 0.2, "timeout": 60}}
    for task_id, given in {{
        "of_a_param": "{{{{ params.id }}}}",
        "of_an_xcom": "{{{{ ti.xcom_pull('ids')['one'] }}}}",
        "of_a_list": "[{{{{ params.id }}}}, {{{{ params.more }}}}]",
        "of_a_list_in_xcom": "{{{{ ti.xcom_pull('ids')['all'] }}}}",
        "lost": "{{{{ params.lost }}}}",
        "lost_in_a_list": "[{{{{ params.id }}}}, {{{{ params.lost }}}}]",
    }}.items():
        found >> HealthImagingImageSetVersionSensor(
            task_id=task_id, image_set_id=given, version="{{{{ ti.xcom_pull('ids')['version'] }}}}",
            **datastore, **waiting,
        )
    HealthImagingListImageSetVersionsOperator(
        task_id="listed", image_set_id="{{{{ params.id }}}}", max_items="{{{{ 1 }}}}", **datastore
    )
    SageMakerImageVersionSensor(task_id="year", image_name="{{{{ params.name }}}}", **waiting)
    SageMakerImageVersionSensor(task_id="release", image_name="{{{{ params.release }}}}", **waiting)
    SageMakerListImageVersionsOperator(task_id="listed_year", image_name="{{{{ params.name }}}}")
'''
OPEN = ("of_a_param", "of_an_xcom", "of_a_list", "of_a_list_in_xcom", "listed", "year", "listed_year")
REFUSED = ("lost", "lost_in_a_list", "release")


def image_set(one: str) -> dict[str, list[dict[str, Any]]]:
    return {one: [{**image_set_entry(1, "COPYING", "LOCKED"), "imageSetId": one}]}


@pytest.fixture
def native(
    metadata_database: None, aws_connection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DAG:
    """The Dag, and what its ids name; a copy of each image set is under way."""
    build = image_version_entry(1, "CREATING")
    build |= {name: build[name].replace(IMAGE, "2024") for name in ("ImageArn", "ImageVersionArn")}
    load(
        {
            "healthimaging": {DATASTORE: image_set(DIGITS) | image_set(MORE_DIGITS)},
            "sagemaker": {"2024": [build]},
        }
    )
    (tmp_path / "native.py").write_text(DAG_FILE)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(tmp_path))
    bag = dag_bags().DagBag(str(tmp_path))
    assert bag.import_errors == {}
    make_known(bag)
    dag: DAG = bag.dags["native"]
    return dag


def test_ids_of_digits_open_their_gates_and_ids_that_lost_digits_are_refused_with_the_way_out(
    native: DAG, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with changes_after(polls=3):
        run = native.test()
    states = {instance.task_id: str(instance.state) for instance in run.get_task_instances()}
    said = capfd.readouterr().out + caplog.text

    assert {task_id: states[task_id] for task_id in OPEN} == dict.fromkeys(OPEN, "success")
    assert {task_id: states[task_id] for task_id in REFUSED} == dict.fromkeys(REFUSED, "failed")
    assert "running trigger in line" in said, "the gates deferred"
    assert "A native template made a number of it, and digits were lost" in said
    assert "At position 1 of the list: image_set_id must be" in said
    assert list_calls() > len(OPEN)
