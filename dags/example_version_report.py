"""
### Every morning: what changed, what failed, what is stuck, which older versions are still held

Two reports on the day that has ended, one on image sets of HealthImaging and one on images of SageMaker AI:
a page to read, and the same rows for a spreadsheet and for a query. A branch then looks at the summaries that
the reports leave in XCom, and somebody is told when a person is needed.

Each run reports on its own data interval and writes into a folder of that interval. So a day that was missed
is made good by a backfill, or by `catchup=True`, and a run that is repeated replaces its own report and no
other. The schedule is a `CronDataIntervalTimetable`, because a plain cron expression gives a run of Airflow 3
an interval of no length.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.operators.sagemaker_image import SageMakerImageVersionReportOperator

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"
REPORTS = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "reports"

FOLDER = "{{ params.folder }}/{{ data_interval_start | ts_nodash }}"
DAY = {"updated_after": "{{ data_interval_start }}", "updated_before": "{{ data_interval_end }}"}


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging", "sagemaker"],
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "name_contains": Param(
            "studio-", type="string", description="which images, by a part of their names"
        ),
        "folder": Param(str(REPORTS), type="string", description="a folder, or s3://bucket/prefix"),
    },
)
def example_version_report() -> None:
    """Report on a day, and tell somebody when a person is needed."""
    report_image_sets = HealthImagingVersionReportOperator(
        task_id="report_image_sets",
        datastore_id="{{ params.datastore_id }}",
        outputs=[f"{FOLDER}/image_sets.{suffix}" for suffix in ("html", "csv", "parquet")],
        stuck_after=pendulum.duration(hours=1),
        **DAY,
    )
    report_images = SageMakerImageVersionReportOperator(
        task_id="report_images",
        name_contains="{{ params.name_contains }}",
        outputs=[f"{FOLDER}/images.{suffix}" for suffix in ("html", "jsonl")],
        stuck_after=pendulum.duration(hours=3),
        **DAY,
    )

    @task.branch
    def is_a_person_needed(image_sets: Any, images: Any) -> str:
        """Name the task to go on with."""
        needed = any(
            report["attention"]["failed"] or report["attention"]["stuck"] or report["unreadable"]
            for report in (image_sets, images)
        )
        return "tell_somebody" if needed else "all_is_well"

    @task
    def tell_somebody(image_sets: Any, images: Any) -> str:
        """Stand for a notifier: give the message, and where to read on."""
        counted = [
            f"{report['attention']['failed']} failed, {report['attention']['stuck']} stuck, "
            f"{report['unreadable']} unreadable: {report['paths'][0]}"
            for report in (image_sets, images)
        ]
        return "\n".join(counted)

    @task
    def all_is_well() -> None:
        """Stand for what goes on when nobody has to look."""

    summaries = (report_image_sets.output, report_images.output)
    is_a_person_needed(*summaries) >> [tell_somebody(*summaries), all_is_well()]


example_version_report()
