"""``wait-image-set-version`` and ``wait-image-version``: the gate, at a prompt."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from airflow_imgver.cli.connection import hook_of
from airflow_imgver.cli.running import TimedOutError, command
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.gate import Gate
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.versions import one_line

# A line a minute tells a log that the wait is alive.
SECONDS_BETWEEN_SAME_LINES = 60.0


@command
def wait_image_set_version(args: argparse.Namespace, out: TextIO) -> None:
    """Wait for a version of a HealthImaging image set, or of several."""
    identity = {"datastore_id": args.datastore_id, "image_set_id": _one_or_all(args.image_set_id)}
    gate = _gate(HealthImagingHook, identity, args, allow_read_only=args.allow_read_only)
    _wait(gate, hook_of(HealthImagingHook, args), args, out)


@command
def wait_image_version(args: argparse.Namespace, out: TextIO) -> None:
    """Wait for a version of a SageMaker AI image, or of several."""
    gate = _gate(SageMakerImageHook, {"image_name": _one_or_all(args.image_name)}, args)
    _wait(gate, hook_of(SageMakerImageHook, args), args, out)


def _gate(
    hook_class: type[ImageVersionHook], identity: dict[str, Any], args: argparse.Namespace, **rule: Any
) -> Gate:
    return Gate(
        hook_class,
        identity,
        version=_one_or_all(args.version),
        wait_until=args.wait_until,
        not_found_retries=args.not_found_retries,
        fail_fast=args.fail_fast,
        **rule,
    )


def _one_or_all(values: list[str] | None) -> Any:
    """Give the only one as itself: the gate tells one from a list of one."""
    return values[0] if values and len(values) == 1 else values


def _wait(gate: Gate, hook: ImageVersionHook, args: argparse.Namespace, out: TextIO) -> None:
    started = time.monotonic()
    with _progress(args) as progress:
        while not _opens(gate, hook, progress):
            left = started + args.timeout - time.monotonic()
            if left <= 0:
                raise TimedOutError(f"Timed out after {args.timeout:g} s. Last seen: {one_line(str(gate))}")
            pause = min(args.interval, left)
            progress.waiting(f"Waiting until {args.wait_until}: {gate}", pause)
            time.sleep(pause)
    took = time.monotonic() - started
    out.write(f"Open after {took:.0f} s, waited until {args.wait_until}: {gate}\n")


def _opens(gate: Gate, hook: ImageVersionHook, progress: Progress) -> bool:
    """Look once; what may pass is told and waited out, as a sensor does."""
    try:
        return gate.look(hook)
    except AwsCallError as error:
        if not error.transient:
            raise
        progress.trouble(f"{error} This may pass.")
        return False


# --- what a person sees meanwhile -----------------------------------------------------------------------


class Progress(AbstractContextManager["Progress"], Protocol):
    """Tells of a wait on stderr; stdout has only the outcome."""

    def waiting(self, words: str, pause: float) -> None:
        """Tell what is waited for, and that the next look is so many seconds away."""

    def trouble(self, words: str) -> None:
        """Tell of an error that may pass."""


def _progress(args: argparse.Namespace) -> Progress:
    color: dict[str, Any] = {"on": {"force_terminal": True}, "off": {"no_color": True}}.get(args.color, {})
    console = Console(stderr=True, highlight=False, **color)
    # Not rich's word for a terminal, which FORCE_COLOR makes of every log.
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return LiveLine(console)
    return Lines()


class Lines(Progress):
    """A line where something changed, and one a minute where nothing did."""

    def __init__(self) -> None:
        self._told = ""
        self._told_at = float("-inf")

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def waiting(self, words: str, pause: float) -> None:
        """Write a line where there is reason to."""
        now = time.monotonic()
        if words != self._told or now - self._told_at >= SECONDS_BETWEEN_SAME_LINES:
            self._told, self._told_at = words, now
            _line(f"{words}; next look in {pause:.0f} s")

    def trouble(self, words: str) -> None:
        """Write a line."""
        _line(words)


def _line(words: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {words}", file=sys.stderr, flush=True)  # noqa: T201


class LiveLine(Progress):
    """
    One line that counts, as many rows as it needs, with what went wrong above it.

    :param console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ExitStack()
        self._started = time.monotonic()
        self._words = "Asking AWS"
        self._next_look: float | None = None
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._open.enter_context(
            Live(get_renderable=self._drawn, console=self._console, transient=True, refresh_per_second=8)
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._open.close()

    def waiting(self, words: str, pause: float) -> None:
        """Change the line."""
        self._words, self._next_look = words, time.monotonic() + pause

    def trouble(self, words: str) -> None:
        """Write a line that stays, above the one that counts."""
        self._console.print(Text(one_line(words)), soft_wrap=True)

    def _drawn(self) -> Spinner:
        now = time.monotonic()
        elapsed = f"{int(now - self._started) // 60}:{int(now - self._started) % 60:02}"
        left = "" if self._next_look is None else f"next look in {max(0.0, self._next_look - now):.0f} s · "
        self._spinner.update(text=Text(f"{elapsed} · {left}{self._words}"))
        return self._spinner
