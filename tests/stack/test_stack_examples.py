"""Every example Dag, end to end, as its users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from embedded_aws import DATASTORE, entry
from event_sources import BAD
from event_watch import watching
from figures import Figures
from production import EXAMPLES, Production, Run

from demo.stack import STATE, create_topic

STARTED_BY_EVENTS = ("example_healthimaging_failures", "example_healthimaging_ready")
EXAMPLE_IDS = sorted({file.stem for file in EXAMPLES.glob("example_*.py")} - {*STARTED_BY_EVENTS})
WAIT_FOR_A_VERSION = ("VersionSensor", "CopyImageSetOperator", "CreateImageVersionOperator")
TRANSITION_SECONDS = 12
RUN_SECONDS = 240

# An image set of its own for a Dag that changes one, because all examples run at once here.
PARAMS: dict[str, dict[str, Any]] = {
    "example_healthimaging_update": {"image_set_id": "b" * 32},
}

# And one that a report finds, whose copy has failed, and one of which an update fails.
FAILED = "c" * 32
TO_FAIL = "d" * 32

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("usual_triggerers")]


@pytest.fixture(scope="module")
def runs(whole_stack: Production, figures: Figures) -> dict[str, Run]:
    """A run of each example, ended."""
    whole_stack.restore()
    state = json.loads(STATE.read_text())
    state["healthimaging"][DATASTORE]["b" * 32] = [entry("b" * 32, 1, "CREATED")]
    failed_lately = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    state["healthimaging"][DATASTORE][FAILED] = [
        entry(FAILED, 1, "COPY_FAILED")
        | {"updatedAt": failed_lately, "message": "INTERNAL_ERROR: try again."}
    ]
    state["healthimaging"][DATASTORE][TO_FAIL] = [entry(TO_FAIL, 1, "CREATED")]
    whole_stack.aws.begin(state)
    create_topic(whole_stack.aws.url)
    whole_stack.aws.settle(TRANSITION_SECONDS)
    # Reports are about an interval.
    since = datetime.now(UTC) - timedelta(days=1)
    runs = {dag_id: whole_stack.run(dag_id, since=since, **PARAMS.get(dag_id, {})) for dag_id in EXAMPLE_IDS}
    ended = {dag_id: run.wait(RUN_SECONDS) for dag_id, run in runs.items()}
    figures.tell(f"Example Dags: {', '.join(f'{dag_id} {state}' for dag_id, state in ended.items())}")
    return runs


@pytest.fixture(scope="module")
def started(runs: dict[str, Run], figures: Figures) -> Iterator[dict[str, Run]]:
    """The first run of each example that starts by itself, ended: what the others changed started it."""
    stack = next(iter(runs.values())).stack
    with watching(stack, *STARTED_BY_EVENTS) as watched:
        stack.aws.client("medical-imaging").update_image_set_metadata(
            datastoreId=DATASTORE, imageSetId=TO_FAIL, latestVersionId="1", updateImageSetMetadataUpdates=BAD
        )
        for each in watched:
            stack.wait_for(f"a run of {each.name}", each.runs, RUN_SECONDS)
        first = {each.name: Run(stack, each.name, each.runs()[0][0]) for each in watched}
        ended = {dag_id: run.wait(RUN_SECONDS) for dag_id, run in first.items()}
        figures.tell(f"Example Dags that started by themselves: {', '.join(map(' '.join, ended.items()))}")
        yield first


def gates_of(run: Run) -> list[str]:
    """The tasks of a run that wait for a version and were not skipped."""
    if run.dag_id == "example_healthimaging_import":
        # What an import makes is ready, so its gate opens at once; and it is on a list.
        return []
    tasks = run.stack.api.tasks(run.dag_id)
    gates = [task["task_id"] for task in tasks if task["operator_name"].endswith(WAIT_FOR_A_VERSION)]
    return [task_id for task_id in gates if run.tasks[task_id] != "skipped"]


@pytest.mark.parametrize("dag_id", EXAMPLE_IDS)
def test_an_example_ends_well_with_its_gates_in_the_triggerer(runs: dict[str, Run], dag_id: str) -> None:
    run = runs[dag_id]

    assert run.state == "success", {
        task_id: run.log_text(task_id) for task_id, state in run.tasks.items() if state == "failed"
    }
    for task_id in gates_of(run):
        log = run.log_text(task_id)
        assert log.index("Waiting until") < log.index("Open, waited until"), log


def test_the_example_on_ready_image_sets_lists_each_of_them_once(
    runs: dict[str, Run], started: dict[str, Run]
) -> None:
    run = started["example_healthimaging_ready"]

    assert run.state == "success", run.tell()
    ids = [each["image_set_id"] for each in run.xcom("image_sets")]
    copied = runs["example_healthimaging_copy"].xcom("copy_image_set")["imageSetId"]
    assert copied in ids
    assert len(ids) == len(set(ids)) == run.count("use_image_set", "success")


def test_the_example_on_failures_sends_awss_reason(started: dict[str, Run]) -> None:
    run = started["example_healthimaging_failures"]

    assert run.state == "success", run.tell()
    assert run.xcom("notify_the_team") == len(run.xcom("failures"))
    (line,) = [line for line in run.xcom("failures") if TO_FAIL in line]
    assert line.startswith(f"UPDATE_FAILED, version 2 of image set {TO_FAIL} in data store {DATASTORE}")


def test_the_reports_of_an_example_are_where_their_summaries_say(runs: dict[str, Run]) -> None:
    run = runs["example_version_report"]

    summaries = {task_id: run.xcom(task_id) for task_id in ("report_image_sets", "report_images")}
    for task_id, suffixes in (
        ("report_image_sets", [".html", ".csv", ".parquet"]),
        ("report_images", [".html", ".jsonl"]),
    ):
        paths = [Path(path) for path in summaries[task_id]["paths"]]
        assert [path.suffix for path in paths] == suffixes
        assert all(path.is_file() for path in paths), "though one may be empty"
    assert FAILED in {failure["id"] for failure in summaries["report_image_sets"]["failures"]}
    assert FAILED in Path(summaries["report_image_sets"]["paths"][0]).read_text()
    assert summaries["report_image_sets"]["text"] in run.xcom("send_messages")
    assert (run.tasks["send_messages"], run.tasks["all_is_well"]) == ("success", "skipped")


@pytest.mark.parametrize("dag_id", EXAMPLE_IDS)
def test_the_gates_of_an_example_give_what_they_opened_on_and_a_link_to_it(
    runs: dict[str, Run], dag_id: str
) -> None:
    run = runs[dag_id]

    for task_id in gates_of(run):
        opened = run.xcom(task_id)
        assert opened.get("ImageSetWorkflowStatus", opened.get("ImageVersionStatus")) in {
            "COPIED",
            "UPDATED",
            "CREATED",
        }
        (link,) = run.stack.api.links(dag_id, run.run_id, task_id).values()
        assert link is not None
        assert link.startswith("https://")
        assert "console.aws.amazon.com" in link
