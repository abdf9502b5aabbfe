"""Triggers that an earlier release has stored, in the database of a running Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from embedded_aws import DATASTORE, STARTED, entry
from figures import Figures
from production import TRIGGERERS, Production, Run

from demo.stack import CHECKOUT

STORED_ROWS = CHECKOUT / "tests" / "triggers" / "stored_rows.json"
ROWS = json.loads(STORED_ROWS.read_text())
# What the stored rows wait for.
ONE = "ea92b0d8838c72a3f25d00d13616f87e"
MANY = ["6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"]
IMAGE = "studio-kernel"
# What the gates wait for until their rows are exchanged; nothing of it ever settles.
NEVER = {
    "image_set_id": "n" * 32,
    "image_set_ids": ["m" * 32],
    "version": "1",
    "image_name": "never",
    "image_version": "1",
}

pytestmark = pytest.mark.timeout(400)


def image_version(name: str, version: int) -> dict[str, Any]:
    """One version of a SageMaker image, being created."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    return {
        "ImageArn": f"{arn}:image/{name}",
        "ImageVersionArn": f"{arn}:image-version/{name}/{version}",
        "ImageVersionStatus": "CREATING",
        "Version": version,
        "CreationTime": STARTED,
        "LastModifiedTime": STARTED,
    }


def state() -> dict[str, Any]:
    """Both what the stored rows wait for and what the gates begin with, all of it busy."""
    image_sets = {each: [entry(each, 1)] for each in ["n" * 32, "m" * 32, *MANY]}
    image_sets[ONE] = [entry(ONE, 4)]
    images = {IMAGE: [image_version(IMAGE, 7)], "never": [image_version("never", 1)]}
    return {"healthimaging": {DATASTORE: image_sets}, "sagemaker": images}


def exchange(stack: Production, run: Run, row: dict[str, str]) -> None:
    """Put a stored row in the place of the one that a gate waits with."""
    exchanged = stack.metadata.rows(
        """
        UPDATE trigger SET classpath = %s, kwargs = %s
        WHERE id = (SELECT trigger_id FROM task_instance WHERE run_id = %s AND task_id = %s) RETURNING id
        """,
        row["classpath"],
        row["kwargs"],
        run.run_id,
        row["task"],
    )
    assert len(exchanged) == 1


def test_gates_go_on_with_the_triggers_that_an_earlier_release_has_stored(
    stack: Production, figures: Figures
) -> None:
    stack.aws.begin(state())
    for name in TRIGGERERS:
        stack.stop(name)
    run = stack.run("gates_of_an_upgrade", **NEVER)
    for row in ROWS:
        run.wait_for(row["task"], "deferred", 60)
        exchange(stack, run, row)
    for name in TRIGGERERS:
        stack.start(name)
    for row in ROWS:
        stack.wait_for(f"a look of {row['task']}", lambda row=row: looked(run, row["task"]), 60)
    stack.aws.settle()

    assert run.wait(120) == "success", run.tell()
    assert (run.xcom("one")["imageSetId"], run.xcom("one")["versionId"]) == (ONE, "4")
    assert [each["imageSetId"] for each in run.xcom("many")] == MANY
    assert run.xcom("image")["ImageVersionArn"] == image_version(IMAGE, 7)["ImageVersionArn"]
    figures.tell(
        f"Triggers stored by {ROWS[0]['release']} under Airflow {ROWS[0]['airflow']}, put into the database: "
        f"{len(ROWS)} of {len(ROWS)} ran and opened their gates"
    )


def looked(run: Run, task_id: str) -> bool:
    """Whether the trigger of the stored row has looked; the worker's own look saw another thing."""
    words = {"one": ONE, "many": "0 of 2 settled", "image": IMAGE}
    return words[task_id] in run.log_text(task_id)
