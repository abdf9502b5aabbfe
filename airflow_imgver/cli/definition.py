"""
What ``airflow imgver`` offers. Imported at every ``airflow`` command, so it imports nothing of this package.

What a command does is imported when that command runs.
"""

from __future__ import annotations

import argparse
import math

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command, positive_int


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # NaN and the infinite would reach time.sleep, which refuses them without naming the option.
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _interval(text: str) -> float:
    if (seconds := _seconds(text)) == 0:
        raise argparse.ArgumentTypeError("an interval of 0 seconds would ask AWS without a pause")
    return seconds


# --- how AWS is reached: all commands ---

ARG_AWS_CONN_ID = Arg(
    ("--aws-conn-id",),
    help="The Airflow connection for AWS (default: aws_default); '' takes boto3's own credentials",
    default="aws_default",
)
ARG_REGION = Arg(("--region",), help="The AWS region, in place of the connection's")
ARG_ENDPOINT_URL = Arg(("--endpoint-url",), help="The service's URL, in place of the connection's")
ARG_NO_VERIFY_SSL = Arg(("--no-verify-ssl",), help="Do not verify TLS certificates", action="store_true")
ARG_CA_BUNDLE = Arg(("--ca-bundle",), help="The path of the CA bundle to verify TLS certificates with")
ARG_CLI_READ_TIMEOUT = Arg(
    ("--cli-read-timeout",),
    help="Seconds to wait for AWS to answer; 0 waits for ever (default: 20)",
    type=_seconds,
)
ARG_CLI_CONNECT_TIMEOUT = Arg(
    ("--cli-connect-timeout",),
    help="Seconds to wait for a connection to AWS; 0 waits for ever (default: 5)",
    type=_seconds,
)
ARG_NO_SIGN_REQUEST = Arg(
    ("--no-sign-request",),
    help="Do not sign requests; the connection's keys and role are not used",
    action="store_true",
)
ARG_COLOR = Arg(
    ("--color",), help="Colors, on a terminal by default", choices=("on", "off", "auto"), default="auto"
)
ARG_DEBUG = Arg(
    ("--debug",),
    help="Tell on stderr what is sent and received, without credentials, and show tracebacks",
    action="store_true",
)
OVERRIDES = (
    ARG_REGION,
    ARG_ENDPOINT_URL,
    ARG_NO_VERIFY_SSL,
    ARG_CA_BUNDLE,
    ARG_CLI_READ_TIMEOUT,
    ARG_CLI_CONNECT_TIMEOUT,
    ARG_NO_SIGN_REQUEST,
    ARG_COLOR,
    ARG_DEBUG,
)
CONNECTION = (ARG_AWS_CONN_ID, *OVERRIDES)

# --- what is listed ---

ARG_DATASTORE_ID = Arg(("--datastore-id",), help="The data store, 32 digits and lower-case letters")
ARG_IMAGE_SET_ID = Arg(("--image-set-id",), help="The image set, 32 digits and lower-case letters")
ARG_IMAGE_NAME = Arg(("--image-name",), help="The image")
_TIME = "a time in ISO 8601, in UTC unless it names an offset, or epoch seconds"
ARG_CREATION_TIME_AFTER = Arg(("--creation-time-after",), help=f"Created then or later: {_TIME}")
ARG_CREATION_TIME_BEFORE = Arg(("--creation-time-before",), help=f"Created then or earlier: {_TIME}")
ARG_LAST_MODIFIED_TIME_AFTER = Arg(("--last-modified-time-after",), help=f"Modified then or later: {_TIME}")
ARG_LAST_MODIFIED_TIME_BEFORE = Arg(
    ("--last-modified-time-before",), help=f"Modified then or earlier: {_TIME}"
)
ARG_SORT_BY = Arg(
    ("--sort-by",),
    help="What to sort by (AWS's default: CREATION_TIME)",
    choices=("CREATION_TIME", "LAST_MODIFIED_TIME", "VERSION"),
)
ARG_SORT_ORDER = Arg(
    ("--sort-order",), help="(AWS's default: DESCENDING)", choices=("ASCENDING", "DESCENDING")
)

# --- how it is listed ---

ARG_STARTING_TOKEN = Arg(
    ("--starting-token",),
    help="The NextToken of a listing that --max-items cut off, of this command or of the AWS CLI",
)
ARG_PAGE_SIZE = Arg(
    ("--page-size",),
    help="Items a request (default: the most that the service gives, 50 or 100)",
    type=positive_int(allow_zero=False),
)
ARG_MAX_ITEMS = Arg(
    ("--max-items",), help="Items at the most (default: all)", type=positive_int(allow_zero=False)
)
ARG_NO_PAGINATE = Arg(
    ("--no-paginate",), help="Ask for one page, and show AWS's answer as it stands", action="store_true"
)
ARG_QUERY = Arg(("--query",), help="A JMESPath expression over the response; with text, over each page")
ARG_CLI_INPUT_JSON = Arg(
    ("--cli-input-json",),
    help="The request as JSON, or file:// and the path of a file of it; further options come before it",
)
# Airflow's Arg knows no const: False is "not given", and None "given without a value".
ARG_GENERATE_CLI_SKELETON = Arg(
    ("--generate-cli-skeleton",),
    help="Print a sample of --cli-input-json (input, the default) or of the output, and ask AWS nothing",
    nargs="?",
    choices=("input", "output"),
    default=False,
)
ARG_OUTPUT = Arg(
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

# --- what is waited for ---

ARG_DATASTORE_ID_REQUIRED = Arg(("--datastore-id",), help="The data store", required=True)
ARG_IMAGE_SET_IDS = Arg(
    ("--image-set-id",), help="The image set, or several", nargs="+", required=True, metavar="IMAGE_SET_ID"
)
ARG_IMAGE_NAMES = Arg(
    ("--image-name",), help="The image, or several", nargs="+", required=True, metavar="IMAGE_NAME"
)
ARG_VERSION = Arg(
    ("--version",),
    help="The version to wait for, one for all or one for each (default: the latest)",
    nargs="+",
    metavar="VERSION",
)
ARG_WAIT_UNTIL = Arg(
    ("--wait-until",),
    help="What opens the gate (default: ready)",
    choices=("ready", "settled", "deleted"),
    default="ready",
)
ARG_ALLOW_READ_ONLY = Arg(
    ("--allow-read-only",),
    help="Take the source of a running copy, which may be read meanwhile, for ready",
    action="store_true",
)
ARG_NOT_FOUND_RETRIES = Arg(
    ("--not-found-retries",),
    help="Looks in a row at which AWS may know nothing of it (default: 2)",
    type=positive_int(allow_zero=True),
    default=2,
)
ARG_FAIL_FAST = Arg(
    ("--fail-fast",), help="Of several, fail at the first that fails, not at the end", action="store_true"
)
ARG_TIMEOUT = Arg(
    ("--timeout",), help="Seconds to wait; 0 looks once (default: 3600)", type=_seconds, default=3600.0
)
ARG_INTERVAL = Arg(
    ("--interval",), help="Seconds between two looks (default: 10)", type=_interval, default=10.0
)
WAITING = (
    ARG_VERSION,
    ARG_WAIT_UNTIL,
    ARG_NOT_FOUND_RETRIES,
    ARG_FAIL_FAST,
    ARG_TIMEOUT,
    ARG_INTERVAL,
    *CONNECTION,
)

# --- what is explained ---

ARG_DAG_ID = Arg(("dag_id",), help="The id of the Dag")
ARG_TASK_ID = Arg(("task_id",), help="The id of the task")
ARG_RUN_ID = Arg(("run_id",), help="The id of the Dag run")
ARG_MAP_INDEX = Arg(("--map-index",), help="Which instance of a mapped task", type=int)
ARG_EXPLAIN_OUTPUT = Arg(
    ("-o", "--output"),
    help="Output format. Allowed values: plain, json, yaml (default: plain)",
    metavar="(plain, json, yaml)",
    choices=("plain", "json", "yaml"),
    default="plain",
)

COMMANDS = (
    ActionCommand(
        name="list-image-set-versions",
        help="List the versions of a HealthImaging image set",
        func=lazy_load_command("airflow_imgver.cli.listing.list_image_set_versions"),
        args=(ARG_DATASTORE_ID, ARG_IMAGE_SET_ID, *LISTING),
    ),
    ActionCommand(
        name="list-image-versions",
        help="List the versions of a SageMaker AI image",
        func=lazy_load_command("airflow_imgver.cli.listing.list_image_versions"),
        args=(
            ARG_IMAGE_NAME,
            ARG_CREATION_TIME_AFTER,
            ARG_CREATION_TIME_BEFORE,
            ARG_LAST_MODIFIED_TIME_AFTER,
            ARG_LAST_MODIFIED_TIME_BEFORE,
            ARG_SORT_BY,
            ARG_SORT_ORDER,
            *LISTING,
        ),
    ),
    ActionCommand(
        name="wait-image-set-version",
        help="Wait for a version of a HealthImaging image set, by the rule of the gate",
        func=lazy_load_command("airflow_imgver.cli.waiting.wait_image_set_version"),
        args=(ARG_DATASTORE_ID_REQUIRED, ARG_IMAGE_SET_IDS, ARG_ALLOW_READ_ONLY, *WAITING),
    ),
    ActionCommand(
        name="wait-image-version",
        help="Wait for a version of a SageMaker AI image, by the rule of the gate",
        func=lazy_load_command("airflow_imgver.cli.waiting.wait_image_version"),
        args=(ARG_IMAGE_NAMES, *WAITING),
    ),
    ActionCommand(
        name="explain",
        help="Tell what the gate of a task instance waits for, and what AWS says now",
        func=lazy_load_command("airflow_imgver.cli.explaining.explain"),
        args=(ARG_DAG_ID, ARG_TASK_ID, ARG_RUN_ID, ARG_MAP_INDEX, ARG_EXPLAIN_OUTPUT, *OVERRIDES),
    ),
)


def get_cli_commands() -> list[GroupCommand]:
    """Return what Airflow adds to its own commands."""
    return [
        GroupCommand(
            name="imgver",
            help="Look at the versions of HealthImaging image sets and SageMaker images, and wait for them",
            subcommands=COMMANDS,
        )
    ]
