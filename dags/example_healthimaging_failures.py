"""
### Notify the team when a version of a HealthImaging image set fails

A copy or an update that fails leaves the image set ACTIVE, so that nothing shows it. The watcher of the asset
searches the data store for changes, and sends an event for each version that fails, also where no Dag started
the action. Airflow starts this Dag, which sends the failures with AWS's reasons to an SNS topic, with the
notifier of the amazon provider; for e-mail, Slack or a pager, put the notifier of its provider there.

The Dag is paused at first, because its watcher sends requests to AWS as long as the Dag is not.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Asset, AssetWatcher, Param, dag, get_current_context, task

from airflow_imgver.events import new_events
from airflow_imgver.triggers.healthimaging import HealthImagingDatastoreWatchTrigger

DATASTORE_ID = "12345678901234567890123456789012"
TOPIC = "arn:aws:sns:us-east-1:123456789012:imgver-reports"
FAILED = Asset(
    "healthimaging_version_failed",
    watchers=[
        AssetWatcher(
            name="datastore",
            trigger=HealthImagingDatastoreWatchTrigger(DATASTORE_ID, phases=["failed"], poll_interval=60),
        )
    ],
)


@dag(
    schedule=[FAILED],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    doc_md=__doc__,
    tags=["example", "aws", "healthimaging"],
    params={"topic_arn": Param(TOPIC, type="string", description="the SNS topic that gets the messages")},
)
def example_healthimaging_failures() -> None:
    """Send the failures since the last run to a topic."""

    @task(inlets=[FAILED], retries=2)
    def failures() -> list[str]:
        """Return a line for each failure."""
        context: Any = get_current_context()
        return [
            f"{event['status']}, version {event['version']} of image set {event['image_set_id']} in "
            f"data store {event['datastore_id']}, {event['changed_at']}: {event['reason'] or 'no reason'}"
            for event in new_events(context)
        ]

    @task
    def notify_the_team(lines: Any) -> int:
        """Send one message for all; return how many failures it has."""
        context: Any = get_current_context()
        if lines:
            SnsNotifier(
                target_arn=context["params"]["topic_arn"],
                subject=f"HealthImaging: {len(lines)} failed",
                message="\n".join(lines),
            ).notify(context)
        return len(lines)

    notify_the_team(failures())


example_healthimaging_failures()
