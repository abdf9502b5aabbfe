"""
The commands of ``airflow imgver``, and their options, from the descriptions of the services.

Airflow imports this at every command, so it imports nothing heavy: a command's own modules are imported when
that command runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command, positive_int

from airflow_imgver.cli.connection_options import CONNECTION, OVERRIDES, interval, number_of_seconds
from airflow_imgver.cli.examples import (
    EXPLAIN_EXAMPLES,
    REPORT_EXAMPLES,
    WATCH_EXAMPLES,
    listing_examples,
    waiting_examples,
)
from airflow_imgver.cli.option_groups import FromAwsCli, Required, Usual
from airflow_imgver.cli.report_options import REPORTING
from airflow_imgver.cli.watch_options import WATCHING
from airflow_imgver.services import SERVICES, WAITABLES
from airflow_imgver.services.description import Filter, IdentityField, Service
from airflow_imgver.services.waitable import Waitable

# --- listing ---

ARG_STARTING_TOKEN = FromAwsCli(
    ("--starting-token",),
    help="The NextToken of a listing that --max-items cut off, of this command or of the AWS CLI",
)
ARG_PAGE_SIZE = FromAwsCli(
    ("--page-size",),
    help="Items a request (default: the most that the service gives, 50 or 100)",
    type=positive_int(allow_zero=False),
)
ARG_MAX_ITEMS = Usual(
    ("--max-items",), help="Items at the most (default: all)", type=positive_int(allow_zero=False)
)
ARG_NO_PAGINATE = FromAwsCli(
    ("--no-paginate",), help="Request one page, and show AWS's answer unchanged", action="store_true"
)
ARG_QUERY = Usual(("--query",), help="A JMESPath expression over the response; with text, over each page")
ARG_CLI_INPUT_JSON = FromAwsCli(
    ("--cli-input-json",),
    help="The request as JSON, or file:// and the path of a file with it; other options override it",
)
# Airflow's Arg knows no const: False is "not given", and None "given without a value".
ARG_GENERATE_CLI_SKELETON = FromAwsCli(
    ("--generate-cli-skeleton",),
    help="Print a sample of --cli-input-json (input, the default) or of the output, without a request",
    nargs="?",
    choices=("input", "output"),
    default=False,
)
ARG_OUTPUT = Usual(
    ("-o", "--output"),
    help="Output format. Allowed values: json, yaml, plain, table, text (default: table)",
    metavar="(table, json, yaml, plain, text)",
    choices=("table", "json", "yaml", "plain", "text"),
    default="table",
)
LISTING = (
    ARG_STARTING_TOKEN,
    ARG_PAGE_SIZE,
    ARG_MAX_ITEMS,
    ARG_NO_PAGINATE,
    ARG_QUERY,
    ARG_CLI_INPUT_JSON,
    ARG_GENERATE_CLI_SKELETON,
    ARG_OUTPUT,
    *CONNECTION,
)

# --- waiting ---

ARG_VERSION = Usual(
    ("--version",),
    help="The version to wait for, one for all or one for each (default: the latest)",
    nargs="+",
    metavar="VERSION",
)
ARG_WAIT_UNTIL = Usual(
    ("--wait-until",),
    help="The phase that opens the gate (default: ready)",
    choices=("ready", "settled", "deleted"),
    default="ready",
)
ARG_ALLOW_READ_ONLY = Usual(
    ("--allow-read-only",),
    help="Count the source of a running copy, which can be read meanwhile, as ready",
    action="store_true",
)
ARG_NOT_FOUND_RETRIES = Usual(
    ("--not-found-retries",),
    help="Polls in a row that AWS may answer with not found (default: 2)",
    type=positive_int(allow_zero=True),
    default=2,
)
ARG_FAIL_FAST = Usual(
    ("--fail-fast",), help="Of several, fail at the first that fails, not at the end", action="store_true"
)
ARG_TIMEOUT = Usual(
    ("--timeout",),
    help="Seconds to wait; 0 polls once (default: 3600)",
    type=number_of_seconds,
    default=3600.0,
)
ARG_INTERVAL = Usual(
    ("--interval",), help="Seconds between two polls (default: 10)", type=interval, default=10.0
)
ARG_FAIL_ON_FAILED_FILES = Usual(
    ("--fail-on-failed-files",), help="Fail where a job could not import some files", action="store_true"
)
WAITING = (
    ARG_NOT_FOUND_RETRIES,
    ARG_FAIL_FAST,
    ARG_TIMEOUT,
    ARG_INTERVAL,
    *CONNECTION,
)

# --- explaining ---

ARG_DAG_ID = Arg(("dag_id",), help="The id of the Dag")
ARG_TASK_ID = Arg(("task_id",), help="The id of the task")
ARG_RUN_ID = Arg(("run_id",), help="The id of the Dag run")
ARG_MAP_INDEX = Usual(("--map-index",), help="The map index of an instance of a mapped task", type=int)
ARG_EXPLAIN_OUTPUT = Usual(
    ("-o", "--output"),
    help="Output format. Allowed values: plain, json, yaml (default: plain)",
    metavar="(plain, json, yaml)",
    choices=("plain", "json", "yaml"),
    default="plain",
)


def _identity_arg(field: IdentityField) -> Arg:
    return Required((field.option,), help=f"The {field.thing}, {field.rule}")


def _required_arg(field: IdentityField, *, many: bool) -> Arg:
    if not many:
        return Required((field.option,), help=f"The {field.thing}", required=True)
    metavar = field.name.upper()
    help_text = f"The {field.thing}, or several"
    return Required((field.option,), help=help_text, nargs="+", required=True, metavar=metavar)


def _filter_arg(each: Filter) -> Arg:
    return FromAwsCli((each.option,), help=each.help, choices=each.choices or None)


def commands_of(service: Service) -> tuple[ActionCommand, ActionCommand]:
    """Return the two commands of a service: one lists versions, one waits for a version."""
    return (list_command(service), wait_command(service))


def list_command(service: Service) -> ActionCommand:
    """Return the command that lists versions."""
    return ActionCommand(
        name=str(service.commands.list),
        help=f"List the versions of one {service.thing} ({service.name})",
        func=_lazily("airflow_imgver.cli.listing", "list_versions", service),
        args=(
            *map(_identity_arg, service.identity),
            *map(_filter_arg, service.listing.filters),
            *LISTING,
        ),
        epilog=listing_examples(service),
    )


def wait_command(service: Waitable) -> ActionCommand:
    """Return the command that waits."""
    *outer, key = service.identity
    what = "a version of one" if service.has_versions else "one"
    of_versions = (ARG_VERSION, ARG_WAIT_UNTIL) if service.has_versions else (ARG_FAIL_ON_FAILED_FILES,)
    return ActionCommand(
        name=service.commands.wait,
        help=f"Wait for {what} or more {service.things} ({service.name})",
        func=_lazily("airflow_imgver.cli.waiting", "wait", service),
        args=(
            *(_required_arg(field, many=False) for field in outer),
            _required_arg(key, many=True),
            *((ARG_ALLOW_READ_ONLY,) if service.fields.read_only else ()),
            *of_versions,
            *WAITING,
        ),
        epilog=waiting_examples(service),
    )


def _lazily(module: str, function: str, service: Waitable) -> Callable[[argparse.Namespace], None]:
    """Return what imports a command's function when the command runs, and calls it for a service."""

    def run(args: argparse.Namespace) -> None:
        getattr(import_module(module), function)(args, service)

    run.__name__ = function
    return run


EXPLAIN = ActionCommand(
    name="explain",
    help="Show what the gate of a task instance waits for, and what AWS answers now",
    func=lazy_load_command("airflow_imgver.cli.explaining.explain"),
    args=(ARG_DAG_ID, ARG_TASK_ID, ARG_RUN_ID, ARG_MAP_INDEX, ARG_EXPLAIN_OUTPUT, *OVERRIDES),
    epilog=EXPLAIN_EXAMPLES,
)
REPORT = ActionCommand(
    name="report",
    help="Write a report on a data store or on images: what failed, what is stuck, what changed",
    func=lazy_load_command("airflow_imgver.cli.reporting.report"),
    args=(*REPORTING, ARG_EXPLAIN_OUTPUT, *CONNECTION),
    epilog=REPORT_EXAMPLES,
)
WATCH = ActionCommand(
    name="watch",
    help="Print each version that becomes ready or fails, until Ctrl-C",
    func=lazy_load_command("airflow_imgver.cli.watching.watch"),
    args=(*WATCHING, ARG_MAX_ITEMS, *CONNECTION),
    epilog=WATCH_EXAMPLES,
)
COMMANDS = (
    *map(list_command, SERVICES),
    *map(wait_command, WAITABLES),
    EXPLAIN,
    REPORT,
    WATCH,
)


def get_cli_commands() -> list[GroupCommand]:
    """Return the commands that Airflow adds to its own."""
    return [
        GroupCommand(
            name="imgver",
            help="List the versions of HealthImaging image sets and SageMaker images, and wait for them",
            subcommands=COMMANDS,
        )
    ]
