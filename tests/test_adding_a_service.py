"""A third service: one record and a few lines of classes, in a file that the package does not know."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import model_packages
import pytest
from model_packages import (
    ListModelPackagesOperator,
    ModelPackageHook,
    ModelPackageReportOperator,
    ModelPackageSensor,
)
from modes import MODES, ended
from pages import CHECKOUT
from support import Answer, Asked, StubAws, TaskInstance, connection_json, context_of, stub_aws

import airflow_imgver
from airflow_imgver.exceptions import InvalidIdentityError, ResourceMissingError, VersionFailedError
from airflow_imgver.versions import Phase

GROUP = "churn-model"
STARTED = datetime(2026, 3, 14, 6, tzinfo=UTC)


def package(version: int, status: str = "Completed") -> dict[str, Any]:
    """One version, as SageMaker lists it."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package"
    return {
        "ModelPackageGroupName": GROUP,
        "ModelPackageVersion": version,
        "ModelPackageArn": f"{arn}/{GROUP}/{version}",
        "CreationTime": (STARTED + timedelta(hours=version)).timestamp(),
        "ModelPackageStatus": status,
        "ModelApprovalStatus": "PendingManualApproval",
    }


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub of the model registry: the histories that it serves, each poll of a group from the next list."""
    histories: dict[str, list[list[dict[str, Any]]]] = {}

    def answer(asked: Asked) -> Answer:
        operation = asked.headers["x-amz-target"].rpartition(".")[2]
        if operation == "ListModelPackageGroups":
            groups = [{"ModelPackageGroupName": name} for name in histories]
            return Answer({"ModelPackageGroupSummaryList": groups})
        polls = histories.get(asked.body["ModelPackageGroupName"])
        if polls is None:
            return Answer({"__type": "ResourceNotFound", "message": "does not exist"}, status=400)
        entries = polls.pop(0) if len(polls) > 1 else polls[0]
        start, size = int(asked.token or 0), asked.size or 100
        document: dict[str, Any] = {"ModelPackageSummaryList": entries[start : start + size]}
        if start + size < len(entries):
            document["NextToken"] = str(start + size)
        return Answer(document)

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        yield Registry(stub, histories)


class Registry:
    """The stub, and what it serves."""

    def __init__(self, stub: StubAws, histories: dict[str, list[list[dict[str, Any]]]]) -> None:
        self.stub = stub
        self._histories = histories

    def holds(self, *polls: list[dict[str, Any]], group: str = GROUP) -> None:
        self._histories[group] = list(polls)


def gate(**more: Any) -> ModelPackageSensor:
    return ModelPackageSensor(**{"model_package_group_name": GROUP, **more})


# Airflow's own parser knows only the commands of installed providers.
PROGRAM = """
import argparse, sys
from airflow_imgver.cli.definition import commands_of
from model_packages import MODEL_PACKAGE
command = {each.name: each for each in commands_of(MODEL_PACKAGE)}[sys.argv[1]]
parser = argparse.ArgumentParser()
for argument in command.args:
    argument.add_to_parser(parser)
command.func(parser.parse_args(sys.argv[2:]))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the two commands, in a process of its own, as it sets up Airflow's logs."""
    tests = str(Path(__file__).parent)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--model-package-group-name", GROUP],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, str(CHECKOUT)])},
    )


def test_no_module_of_the_package_knows_the_service() -> None:
    for path in Path(airflow_imgver.__file__).parent.rglob("*.py"):
        assert not re.search(r"model.?package", path.read_text(encoding="utf-8"), re.IGNORECASE), path


def test_the_design_page_shows_the_file_word_for_word() -> None:
    source = Path(model_packages.__file__).read_text(encoding="utf-8")
    page = (CHECKOUT / "docs" / "design.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## Adding a service\n")
    steps = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    assert "\n\n\n".join(step.strip() for step in steps) == source.strip()


def test_its_versions_are_listed_page_by_page(registry: Registry) -> None:
    registry.holds([package(version) for version in range(250, 0, -1)])
    listing = ModelPackageHook().stream({"model_package_group_name": GROUP}, max_items=150).all()
    assert [item["ModelPackageVersion"] for item in listing.items] == list(range(250, 100, -1))
    assert listing.next_token
    rest = ModelPackageHook().stream(
        {"model_package_group_name": GROUP}, page_size=40, starting_token=listing.next_token
    )
    assert [item["ModelPackageVersion"] for item in rest] == list(range(100, 0, -1))


def test_its_operator_lists_to_xcom(registry: Registry) -> None:
    registry.holds([package(2), package(1, "Failed")])
    ti = TaskInstance()
    operator = ListModelPackagesOperator(
        task_id="list",
        model_package_group_name=GROUP,
        query="ModelPackageSummaryList[?ModelPackageStatus=='Failed'].ModelPackageVersion",
    )
    assert operator.execute(context_of(ti)) == [1]
    assert "churn-model" in str(ti.xcoms["sagemaker_model_package_group"])


def test_a_name_that_breaks_its_pattern_is_refused_before_any_request(registry: Registry) -> None:
    with pytest.raises(InvalidIdentityError, match="model_package_group_name must be 1 to 63 letters"):
        gate(task_id="gate", model_package_group_name="-").execute(context_of())
    assert registry.stub.asked == []


@pytest.mark.parametrize("mode", MODES)
def test_its_gate_waits_and_opens(registry: Registry, mode: str) -> None:
    registry.holds([package(2, "Pending")], [package(2, "InProgress")], [package(2), package(1)])
    outcome = ended(gate, mode)
    assert outcome.error is None
    assert (outcome.value["ModelPackageVersion"], outcome.value["ModelPackageStatus"]) == (2, "Completed")


@pytest.mark.parametrize("mode", MODES)
def test_its_gate_fails_on_a_failed_version(registry: Registry, mode: str) -> None:
    registry.holds([package(2, "InProgress")], [package(2, "Failed")])
    error = ended(gate, mode).error
    assert isinstance(error, VersionFailedError)
    assert str(error).startswith("Failed, and AWS gave no reason.")
    assert str(error).endswith(f"version 2 of model package group {GROUP}.")


@pytest.mark.parametrize("mode", MODES)
def test_its_gate_fails_on_a_group_that_does_not_exist(registry: Registry, mode: str) -> None:
    assert isinstance(ended(gate, mode, not_found_retries=0).error, ResourceMissingError)


@pytest.mark.parametrize("mode", MODES)
def test_its_gate_waits_for_a_list_of_groups(registry: Registry, mode: str) -> None:
    registry.holds([package(1)], group="a")
    registry.holds([package(3, "Pending")], [package(3)], group="b")
    outcome = ended(gate, mode, model_package_group_name=["a", "b"])
    assert outcome.error is None
    assert [entry["ModelPackageVersion"] for entry in outcome.value] == [1, 3]


def test_its_report_has_its_columns(registry: Registry, tmp_path: Path) -> None:
    registry.holds([package(2, "Failed"), package(1)], group="a")
    registry.holds([package(1, "InProgress")], group="b")
    outputs = [str(tmp_path / name) for name in ("report.jsonl", "report.html")]
    operator = ModelPackageReportOperator(task_id="report", outputs=outputs)
    summary = operator.execute(context_of())
    rows = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in rows] == [Phase.FAILED, Phase.READY, Phase.BUSY]
    assert list(rows[0])[:3] == ["ModelPackageGroupName", "ModelPackageVersion", "ModelPackageStatus"]
    assert (summary["read"], summary["attention"]["failed"], summary["attention"]["stuck"]) == (2, 1, 1)
    assert "Versions of model package groups by status" in (tmp_path / "report.html").read_text()


def test_its_list_command_prints_its_versions(registry: Registry) -> None:
    registry.holds([package(2, "Pending"), package(1)])
    printed = json.loads(run("list-model-packages", "--output", "json").stdout)
    statuses = [each["ModelPackageStatus"] for each in printed["ModelPackageSummaryList"]]
    assert statuses == ["Pending", "Completed"]


def test_its_wait_command_waits(registry: Registry) -> None:
    registry.holds([package(2, "Pending")], [package(2)])
    command = run("wait-model-package", "--interval", "0.01")
    assert "Completed (version 2)" in command.stdout
    assert "Pending (version 2), next poll in 0 s" in command.stderr
