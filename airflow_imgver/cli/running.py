"""How a command runs: its exit status, its error on one line, and its logs."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial, wraps
from typing import Concatenate, NoReturn, ParamSpec, TextIO

import airflow
from airflow.configuration import conf
from airflow.logging_config import configure_logging

from airflow_imgver.exceptions import (
    GateError,
    InvalidIdentityError,
    InvalidQueryError,
    InvalidTokenError,
    ReportNotPublishedError,
    UnreadableError,
)

Rest = ParamSpec("Rest")

FAILED = 1
USAGE = 2
# As coreutils' timeout does.
TIMED_OUT = 124
# As a shell reports a process that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
PIPE_CLOSED = 141

Command = Callable[Concatenate[argparse.Namespace, TextIO, Rest], None]


class UsageError(ValueError):
    """Options that do not go together, or an invalid value; raised before any request."""


class TimedOutError(RuntimeError):
    """The gate was not open at the timeout."""


class NotExplainedError(RuntimeError):
    """A task instance that does not exist, is not a gate, or has not started."""


class FindingsError(RuntimeError):
    """A report with findings of a kind that ``--fail-on`` names."""


_STATUSES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((UsageError, InvalidIdentityError, InvalidQueryError, InvalidTokenError), USAGE),
    ((TimedOutError,), TIMED_OUT),
    ((NotExplainedError, FindingsError, UnreadableError, ReportNotPublishedError, GateError), FAILED),
)


def command(run: Command[Rest]) -> Callable[..., NoReturn]:
    """
    Make a command of a function: it ends the process, and prints its errors on stderr.

    :param run: takes the options, the stdout for its result, and further arguments. All other output, for
        example Airflow's logs or a Dag's file, goes to stderr.
    """

    @wraps(run)
    def process(args: argparse.Namespace, *rest: Rest.args, **more: Rest.kwargs) -> NoReturn:
        out = sys.stdout
        with redirect_stdout(sys.stderr):
            _prepare(debug=args.debug)
            sys.exit(_status_of(partial(run, args, out, *rest, **more), out, debug=args.debug))

    return process


def _status_of(run: Callable[[], None], out: TextIO, *, debug: bool) -> int:
    try:
        run()
        out.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends, and would complain about the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # a command reports every error
        return _report(error, debug=debug)
    return 0


def _report(error: Exception, *, debug: bool) -> int:
    """Print an error, and return the exit status."""
    if debug:
        traceback.print_exception(error)
    for kinds, status in _STATUSES:
        if isinstance(error, kinds):
            print(error, file=sys.stderr)  # noqa: T201
            return status
    hint = "" if debug else " (--debug shows where)"
    print(f"{type(error).__name__}: {error}{hint}", file=sys.stderr)  # noqa: T201
    return FAILED


def _prepare(*, debug: bool) -> None:
    """Configure the source of connections, and the logs."""
    # As `airflow connections get` does: outside a task, only a server process reads the metadata database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    if airflow.__version__ == "3.1.0":
        # Only this release does not read it, and uses a worker's search path.
        from airflow.secrets import DEFAULT_SECRETS_SEARCH_PATH, DEFAULT_SECRETS_SEARCH_PATH_WORKERS

        DEFAULT_SECRETS_SEARCH_PATH_WORKERS[:] = DEFAULT_SECRETS_SEARCH_PATH
    # Hooks log at INFO where credentials come from, which is useful in a task only.
    conf.set("logging", "logging_level", "WARNING")
    configure_logging()
    if debug:
        _debug()
    elif not sys.warnoptions:
        # Airflow 3.2 warns about its own amazon provider, which nobody at a prompt can change.
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)


# --- --debug --------------------------------------------------------------------------------------------

# Not botocore.auth, which logs signatures, nor botocore.hooks, which logs no requests.
_LOGGERS = ("botocore.endpoint", "botocore.parsers", "botocore.retries", "botocore.regions", "urllib3")
# An answer of STS or of a credential service has keys.
_KEYS = re.compile(r"SecretAccessKey|SessionToken|accessToken|\"Token\"")
_SIGNED = re.compile(
    r"(?i)(x-amz-security-token|authorization)(['\"]?\s*[:=]\s*)(b?'[^']*'|b?\"[^\"]*\"|\S+)"
)


class _WithoutCredentials(logging.Formatter):
    """Formats a record without the signature of a request."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if _KEYS.search(text):
            return f"{record.name}: an answer with credentials, which is not shown"
        return _SIGNED.sub(r"\1\2***", text)


def _debug() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutCredentials("%(asctime)s %(name)s %(message)s"))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.propagate = False
