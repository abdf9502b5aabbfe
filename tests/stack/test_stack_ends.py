"""How gates end that do not open: on a version that fails, after their timeout, and by hand."""

from __future__ import annotations

import pytest
from embedded_aws import DATASTORE, EmbeddedAws, being_copied, entry, image_set_id
from figures import Figures
from production import Production, Run

MODES = ("poke", "deferrable")
# What "Series of SourceImageSet and DestinationImageSet don't match." comes from: two series, and no force.
MISMATCH = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."

pytestmark = pytest.mark.timeout(300)


def begin_copy_that_will_fail(aws: EmbeddedAws) -> tuple[str, str]:
    """Start a copy; give the destination and the version that the copy makes."""
    source, destination = image_set_id("source", 0), image_set_id("destination", 0)
    aws.begin(
        {"healthimaging": {DATASTORE: {each: [entry(each, 1, "CREATED")] for each in (source, destination)}}}
    )
    started = aws.client("medical-imaging").copy_image_set(
        datastoreId=DATASTORE,
        sourceImageSetId=source,
        copyImageSetInformation={
            "sourceImageSet": {"latestVersionId": "1"},
            "destinationImageSet": {"imageSetId": destination, "latestVersionId": "1"},
        },
    )
    return destination, started["destinationImageSetProperties"]["latestVersionId"]


def states(run: Run, failing: str) -> set[str | None]:
    """How the gates of one way to fail ended, in both modes."""
    return {run.tasks[f"{mode}_{failing}"] for mode in MODES}


def test_a_version_that_fails_fails_its_gates_with_awss_reason_in_both_modes_alike(
    stack: Production, figures: Figures
) -> None:
    destination, version = begin_copy_that_will_fail(stack.aws)
    run = stack.run("gates_on_a_version_that_fails", image_set_id=destination, version=version)
    for failing in ("hard", "soft", "never"):
        run.wait_for(f"deferrable_{failing}", "deferred", 60)
        run.wait_for(f"poke_{failing}", "running", 60)

    stack.aws.settle()

    assert run.wait(120) == "failed"
    assert states(run, "hard") == {"failed"}
    assert states(run, "soft") == {"failed"}, "a failed copy is no skip, in either mode"
    assert states(run, "never") == {"skipped"}
    for mode in MODES:
        for failing in ("hard", "soft"):
            assert run.tasks[f"after_{mode}_{failing}"] == "upstream_failed"
            (error,) = {line.error for line in run.log(f"{mode}_{failing}") if line.error}
            assert error.startswith("VersionFailedError: ")
            assert MISMATCH in error
        assert run.tasks[f"after_{mode}_never"] == "skipped"
    figures.tell(
        "A version that fails: gates failed, under soft_fail too, and skipped under never_fail, alike in "
        "both modes; AWS's message is in the error; nothing after them ran"
    )


def test_a_gate_that_times_out_says_what_it_last_saw_in_both_modes_alike(
    stack: Production, figures: Figures
) -> None:
    destination, version = begin_copy_that_will_fail(stack.aws)
    run = stack.run("gates_that_time_out", image_set_id=destination, version=version)

    assert run.wait(180) == "failed"
    assert states(run, "hard") == {"failed"}
    assert states(run, "soft") == {"skipped"}
    assert states(run, "never") == {"skipped"}
    for mode in MODES:
        assert run.tasks[f"after_{mode}_hard"] == "upstream_failed"
        (error,) = {line.error for line in run.log(f"{mode}_hard") if line.error}
        assert error.startswith("AirflowSensorTimeout: ")
        assert f"COPYING (LOCKED, version {version})" in error
    figures.tell("A timeout: AirflowSensorTimeout with the state last seen, alike in both modes")


def test_a_gate_that_is_cleared_or_marked_by_hand_leaves_no_trigger_and_nothing_done_to_aws(
    stack: Production, figures: Figures
) -> None:
    stack.aws.begin(being_copied("touched", 1))
    run = stack.run("gates_to_touch", image_set_id=image_set_id("touched", 0))
    for task_id in ("cleared", "marked_success", "marked_failed"):
        run.wait_for(task_id, "deferred", 60)
    assert sum(stack.metadata.triggers().values()) == 3

    api = stack.api
    api.mark(run.dag_id, run.run_id, "marked_success", "success")
    api.mark(run.dag_id, run.run_id, "marked_failed", "failed")
    api.clear(run.dag_id, run.run_id, "cleared")

    stack.wait_for(
        "only the cleared gate's trigger", lambda: sum(stack.metadata.triggers().values()) == 1, 60
    )
    stack.wait_for("the cleared gate in its second try", lambda: second_try(run) == "deferred", 60)
    api.mark(run.dag_id, run.run_id, "cleared", "failed")
    stack.wait_for("an empty trigger table", lambda: stack.metadata.triggers() == {}, 60)
    looked = stack.aws.list_calls()
    assert run.tasks == {"cleared": "failed", "marked_success": "success", "marked_failed": "failed"}
    assert stack.aws.calls() == {"medical-imaging": {"ListImageSetVersions": looked}}
    figures.tell("Cleared and marked by hand: no trigger is left behind, and AWS saw list calls alone")


def second_try(run: Run) -> str | None:
    (instance,) = run.instances("cleared")
    return instance["state"] if instance["try_number"] == 2 else None
