"""Whoever sends requests draws on the budget of the operation, and lowers it for all the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from modes import MODES, ended
from pages import CHECKOUT
from support import DATASTORE, IMAGE, IMAGE_SET, context_of, image_set_entry, image_version_entry

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.operators.healthimaging import (
    HealthImagingListImageSetVersionsOperator,
    HealthImagingVersionReportOperator,
)
from airflow_imgver.operators.sagemaker_image import SageMakerListImageVersionsOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor

SETS = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}
# More than botocore tries by itself in a task, so that what waits has to wait.
TIMES = 4


@pytest.fixture(autouse=True)
def versions(aws_connection: str) -> None:
    load(
        {
            "healthimaging": {DATASTORE: {IMAGE_SET: [image_set_entry(1)]}},
            "sagemaker": {IMAGE: [image_version_entry(1)]},
        }
    )


def lowered(hook: ImageVersionHook, send: Callable[[], Any], *, times: int = TIMES) -> list[str]:
    """Throttle the next list calls and finding calls, send, and give the operations whose rate fell."""
    service = hook.service
    operations = [service.listing.operation, service.finding.operation]
    budgets = {operation: hook.budget(operation) for operation in operations}
    for operation in operations:
        inject_fault(
            service.client_type,
            operation,
            error={"code": "ThrottlingException", "message": "Rate exceeded"},
            times=times,
        )
    send()
    return [operation for operation, budget in budgets.items() if budget.rate < budget.per_second]


@pytest.mark.parametrize("mode", MODES)
def test_a_gate_on_an_image_set(mode: str) -> None:
    # What `ended` gives to a gate is a part of what the connection resolves to.
    hook = HealthImagingHook(config={"retries": {"total_max_attempts": 1}})
    outcome = []
    fell = lowered(hook, lambda: outcome.append(ended(HealthImagingImageSetVersionSensor, mode, **SETS)))
    assert outcome[0].error is None
    assert fell == ["ListImageSetVersions"]


@pytest.mark.parametrize("mode", MODES)
def test_a_gate_on_an_image(mode: str) -> None:
    hook = SageMakerImageHook(config={"retries": {"total_max_attempts": 1}})
    outcome = []
    fell = lowered(hook, lambda: outcome.append(ended(SageMakerImageVersionSensor, mode, image_name=IMAGE)))
    assert outcome[0].error is None
    assert fell == ["ListImageVersions"]


def test_an_operator_that_lists_image_sets() -> None:
    operator = HealthImagingListImageSetVersionsOperator(task_id="list", **SETS)
    fell = lowered(HealthImagingHook(), lambda: operator.execute(context_of()), times=2)
    assert fell == ["ListImageSetVersions"]


def test_an_operator_that_lists_images() -> None:
    operator = SageMakerListImageVersionsOperator(task_id="list", image_name=IMAGE)
    fell = lowered(SageMakerImageHook(), lambda: operator.execute(context_of()), times=2)
    assert fell == ["ListImageVersions"]


def test_a_report_by_both_of_its_calls(tmp_path: Path) -> None:
    report = HealthImagingVersionReportOperator(
        task_id="report", datastore_id=DATASTORE, outputs=[str(tmp_path / "report.csv")]
    )
    fell = lowered(HealthImagingHook(), lambda: report.execute(context_of()), times=2)
    assert fell == ["ListImageSetVersions", "SearchImageSets"]


# A command sets up Airflow's logs for its process.
PROGRAM = """
import sys
from airflow_imgver.__main__ import main
from airflow_imgver.hooks.healthimaging import HealthImagingHook
budget = HealthImagingHook().budget("ListImageSetVersions")
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print("fell" if budget.rate < budget.per_second else "whole", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command", [("list-image-set-versions",), ("wait-image-set-version", "--interval", "0.05")]
)
def test_a_command(command: tuple[str, ...]) -> None:
    inject_fault(
        "medical-imaging",
        "ListImageSetVersions",
        error={"code": "ThrottlingException", "message": "Rate exceeded"},
        times=2,
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command, "--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("fell"), done.stderr


def test_a_quota_that_all_of_a_process_exceed_is_kept_to_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND", "200")
    inject_fault("medical-imaging", "ListImageSetVersions", kind="quota", per_second=10, burst=5, times=None)
    hook = HealthImagingHook()
    budget = hook.budget("ListImageSetVersions")
    while budget.rate > 20:
        hook.get_image_set_version(DATASTORE, IMAGE_SET)
    assert calls()["medical-imaging"]["ListImageSetVersions"] < 400
