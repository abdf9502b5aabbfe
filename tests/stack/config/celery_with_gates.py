"""
Celery's settings for workers that run many gates: what a gate imports is imported before a worker forks.

Each task runs in a fork of the worker, and would import AWS's libraries and Airflow's Dag reader anew, which
is more than a second of a core.
"""

from __future__ import annotations

from importlib.util import find_spec

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

# Airflow 3.1 has its reader in another module.
DAG_READER = "airflow.dag_processing.dagbag"
if find_spec(DAG_READER) is None:
    DAG_READER = "airflow.models.dagbag"

CONFIG = DEFAULT_CELERY_CONFIG | {
    "imports": (
        *DEFAULT_CELERY_CONFIG.get("imports", ()),
        "airflow.dag_processing.bundles.manager",
        DAG_READER,
        "airflow.sdk.execution_time.task_runner",
        "airflow_imgver.sensors.healthimaging",
        "airflow_imgver.sensors.sagemaker_image",
    )
}
