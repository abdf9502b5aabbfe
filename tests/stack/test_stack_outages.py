"""Gates that wait while a triggerer, a worker, the scheduler, the database or AWS itself is gone."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from embedded_aws import being_copied
from figures import Figures
from production import (
    LOST_TASK_SECONDS,
    QUEUED_TASK_SECONDS,
    TRIGGERER_SILENCE_SECONDS,
    TRIGGERERS,
    Production,
    Run,
)
from servers import OwnDatabase

GATES = ("gate", "gate_without_retries")
POKE_SECONDS = 20
# The trigger's own start, up to five seconds, before its first look within the interval.
START_SECONDS = 5
DEFER_SECONDS = 180
RESUME_SECONDS = 180
OUTAGE_SECONDS = 60
# Pauses double with each error in a row, up to five minutes.
LONGEST_PAUSE_SECONDS = 300

pytestmark = pytest.mark.timeout(900)


def waiting(stack: Production, group: str, count: int) -> Run:
    """Start gates, and wait until all are in the triggerers."""
    stack.aws.begin(being_copied(group, count))
    run = stack.run("gates_through_outages", group=group, count=count)
    for task_id in GATES:
        run.wait_for(task_id, "deferred", DEFER_SECONDS, count=count)
    return run


def opened_at(run: Run, task_id: str, map_index: int) -> list[float]:
    """When a trigger of a gate has told that it is open, each time that it did."""
    return [
        datetime.fromisoformat(line.at).timestamp()
        for line in run.log(task_id, map_index)
        if line.text.startswith("Open, waited until")
    ]


def all_opened_at(run: Run, count: int) -> list[float]:
    """When each gate opened; each did once."""
    opened = [opened_at(run, task_id, map_index) for task_id in GATES for map_index in range(count)]
    assert {len(times) for times in opened} == {1}, "each gate opens once"
    return [times[0] for times in opened]


def assert_all_opened(run: Run, count: int) -> None:
    """Every gate is a success, in its first try, and on a version that had been copied."""
    for task_id in GATES:
        instances = run.instances(task_id)
        assert [each["state"] for each in instances] == ["success"] * count
        assert {each["try_number"] for each in instances} == {1}
        entries = [run.xcom(task_id, map_index) for map_index in range(count)]
        assert {each["ImageSetWorkflowStatus"] for each in entries} == {"COPIED"}


def caught_on(run: Run, worker: str) -> set[tuple[str, int]]:
    """Halt a worker, and name the gates that run on it; where none does, let it go on."""
    halted = run.stack.freeze(worker)
    caught = {
        (task_id, each["map_index"])
        for task_id in GATES
        for each in run.instances(task_id)
        if each["state"] == "running" and each["pid"] in halted
    }
    if not caught:
        run.stack.thaw(worker)
    return caught


def taken_over(stack: Production, name: str, count: int) -> float:
    """Wait until a triggerer holds every gate; give the moment."""
    stack.wait_for(
        f"{name} to hold every gate",
        lambda: stack.metadata.triggers() == {stack.jobs[name]: count},
        TRIGGERER_SILENCE_SECONDS * 2,
        pause=0.2,
        tell=lambda: f"{stack.metadata.triggers()}, jobs {stack.jobs}",
    )
    return time.time()


def test_gates_outlive_the_triggerers_that_hold_them(stack: Production, figures: Figures) -> None:
    count = 15
    run = waiting(stack, "killed", count)
    first, second = sorted(TRIGGERERS, key=lambda name: -stack.metadata.triggers().get(stack.jobs[name], 0))

    killed = stack.kill(first)
    seconds = [taken_over(stack, second, count * len(GATES)) - killed]
    stack.start(first)
    killed = stack.kill(second)
    settled = stack.aws.settle()
    moved = taken_over(stack, first, count * len(GATES))
    seconds.append(moved - killed)
    stack.start(second)

    assert run.wait(RESUME_SECONDS) == "success"
    assert_all_opened(run, count)
    opened = all_opened_at(run, count)
    assert min(opened) > settled
    assert max(opened) - moved <= POKE_SECONDS + START_SECONDS + 2
    assert stack.metadata.triggers() == {}
    figures.tell(
        f"kill -9 of the triggerer, twice, under {count * len(GATES)} gates: another one holds them after "
        f"{seconds[0]:.0f} s and {seconds[1]:.0f} s (Airflow's threshold: {TRIGGERER_SILENCE_SECONDS} s); "
        f"each opened once, the last {max(opened) - moved:.0f} s after that (poke_interval {POKE_SECONDS} s)"
    )


def test_a_worker_that_is_killed_while_gates_resume_costs_a_retry_and_never_shows_a_false_success(
    stack: Production, figures: Figures
) -> None:
    count = 8
    run = waiting(stack, "worker", count)
    stack.aws.settle()
    caught = stack.wait_for("gates that resume on worker-1", lambda: caught_on(run, "worker-1"), 120)
    killed = stack.kill("worker-1")
    stack.start("worker-1")

    stack.wait_for(
        "the end of all gates",
        lambda: all(run.count(task_id, "success", "failed") == count for task_id in GATES),
        LOST_TASK_SECONDS + QUEUED_TASK_SECONDS + RESUME_SECONDS,
        tell=run.tell,
    )
    took = time.time() - killed
    retried = run.instances("gate")
    assert {each["state"] for each in retried} == {"success"}
    for each in [*retried, *run.instances("gate_without_retries")]:
        entry_or_none = run.xcom(each["task_id"], each["map_index"]) if each["state"] == "success" else None
        assert (each["state"] == "failed") == (entry_or_none is None)
        assert entry_or_none is None or entry_or_none["ImageSetWorkflowStatus"] == "COPIED"
    again = {("gate", each["map_index"]) for each in retried if each["try_number"] > 1}
    lost = {
        ("gate_without_retries", each["map_index"])
        for each in run.instances("gate_without_retries")
        if each["state"] == "failed"
    }
    assert caught <= again | lost, "the worker took them with it"
    figures.tell(
        f"kill -9 of a worker while {2 * count} gates resumed, {len(caught)} of them on it at that moment: "
        f"those with retries all open, {len(again)} in a second try; of those without, {len(lost)} failed; "
        f"all told after {took:.0f} s"
    )


def test_gates_wait_on_through_a_restart_of_the_scheduler_and_of_postgresql(
    stack: Production, figures: Figures
) -> None:
    if not isinstance(stack.database, OwnDatabase):
        pytest.skip("the PostgreSQL server is somebody's, and is not restarted")
    count = 5
    run = waiting(stack, "restart", count)

    stack.kill("scheduler")
    stack.start("scheduler")
    with stack.under_a_supervisor() as revived:
        stack.database.restart()
        stack.wait_for("Airflow", lambda: not stack.api.unhealthy(), 120)
        settled = stack.aws.settle()
        assert run.wait(TRIGGERER_SILENCE_SECONDS + RESUME_SECONDS) == "success"
    assert_all_opened(run, count)
    opened = all_opened_at(run, count)
    assert min(opened) > settled
    stack.wait_for("an empty trigger table", lambda: stack.metadata.triggers() == {}, 30)
    figures.tell(
        f"Scheduler killed, PostgreSQL restarted, while {count * len(GATES)} gates waited: all opened, the "
        f"last {max(opened) - settled:.0f} s after its version had settled; what ended by itself and was "
        f"started again: {', '.join(revived) or 'nothing'}"
    )


def test_gates_wait_out_an_aws_that_is_gone_and_one_that_throttles(
    stack: Production, figures: Figures
) -> None:
    count = 5
    run = waiting(stack, "outage", count)

    stack.aws.stop()
    back = time.time() + OUTAGE_SECONDS
    stack.wait_for("the end of the outage", lambda: time.time() > back, OUTAGE_SECONDS + 5)
    stack.aws.start()
    stack.aws.fault(error={"code": "ThrottlingException", "message": "Rate exceeded"}, times=None, every=2)
    calm = time.time() + OUTAGE_SECONDS
    stack.wait_for("the end of the throttling", lambda: time.time() > calm, OUTAGE_SECONDS + 5)
    assert {run.count(task_id, "deferred") for task_id in GATES} == {count}, "all wait"
    throttled = stack.aws.list_calls()
    stack.aws.clear_faults()
    settled = stack.aws.settle()

    assert run.wait(LONGEST_PAUSE_SECONDS + RESUME_SECONDS) == "success"
    assert_all_opened(run, count)
    opened = all_opened_at(run, count)
    logs = [run.log_text(task_id, map_index) for task_id in GATES for map_index in range(count)]
    assert all("This may pass" in log for log in logs)
    assert all("EndpointConnectionError" in log or "Could not connect" in log for log in logs)
    assert any("ThrottlingException" in log for log in logs)
    figures.tell(
        f"AWS gone for {OUTAGE_SECONDS} s, then throttling every second of {throttled} calls for "
        f"{OUTAGE_SECONDS} s: {count * len(GATES)} gates waited it out and said so, and were open "
        f"{max(opened) - settled:.0f} s after their versions had settled"
    )
