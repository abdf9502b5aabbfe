"""
Dags that start when a version changes: from a queue, from a data store, with the amazon provider's trigger.

All are paused, so that their watchers run only while a test wants them. One asset has no watcher.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher, get_current_context, task

from airflow_imgver.events import new_events
from airflow_imgver.triggers.healthimaging import (
    HealthImagingDatastoreWatchTrigger,
    HealthImagingEventQueueTrigger,
)

DATASTORE = "12345678901234567890123456789012"
QUEUES = "https://sqs.us-east-1.amazonaws.com/123456789012"


def asset(name: str, trigger: Any) -> Asset:
    """An asset with one watcher."""
    return Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])


FROM_QUEUE = asset("from_queue", HealthImagingEventQueueTrigger(f"{QUEUES}/image-sets"))
FROM_DATASTORE = asset("from_datastore", HealthImagingDatastoreWatchTrigger(DATASTORE, poll_interval=2))
# As quick as it can be made: by default it pauses for a minute.
FROM_SQS_SENSOR = asset(
    "from_sqs_sensor", SqsSensorTrigger(f"{QUEUES}/sqs-sensor", max_messages=10, waiter_delay=1)
)


def dag_on(source: Asset) -> DAG:
    """A Dag with one run at a time, in which a task takes the events that no run before it took."""
    with DAG(source.name, schedule=[source], max_active_runs=1, is_paused_upon_creation=True) as dag:

        @task(inlets=[source], retries=2)
        def take() -> list[str]:
            """Return the keys of the events."""
            return [event["key"] for event in new_events(get_current_context())]

        take()
    return dag


dag_on(Asset("by_hand"))
dag_on(FROM_QUEUE)
dag_on(FROM_DATASTORE)

with DAG("from_sqs_sensor", schedule=[FROM_SQS_SENSOR], is_paused_upon_creation=True):
    EmptyOperator(task_id="nothing")

# Three watchers of one queue: Airflow may give each to another triggerer.
for name, more in {
    "all_of_queue": {},
    "ready_of_queue": {"phases": ["ready"]},
    "failed_of_queue": {"phases": ["failed"]},
}.items():
    shared = asset(name, HealthImagingEventQueueTrigger(f"{QUEUES}/shared", **more))
    with DAG(name, schedule=[shared], is_paused_upon_creation=True):
        EmptyOperator(task_id="nothing")
