"""Follows Dag runs: prints the states of their tasks and the log lines of their gates as they come."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console

from airflow_imgver.services import SERVICES
from airflow_imgver.versions import read_entry
from demo.processes import StackError
from demo.stack import Stack

RUN_LIMIT_SECONDS = 300
POLL_SECONDS = 0.3
REPEAT_SECONDS = 5

ENDED = ("success", "failed")
STATUS = re.compile(r"\b[A-Z]{6,}(_[A-Z]+)*\b")


@dataclass
class FollowedTask:
    """What has been printed of a task."""

    state: str | None = None
    log_lines: int = 0
    last_seen: str = "nothing"
    deferred_at: float | None = None
    printed_at: float = 0.0


@dataclass
class FollowedRun:
    """A Dag run, and what has been printed of it."""

    dag_id: str
    run_id: str
    state: str = "queued"
    tasks: defaultdict[str, FollowedTask] = field(default_factory=lambda: defaultdict(FollowedTask))


# The tasks that act and wait, beside the gates.
ACTIONS = ("import_study", "copy_image_set", "create_image_version")


class Follower:
    """
    Prints what happens in Dag runs.

    :param stack: the stack they run in.
    :param console: where to print.
    """

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._api = stack.api
        self._console = console
        self._started = time.monotonic()

    def start(self, dag_id: str, params: dict[str, Any], since: datetime | None = None) -> FollowedRun:
        """Start a run, with a data interval from ``since`` until now."""
        run = FollowedRun(dag_id, self._api.trigger(dag_id, params, since))
        self._print(run, "", "started")
        return run

    def follow(self, runs: list[FollowedRun], starting: str | None = None) -> None:
        """
        Print what happens until all runs have ended.

        :param runs: the runs.
        :param starting: a Dag that starts by itself, whose first run is added to them.
        """
        deadline = time.monotonic() + RUN_LIMIT_SECONDS
        while starting or any(run.state not in ENDED for run in runs):
            self._stack.check()
            if time.monotonic() > deadline:
                raise StackError(f"The Dags did not end within {RUN_LIMIT_SECONDS} s.")
            if starting and (started := self._started_by_itself(starting)):
                runs.append(started)
                starting = None
            for run in runs:
                if run.state not in ENDED:
                    self._poll(run)
            time.sleep(POLL_SECONDS)

    def explain(self, run: FollowedRun) -> None:
        """Print why a run failed: the last error that each failed task logged."""
        for task_id, task in run.tasks.items():
            if task.state == "failed":
                log = self._api.log(run.dag_id, run.run_id, task_id)
                for line in [line for line in log if line.level == "error"][-1:]:
                    self._print(run, task_id, line.error or line.text, style="red")

    def _started_by_itself(self, dag_id: str) -> FollowedRun | None:
        """Return the first run of a Dag, and print the events that started it."""
        for found in self._api.runs(dag_id)[:1]:
            run = FollowedRun(dag_id, str(found["dag_run_id"]))
            self._print(run, "", "started by itself, on events:", style="cyan")
            for event in self._api.events_of(dag_id, run.run_id):
                self._print(run, "", f"  {event['status']}, image set {event['image_set_id']}", style="cyan")
            return run
        return None

    def _poll(self, run: FollowedRun) -> None:
        # Requested first, so that the last states of the tasks are printed before the end of the run.
        state = self._api.run_state(run.dag_id, run.run_id)
        for task_id, task_state in self._api.task_states(run.dag_id, run.run_id).items():
            task = run.tasks[task_id]
            if task_id.startswith("wait_for_") or task_id in ACTIONS:
                self._print_gate_log(run, task_id, task)
            if task_state != task.state:
                task.state = task_state
                self._print_state(run, task_id, task)
            elif task_state == "deferred" and time.monotonic() - task.printed_at >= REPEAT_SECONDS:
                waited = _since(task.deferred_at)
                self._print(run, task_id, f"deferred for {waited}; last seen: {task.last_seen}")
        run.state = state
        if state in ENDED:
            self._print(run, "", state, style="green" if state == "success" else "red")

    def _print_gate_log(self, run: FollowedRun, task_id: str, task: FollowedTask) -> None:
        log = self._api.log(run.dag_id, run.run_id, task_id)
        lines = [line for line in log if "airflow_imgver" in line.logger]
        for line in lines[task.log_lines :]:
            self._print(run, task_id, line.text, style="cyan")
            task.last_seen = _seen(line.text)
        task.log_lines = len(lines)

    def _print_state(self, run: FollowedRun, task_id: str, task: FollowedTask) -> None:
        match task.state:
            case "deferred":
                task.deferred_at = task.deferred_at or time.monotonic()
                self._print(run, task_id, "deferred: it waits in the triggerer and holds no worker")
            case "success" if task.deferred_at:
                found = _described(self._api.xcom(run.dag_id, run.run_id, task_id))
                opened = f"{found}, {_since(task.deferred_at)} after it deferred"
                self._print(run, task_id, f"success: {opened}", style="green")
            case "running" | "success" | "skipped" | "up_for_retry":
                self._print(run, task_id, task.state)
            case "failed" | "upstream_failed":
                self._print(run, task_id, task.state, style="red")

    def _print(self, run: FollowedRun, task_id: str, text: str, *, style: str | None = None) -> None:
        if task_id:
            run.tasks[task_id].printed_at = time.monotonic()
        elapsed = time.monotonic() - self._started
        name = run.dag_id.removeprefix("example_") + (f".{task_id}" if task_id else "")
        self._console.print(
            f"{elapsed:6.1f} s  {name:<38}  {text}",
            style=style,
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _seen(text: str) -> str:
    """Return the part of a gate's log line that has AWS's status, without the ids."""
    parts = [part for part in text.split(": ") if STATUS.search(part)]
    return parts[0] if parts else text


def _since(started: float | None) -> str:
    return f"{time.monotonic() - (started or time.monotonic()):.0f} s"


def _described(found: Any) -> str:
    """Describe what a task returned: an entry, or a list of image sets."""
    if isinstance(found, list):
        return f"{len(found)} image sets"
    service = next(each for each in SERVICES if each.fields.number in found)
    return str(read_entry(found, service.fields))
