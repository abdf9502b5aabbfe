"""``explain``: what the gate of a task instance waits for, and what AWS answers now."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from airflow.utils.session import create_session
from sqlalchemy.exc import DBAPIError

from airflow_imgver.cli.connection import overridden
from airflow_imgver.cli.metadata import GateTask, gate_task
from airflow_imgver.cli.output import write
from airflow_imgver.cli.running import NotExplainedError, command
from airflow_imgver.exceptions import AwsCallError, GateError
from airflow_imgver.gate.watched import Watched
from airflow_imgver.text import one_line, relative, sentence

# A gate on a thousand ids would fill pages.
MOST_SHOWN = 20
# So would the image sets of an import of thousands.
LONGEST_SHOWN = 2_048

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
# The lines of our own; a run id in another may look like a time.
_HAVE_TIMES = frozenset({"state", "gives_up", "next_poll"})

_RULE = {
    "ready": "opens when the version can be used, and fails when it failed or was deleted",
    "settled": "opens when the version is no longer busy, failed or not",
    "deleted": "opens when it is deleted, and fails when the deletion failed",
}


@command
def explain(args: argparse.Namespace, out: TextIO) -> None:
    """Explain the gate of a task instance."""
    try:
        with create_session() as session:
            task = gate_task(
                args.dag_id,
                args.task_id,
                args.run_id,
                args.map_index,
                session,
                lambda hook: overridden(hook, args),
            )
    except DBAPIError as error:
        # The whole error quotes the query.
        raise NotExplainedError(
            f"Airflow's metadata database cannot be read: {sentence(str(error.orig))} Check "
            "[database] sql_alchemy_conn, and run `airflow db migrate` for a new database."
        ) from error
    explained = {
        "task": _name(args),
        "state": task.state,
        "waits_for": _waits_for(task),
        "asks": _asks(task),
        "gives_up": task.deadline,
        **_now(task),
        "next_poll": task.next_poll,
        "assumed": task.assumed,
    }
    explained = {label: value for label, value in explained.items() if value is not None}
    if args.output == "plain":
        _write_plain(explained, out)
    else:
        write(explained, args.output, out, service=task.watch.service)


def _name(args: argparse.Namespace) -> str:
    index = "" if args.map_index is None else f", map index {args.map_index}"
    return f"{args.task_id} of Dag {args.dag_id}, run {args.run_id}{index}"


def _waits_for(task: GateTask) -> str:
    version = task.watch.settings.version
    which = "the latest version of " if version is None else f"version {version} of "
    if not task.watch.service.has_versions:
        which = ""
    watched = [one.name for one in task.gate.unsettled]
    more = "" if len(watched) <= 1 else f" and {len(watched) - 1} more"
    first = watched[0] if watched else "an empty list"
    return f"{which}{first}{more}, until {task.watch.settings.wait_until}"


def _asks(task: GateTask) -> str:
    region = task.hook.conn_config.region_name
    connection = f"the connection {task.hook.aws_conn_id}" if task.hook.aws_conn_id else "no connection"
    return f"{task.watch.service.poll.operation} with {connection}{f' in {region}' if region else ''}"


def _now(task: GateTask) -> dict[str, Any]:
    """Poll once, as the gate does, and return the outcome."""
    wait_until = task.watch.settings.wait_until
    rule = f"a gate on {wait_until} {_RULE[wait_until]}"
    watched = list(task.gate.unsettled)
    try:
        if watched:
            task.gate.check_region(task.hook.console_address(watched[0].name)["region_name"])
        opened = task.gate.poll(task.hook)
    except AwsCallError as error:
        verdict = "wait" if error.transient else "fail"
        passing = " This may pass; the gate waits it out." if error.transient else ""
        return {"aws_says": _shown(watched), "verdict": verdict, "why": f"{one_line(str(error))}{passing}"}
    except GateError as error:
        return {"aws_says": _shown(watched), "verdict": "fail", "why": one_line(str(error))}
    return {
        "aws_says": _shown(watched),
        "verdict": "open" if opened else "wait",
        "why": f"{one_line(task.gate.news)}; {rule}",
    }


def _shown(watched: list[Watched]) -> list[Any]:
    """Return the entries that AWS shows, or a text where it shows none."""
    shown = [one.entry or one_line(str(one)) for one in watched[:MOST_SHOWN]]
    left = len(watched) - len(shown)
    return [*shown, f"and {left} more"] if left else shown


def _write_plain(explained: dict[str, Any], out: TextIO) -> None:
    now = datetime.now(UTC)
    width = max(map(len, explained))
    for label, value in explained.items():
        if isinstance(value, list):
            lines = [line for each in value for line in _entry(each, now)]
        else:
            lines = [_with_relative_times(value, now) if label in _HAVE_TIMES else value]
        for number, line in enumerate(lines):
            name = label.replace("_", " ") if number == 0 else ""
            out.write(f"{name:<{width}}  {line}\n")


def _entry(value: Any, now: datetime) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name} {_member(member, now)}" for name, member in value.items()]
    return [str(value)]


def _member(member: Any, now: datetime) -> str:
    text = one_line(str(member))[:LONGEST_SHOWN]
    # A time that AWS's message mentions is AWS's own text.
    return _with_relative_times(text, now) if _TIME.fullmatch(text) else text


def _with_relative_times(text: str, now: datetime) -> str:
    """Write each time to the second, and how far away it is."""

    def with_distance(found: re.Match[str]) -> str:
        try:
            return f"{found[1]}Z ({relative(datetime.fromisoformat(found[0]), now)})"
        except ValueError:
            # A text of AWS that only looks like a time, for example with a thirteenth month.
            return found[0]

    return _TIME.sub(with_distance, text)
