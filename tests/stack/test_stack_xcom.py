"""A history of ten thousand versions through XCom: in the database, and in object storage."""

from __future__ import annotations

import time

import pytest
from embedded_aws import DATASTORE, EmbeddedAws, entry, image_set_id
from figures import Figures
from production import Production

VERSIONS = 10_000
BUCKET = "xcoms"
WORKER = "worker-object-storage"
HISTORY = image_set_id("history", 0)
# Larger results go to object storage; the summary stays in the database, for the API server to show.
THRESHOLD_BYTES = 10_000

pytestmark = pytest.mark.timeout(400)


def load_history(aws: EmbeddedAws) -> None:
    """Put the long history into the embedded AWS."""
    entries = [entry(HISTORY, version, "UPDATED") for version in range(1, VERSIONS + 1)]
    aws.begin({"healthimaging": {DATASTORE: {HISTORY: entries}}})


def assert_whole(stack: Production, dag_id: str) -> float:
    """Run the Dag; the task behind gets the whole history. Gives the seconds that it took."""
    began = time.time()
    run = stack.run(dag_id, image_set_id=HISTORY)
    assert run.wait(240) == "success", run.tell()
    took = time.time() - began
    summary = run.xcom("summary")
    assert summary["versions"] == VERSIONS
    assert summary["newest"]["versionId"] == str(VERSIONS)
    assert summary["oldest"]["versionId"] == "1"
    return took


def stored_value(stack: Production, dag_id: str) -> str:
    """What the database has of the history."""
    question = "SELECT value::text FROM xcom WHERE dag_id = %s AND task_id = 'history' AND key = %s"
    ((value,),) = stack.metadata.rows(question, dag_id, "return_value")
    return str(value)


def test_a_long_history_goes_through_postgresql(stack: Production, figures: Figures) -> None:
    load_history(stack.aws)
    took = assert_whole(stack, "long_history_in_database")
    size = len(stored_value(stack, "long_history_in_database"))
    assert size > VERSIONS * 100
    figures.tell(
        f"XCom of {VERSIONS} versions through PostgreSQL: {size / 1e6:.1f} MB, the run took {took:.0f} s"
    )


def test_a_long_history_goes_through_object_storage(stack: Production, figures: Figures) -> None:
    load_history(stack.aws)
    s3 = stack.aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    stack.start(
        WORKER,
        AIRFLOW__CORE__XCOM_BACKEND="airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=f"s3://aws_default@{BUCKET}/airflow",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=str(THRESHOLD_BYTES),
    )
    try:
        stack.wait_for("the worker", lambda: "ready." in stack.log_of(WORKER), 120)
        took = assert_whole(stack, "long_history_in_object_storage")
    finally:
        stack.stop(WORKER)
    (stored,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert stored["Size"] > VERSIONS * 100
    value = stored_value(stack, "long_history_in_object_storage")
    assert stored["Key"] in value
    assert len(value) < 500, "the database has the address alone"
    figures.tell(
        f"XCom of {VERSIONS} versions through the object storage backend on S3: {stored['Size'] / 1e6:.1f} "
        f"MB there, {len(value)} bytes in PostgreSQL, the run took {took:.0f} s"
    )
