"""Acting operators of a Dag whose templates are text or native, run by Airflow, one of them mapped."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from pages import dag_bundle
from support import DATASTORE, dag_bags, image_set_entry, image_version_entry, load_image, make_known

from airflow_imgver.emulator.state import load

ONE, OTHER, LAST = "1" + "0" * 31, "2" * 32, "3" * 32
DAG_FILE = f'''
from airflow.sdk import DAG, task

from airflow_imgver.operators.healthimaging import (
    HealthImagingCopyImageSetOperator,
    HealthImagingDeleteImageSetOperator,
    HealthImagingUpdateImageSetMetadataOperator,
)
from airflow_imgver.operators.sagemaker_image import (
    SageMakerCreateImageVersionOperator,
    SageMakerDeleteImageVersionOperator,
)

PARAMS = {{
    "store": "{DATASTORE}", "one": "{ONE}", "other": "{OTHER}", "last": "{LAST}", "version": "1",
    "force": True,
    "updates": {{"Study": {{"DICOM": {{"StudyDescription": "A"}}}}}}, "aliases": ["stable", "v2"],
}}
with DAG("templates", schedule=None, render_template_as_native_obj=NATIVE, params=PARAMS):
    given = {{"datastore_id": "{{{{ params.store }}}}", "deferrable": True, "poke_interval": 0.2}}
    updated = HealthImagingUpdateImageSetMetadataOperator.partial(
        task_id="update",
        updates="{{{{ params.updates }}}}",
        map_index_template="set {{{{ task.image_set_id }}}}",
        **given,
    ).expand(image_set_id=["{ONE}", "{OTHER}"])
    copied = HealthImagingCopyImageSetOperator(
        task_id="copy",
        source_image_set_id="{{{{ params.one }}}}",
        source_version="{{{{ ti.xcom_pull('update', map_indexes=0)['versionId'] }}}}",
        destination_image_set_id="{{{{ params.last }}}}",
        destination_version="{{{{ params.version }}}}",
        copiable_attributes="{{{{ none }}}}",
        force="{{{{ params.force }}}}",
        promote_to_primary="{{{{ false }}}}",
        **given,
    )
    reverted = HealthImagingUpdateImageSetMetadataOperator(
        task_id="revert", image_set_id="{{{{ params.other }}}}", latest_version="{{{{ none }}}}",
        revert_to_version="{{{{ params.version }}}}", **given,
    )
    deleted = HealthImagingDeleteImageSetOperator(
        task_id="delete", image_set_id="{{{{ params.other }}}}", **given
    )
    built = SageMakerCreateImageVersionOperator(
        task_id="build",
        image_name="studio-kernel",
        aliases="{{{{ params.aliases }}}}",
        horovod="{{{{ params.force }}}}",
        base_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:{{{{ params.version }}}}",
    )
    unbuilt = SageMakerDeleteImageVersionOperator(
        task_id="unbuild", image_name="studio-kernel", version="{{{{ ti.xcom_pull('build')['Version'] }}}}"
    )
    updated >> copied >> reverted >> deleted
    built >> unbuilt
'''


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.usefixtures("metadata_database", "aws_connection")
def test_every_operator_takes_text_and_native_values_from_templates(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sets = {one: [{**image_set_entry(1, "CREATED"), "imageSetId": one}] for one in (ONE, OTHER, LAST)}
    load({"healthimaging": {DATASTORE: sets}})
    load_image(image_version_entry(1))
    (tmp_path / "templates.py").write_text(DAG_FILE.replace("NATIVE", str(native)))
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(tmp_path))
    bag = dag_bags().DagBag(str(tmp_path))
    assert bag.import_errors == {}
    make_known(bag)
    caplog.set_level(logging.INFO)

    run = bag.dags["templates"].test()

    instances = run.get_task_instances()
    assert {(each.task_id, str(each.state)) for each in instances if str(each.state) != "success"} == set()
    named = {each.rendered_map_index for each in instances if each.task_id == "update"}
    assert named == {f"set {ONE}", f"set {OTHER}"}
    assert returned(run.run_id, "copy")["versionId"] == "2"
    assert returned(run.run_id, "revert")["versionId"] == "3"
    assert returned(run.run_id, "build")["Version"] == 2


def returned(run_id: str, task_id: str) -> Any:
    found = XComModel.get_many(run_id=run_id, dag_ids="templates", task_ids=task_id, key="return_value")
    with create_session() as session:
        (value,) = session.scalars(found.with_only_columns(XComModel.value))
    return value
