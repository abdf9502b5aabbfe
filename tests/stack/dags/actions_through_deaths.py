"""Actions whose worker dies, with all that it runs, when AWS has answered the call of the first try."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pendulum
import psutil
from airflow.sdk import DAG, Context, task

from airflow_imgver.operators.healthimaging import (
    HealthImagingCopyImageSetOperator,
    HealthImagingDeleteImageSetOperator,
    HealthImagingStartDICOMImportJobOperator,
    HealthImagingUpdateImageSetMetadataOperator,
    HealthImagingVersionReportOperator,
)
from airflow_imgver.operators.sagemaker_image import (
    SageMakerCreateImageVersionOperator,
    SageMakerDeleteImageVersionOperator,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

DATASTORE = "12345678901234567890123456789012"
IMAGE = "studio-kernel"


def kill_the_worker() -> None:
    """Do as ``kill -9`` of the Celery worker and of everything that it has started."""
    here = psutil.Process()
    worker = [each for each in here.parents() if "celery" in " ".join(each.cmdline())][-1]
    for process in [worker, *worker.children(recursive=True)]:
        if process != here:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    here.kill()


class DyingWorker:
    """Mixed into an operator: the worker of the first try dies when AWS has answered."""

    first_try = False

    def execute(self, context: Context) -> Any:
        self.first_try = context["ti"].try_number == 1
        return super().execute(context)  # type: ignore[misc]  # an operator's

    def _call(self, versions: Mapping[str, Any]) -> Any:
        started = super()._call(versions)  # type: ignore[misc]  # an operator's
        if self.first_try:
            kill_the_worker()
        return started


class Import(DyingWorker, HealthImagingStartDICOMImportJobOperator): ...


class Update(DyingWorker, HealthImagingUpdateImageSetMetadataOperator): ...


class Copy(DyingWorker, HealthImagingCopyImageSetOperator): ...


class Delete(DyingWorker, HealthImagingDeleteImageSetOperator): ...


class Build(DyingWorker, SageMakerCreateImageVersionOperator): ...


class Unbuild(DyingWorker, SageMakerDeleteImageVersionOperator): ...


with DAG(
    "actions_through_deaths",
    schedule=None,
    params={"folder": ""},
    default_args={
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=1),
        "deferrable": True,
        "poke_interval": 2,
        "timeout": pendulum.duration(minutes=10),
    },
):
    imported = Import(
        task_id="import_study",
        datastore_id=DATASTORE,
        input_s3_uri="s3://imaging/studies/one/",
        output_s3_uri="s3://imaging/imports/",
        data_access_role_arn="arn:aws:iam::123456789012:role/import",
    )
    of_import = HealthImagingImageSetVersionSensor(
        task_id="wait_for_sets", datastore_id=DATASTORE, image_set_id=imported.output
    )

    @task
    def first(image_sets: list[dict[str, Any]]) -> str:
        """Choose an image set."""
        return str(image_sets[0]["imageSetId"])

    chosen = first(imported.output)  # type: ignore[arg-type]  # its result
    updated = Update(
        task_id="de_identify",
        datastore_id=DATASTORE,
        image_set_id=chosen,
        updates={"Study": {"DICOM": {"StudyDescription": "De-identified"}}},
    )
    of_update = HealthImagingImageSetVersionSensor(
        task_id="wait_for_update", datastore_id=DATASTORE, image_set_id=chosen
    )
    copied = Copy(task_id="copy", datastore_id=DATASTORE, source_image_set_id=chosen, wait_for_source=True)
    report = HealthImagingVersionReportOperator(
        task_id="report",
        datastore_id=DATASTORE,
        image_set_ids=[chosen, "{{ ti.xcom_pull('copy')['imageSetId'] }}"],
        outputs=["{{ params.folder }}/report.csv"],
    )
    deleted = Delete(
        task_id="delete",
        datastore_id=DATASTORE,
        image_set_id="{{ ti.xcom_pull('copy')['imageSetId'] }}",
    )
    built = Build(
        task_id="build",
        image_name=IMAGE,
        base_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:1",
        retries=2,
    )
    unbuilt = Unbuild(task_id="unbuild", image_name=IMAGE, version="{{ ti.xcom_pull('build')['Version'] }}")
    # One after the other: a worker that dies would take its neighbours along.
    of_import >> updated >> of_update >> copied >> report >> deleted >> built >> unbuilt
