"""The options of all commands: the connection to AWS, and the kinds of values that several options take."""

from __future__ import annotations

import argparse
import math

from airflow_imgver.cli.option_groups import ForConnection, FromAwsCli, Usual


def number_of_seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # NaN and the infinite would reach time.sleep, which refuses them without naming the option.
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def interval(text: str) -> float:
    """Read a number of seconds above 0."""
    if (seconds := number_of_seconds(text)) == 0:
        raise argparse.ArgumentTypeError("an interval of 0 seconds would poll AWS without a pause")
    return seconds


ARG_AWS_CONN_ID = Usual(
    ("--aws-conn-id",),
    help="The Airflow connection for AWS (default: aws_default); '' takes boto3's own credentials",
    default="aws_default",
)
ARG_REGION = Usual(("--region",), help="The AWS region, in place of the connection's")
ARG_ENDPOINT_URL = ForConnection(("--endpoint-url",), help="The service's URL, in place of the connection's")
ARG_NO_VERIFY_SSL = ForConnection(
    ("--no-verify-ssl",), help="Do not verify TLS certificates", action="store_true"
)
ARG_CA_BUNDLE = ForConnection(
    ("--ca-bundle",), help="The path of the CA bundle to verify TLS certificates with"
)
ARG_CLI_READ_TIMEOUT = ForConnection(
    ("--cli-read-timeout",),
    help="Seconds to wait for AWS to answer; 0 waits for ever (default: 20)",
    type=number_of_seconds,
)
ARG_CLI_CONNECT_TIMEOUT = ForConnection(
    ("--cli-connect-timeout",),
    help="Seconds to wait for a connection to AWS; 0 waits for ever (default: 5)",
    type=number_of_seconds,
)
ARG_NO_SIGN_REQUEST = ForConnection(
    ("--no-sign-request",),
    help="Do not sign requests; the connection's keys and role are not used",
    action="store_true",
)
ARG_COLOR = FromAwsCli(
    ("--color",), help="Colors, on a terminal by default", choices=("on", "off", "auto"), default="auto"
)
ARG_DEBUG = ForConnection(
    ("--debug",),
    help="Log requests and answers on stderr, without credentials, and show tracebacks",
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
