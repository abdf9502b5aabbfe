"""
### A report each day: what changed, what failed, what is stuck, which older versions are still stored

Two reports on the last day, one on image sets of HealthImaging and one on images of SageMaker AI: a page, and
the same rows as files for a spreadsheet and for queries. A branch reads the summaries of the reports in XCom,
and chooses the task for a day that needs attention, or the other one. The first sends the messages of the
reports to an SNS topic, with the notifier of the amazon provider; for e-mail, Slack or a pager, put the
notifier of its provider there.

Each report compares with the one before: `summary_file` is the same for all days.

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
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Param, dag, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.operators.sagemaker_image import SageMakerImageVersionReportOperator

HEALTHIMAGING_ID = r"^[0-9a-z]{32}$"
TOPIC = "arn:aws:sns:us-east-1:123456789012:imgver-reports"
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
        "topic_arn": Param(TOPIC, type="string", description="the SNS topic that gets the messages"),
        "folder": Param(str(REPORTS), type="string", description="a folder, or s3://bucket/prefix"),
    },
)
def example_version_report() -> None:
    """Report on a day, and choose the next task by what needs attention."""
    report_image_sets = HealthImagingVersionReportOperator(
        task_id="report_image_sets",
        datastore_id="{{ params.datastore_id }}",
        outputs=[f"{FOLDER}/image_sets.{suffix}" for suffix in ("html", "csv", "parquet")],
        summary_file="{{ params.folder }}/image_sets.summary.json",
        stuck_after=pendulum.duration(hours=1),
        **DAY,
    )
    report_images = SageMakerImageVersionReportOperator(
        task_id="report_images",
        name_contains="{{ params.name_contains }}",
        outputs=[f"{FOLDER}/images.{suffix}" for suffix in ("html", "jsonl")],
        summary_file="{{ params.folder }}/images.summary.json",
        stuck_after=pendulum.duration(hours=3),
        **DAY,
    )

    @task.branch
    def needs_attention(image_sets: Any, images: Any) -> str:
        """Return the id of the next task."""
        found = any(count for report in (image_sets, images) for count in report["needs_attention"].values())
        return "send_messages" if found else "all_is_well"

    @task
    def send_messages(image_sets: Any, images: Any) -> str:
        """Send the messages of both reports; return what was sent."""
        context = get_current_context()
        message = f"{image_sets['text']}\n\n{images['text']}"
        subject = f"Image sets: {image_sets['headline']}. Images: {images['headline']}."
        # SNS takes a subject of up to 100 characters.
        notifier = SnsNotifier(
            target_arn=context["params"]["topic_arn"], subject=subject[:100], message=message
        )
        notifier.notify(context)
        return message

    @task
    def all_is_well() -> None:
        """Replace this with the tasks of a day that needs no attention."""

    summaries = (report_image_sets.output, report_images.output)
    needs_attention(*summaries) >> [send_messages(*summaries), all_is_well()]


example_version_report()
