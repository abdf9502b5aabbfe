"""Runs the embedded AWS until a signal stops it: ``python -m airflow_imgver.emulator``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from typing import Any

DEFAULT_PORT = 5000
_REFUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """
    Serve until SIGINT or SIGTERM.

    :param arguments: The command line without the program's name; by default the process's own.
    :return: The exit code: 0 after a signal, 2 if the server could not start.
    """
    options = _parser().parse_args(arguments)
    if options.verbose:
        logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
        logging.getLogger("airflow_imgver.emulator").setLevel(logging.INFO)
    # Nothing here calls AWS, so a profile that does not exist must not prevent the start.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    # Not at the top: the import takes a second, in which an interrupt would end in a traceback.
    from airflow_imgver.emulator.server import serve
    from airflow_imgver.emulator.state_document import StateError

    try:
        with serve(
            host=options.host,
            port=options.port,
            state=options.state,
            transition_seconds=options.transition_seconds,
            events=options.events,
            index_lag=options.index_lag,
        ) as url:
            print(f"The embedded AWS answers at {url}", flush=True)  # noqa: T201
            stopped.wait()
    except StateError as error:
        return _refuse(str(error))
    except OSError as error:
        subject = error.filename or f"{options.host}:{options.port}"
        return _refuse(f"{subject}: {error.strerror or error}")
    return 0


def _refuse(reason: str) -> int:
    print(f"The embedded AWS cannot start: {reason}", file=sys.stderr)  # noqa: T201
    return _REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_imgver.emulator",
        description="An embedded AWS: HealthImaging image sets, SageMaker images, and the rest of moto.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="the port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument("--state", metavar="FILE.json", help="image sets and images to start with")
    parser.add_argument(
        "--transition-seconds",
        type=_seconds,
        metavar="S",
        help="how long a state change takes (default: zero)",
    )
    parser.add_argument(
        "--index-lag",
        type=_seconds,
        metavar="S",
        help="how long after a change SearchImageSets shows it (default: zero)",
    )
    parser.add_argument(
        "--events",
        nargs="+",
        action=_Events,
        metavar="NAME=VALUE",
        help="how events are delivered: lost, doubled, delayed, out_of_order (shares from 0 to 1), "
        "delay_seconds, form (guide, schema or mixed), seed",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="one line per request on stderr")
    return parser


class _Events(argparse.Action):
    """Reads the options of events as one, because an option alone says little."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Check the options, and keep them."""
        from airflow_imgver.emulator.event_options import event_options_from_words

        try:
            setattr(namespace, self.dest, event_options_from_words(values))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a duration")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
