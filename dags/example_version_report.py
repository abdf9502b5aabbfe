"""
### A report each day: what changed, what failed, what is stuck, which older versions are still stored

Two reports on the last day, one on image sets of HealthImaging and one on images of SageMaker AI: a page, and
the same rows as files for a spreadsheet and for queries. A branch reads the summaries of the reports in XCom,
and chooses the task for a day that needs attention, or the other one.

Each run reports on its own data interval, and writes to a folder for this interval. So a backfill or
`catchup=True` reports on missed days, and a repeated run replaces only its own report. The schedule is a
`CronDataIntervalTimetable`, because a cron expression gives a run of Airflow 3 an interval of no length. A
run without a data interval, for example one without a logical date, reports on the 24 hours before it.
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

# A run without a logical date, for example one that the REST API starts, has no data interval: it reports on
# the 24 hours before it.
AFTER = "data_interval_start | default(dag_run.run_after - macros.timedelta(days=1), true)"
BEFORE = "data_interval_end | default(dag_run.run_after, true)"
FOLDER = f"{{{{ params.folder }}}}/{{{{ {AFTER} | ts_nodash }}}}"
DAY = {"updated_after": f"{{{{ {AFTER} }}}}", "updated_before": f"{{{{ {BEFORE} }}}}"}


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging", "sagemaker"],
    params={
        "datastore_id": Param("12345678901234567890123456789012", type="string", pattern=HEALTHIMAGING_ID),
        "name_contains": Param("studio-", type="string", description="a part of the names of the images"),
        "folder": Param(str(REPORTS), type="string", description="a folder, or s3://bucket/prefix"),
    },
)
def example_version_report() -> None:
    """Report on a day, and choose the next task by what needs attention."""
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
        """Return the id of the next task."""
        needed = any(
            report["attention"]["failed"] or report["attention"]["stuck"] or report["unreadable"]
            for report in (image_sets, images)
        )
        return "tell_somebody" if needed else "all_is_well"

    @task
    def tell_somebody(image_sets: Any, images: Any) -> str:
        """Replace this with a notifier; it returns the message, with the paths of the pages."""
        counted = [
            f"{report['attention']['failed']} failed, {report['attention']['stuck']} stuck, "
            f"{report['unreadable']} unreadable: {report['paths'][0]}"
            for report in (image_sets, images)
        ]
        return "\n".join(counted)

    @task
    def all_is_well() -> None:
        """Replace this with the tasks of a day that needs no attention."""

    summaries = (report_image_sets.output, report_images.output)
    is_a_person_needed(*summaries) >> [tell_somebody(*summaries), all_is_well()]


example_version_report()
