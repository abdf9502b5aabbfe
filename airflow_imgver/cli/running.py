"""How a command runs: its exit status, its one line about an error, and what it logs."""

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
from functools import wraps
from typing import NoReturn, TextIO

import airflow
from airflow.configuration import conf
from airflow.logging_config import configure_logging

from airflow_imgver.exceptions import InvalidIdentityError, InvalidQueryError, InvalidTokenError
from airflow_imgver.gate import GATE_ERRORS

FAILED = 1
USAGE = 2
# As coreutils' timeout does.
TIMED_OUT = 124
# As a shell tells of a process that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
PIPE_CLOSED = 141

Command = Callable[[argparse.Namespace, TextIO], None]


class UsageError(ValueError):
    """Options that do not go together, or a value that cannot be one; raised before any request."""


class TimedOutError(RuntimeError):
    """The gate was not open when the time was up."""


class NotExplainedError(RuntimeError):
    """A task instance that there is not, or that is no gate, or of which nothing is known yet."""


_STATUSES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((UsageError, InvalidIdentityError, InvalidQueryError, InvalidTokenError), USAGE),
    ((TimedOutError,), TIMED_OUT),
    ((NotExplainedError, *GATE_ERRORS), FAILED),
)


def command(run: Command) -> Callable[[argparse.Namespace], NoReturn]:
    """
    Make a command of a function: it ends the process, and its errors are lines on stderr.

    :param run: takes the options, and the stdout that belongs to what it has to say. All else that prints,
        Airflow's logs or a Dag's file, prints to stderr.
    """

    @wraps(run)
    def process(args: argparse.Namespace) -> NoReturn:
        out = sys.stdout
        with redirect_stdout(sys.stderr):
            _prepare(debug=args.debug)
            sys.exit(_status_of(run, args, out))

    return process


def _status_of(run: Command, args: argparse.Namespace, out: TextIO) -> int:
    try:
        run(args, out)
        out.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends, and would complain about the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # a command is the end of the line
        return _told(error, debug=args.debug)
    return 0


def _told(error: Exception, *, debug: bool) -> int:
    """Tell of an error, and choose the exit status."""
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
    """Choose where connections come from, and what is logged."""
    # As `airflow connections get` does: outside a task, only a server process reads the metadata database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    if airflow.__version__ == "3.1.0":
        # The one release that does not read this, and looks where a worker does.
        from airflow.secrets import DEFAULT_SECRETS_SEARCH_PATH, DEFAULT_SECRETS_SEARCH_PATH_WORKERS

        DEFAULT_SECRETS_SEARCH_PATH_WORKERS[:] = DEFAULT_SECRETS_SEARCH_PATH
    # What hooks log at INFO, where the credentials come from say, is a task's business.
    conf.set("logging", "logging_level", "WARNING")
    configure_logging()
    if debug:
        _debug()
    elif not sys.warnoptions:
        # Airflow 3.2 warns of what its own amazon provider does, which nobody at a prompt can change.
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)


# --- --debug --------------------------------------------------------------------------------------------

# Not botocore.auth, which logs what it signs, nor botocore.hooks, which says nothing about a request.
_TELLING = ("botocore.endpoint", "botocore.parsers", "botocore.retries", "botocore.regions", "urllib3")
# An answer of STS or of a credential service holds keys.
_KEYS = re.compile(r"SecretAccessKey|SessionToken|accessToken|\"Token\"")
_SIGNED = re.compile(
    r"(?i)(x-amz-security-token|authorization)(['\"]?\s*[:=]\s*)(b?'[^']*'|b?\"[^\"]*\"|\S+)"
)


class _WithoutCredentials(logging.Formatter):
    """Writes a record without what signs a request."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if _KEYS.search(text):
            return f"{record.name}: an answer with credentials, which is not shown"
        return _SIGNED.sub(r"\1\2***", text)


def _debug() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutCredentials("%(asctime)s %(name)s %(message)s"))
    for name in _TELLING:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.propagate = False
