"""The wait commands, for example ``wait-image-set-version``: the gate, at a prompt."""

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
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.text import one_line

# A line a minute shows in a log that the wait is alive.
SECONDS_BETWEEN_SAME_LINES = 60.0


@command
def wait(args: argparse.Namespace, out: TextIO, service: Waitable) -> None:
    """Wait for a version of an image set or image, for a job, or for several."""
    key = service.key.name
    identity = {name: getattr(args, name) for name in service.identity_names}
    identity[key] = _one_or_all(identity[key])
    if service.has_versions:
        args.version = _one_or_all(args.version)
    gate = Watch(service, identity, GateSettings.of(service, args)).gate()
    hook = hook_of(service.hook_class(), args)
    if gate.first is not None:
        gate.check_region(hook.console_address(service.describe(gate.first))["region_name"])
    _wait(gate, hook, args, out)


def _one_or_all(values: list[str] | None) -> Any:
    """Return a single value as itself: the gate treats one and a list of one differently."""
    return values[0] if values and len(values) == 1 else values


def _wait(gate: Gate, hook: ImageVersionHook, args: argparse.Namespace, out: TextIO) -> None:
    started = time.monotonic()
    with _display(args) as display:
        while not _opens(gate, hook, display):
            left = started + args.timeout - time.monotonic()
            if left <= 0:
                raise TimedOutError(f"Timed out after {args.timeout:g} s. {one_line(gate.last_seen)}")
            pause = min(args.interval, left)
            display.waiting(f"Waiting until {gate.wait_until}: {gate.news}", gate.about, pause)
            time.sleep(pause)
    took = time.monotonic() - started
    out.write(f"Open after {took:.0f} s, waited until {gate.wait_until}: {gate}\n")


def _opens(gate: Gate, hook: ImageVersionHook, display: Display) -> bool:
    """Poll once; an error that may pass is shown and waited out, as a sensor does."""
    try:
        return gate.poll(hook)
    except AwsCallError as error:
        if not error.transient:
            raise
        display.trouble(f"{error.message} This may pass. {error.about}")
        return False


# --- the display ----------------------------------------------------------------------------------------


class Display(AbstractContextManager["Display"], Protocol):
    """Shows a wait on stderr; stdout has only the outcome."""

    def waiting(self, news: str, about: str, pause: float) -> None:
        """Show what is waited for, and the seconds to the next poll."""

    def trouble(self, text: str) -> None:
        """Show an error that may pass."""


def _display(args: argparse.Namespace) -> Display:
    color: dict[str, Any] = {"on": {"force_terminal": True}, "off": {"no_color": True}}.get(args.color, {})
    console = Console(stderr=True, highlight=False, **color)
    # Not rich's own check, for which FORCE_COLOR makes every log a terminal.
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return LiveLine(console)
    return Lines()


class Lines(Display):
    """A line for each change, and one a minute without a change."""

    def __init__(self) -> None:
        self._shown = ""
        self._shown_at = float("-inf")

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def waiting(self, news: str, about: str, pause: float) -> None:
        """Write a line for a change, or after a minute."""
        now = time.monotonic()
        if news != self._shown or now - self._shown_at >= SECONDS_BETWEEN_SAME_LINES:
            self._shown, self._shown_at = news, now
            _line(f"{news}, next poll in {pause:.0f} s{f': {about}' if about else ''}")

    def trouble(self, text: str) -> None:
        """Write a line."""
        _line(text)


def _line(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", file=sys.stderr, flush=True)  # noqa: T201


class LiveLine(Display):
    """
    One line that counts, in as many rows as it needs, with errors above it.

    :param console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ExitStack()
        self._started = time.monotonic()
        self._news, self._about = "Polling AWS", ""
        self._next_poll: float | None = None
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._open.enter_context(
            Live(get_renderable=self._drawn, console=self._console, transient=True, refresh_per_second=8)
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        self._open.close()

    def waiting(self, news: str, about: str, pause: float) -> None:
        """Change the line."""
        self._news, self._about, self._next_poll = news, about, time.monotonic() + pause

    def trouble(self, text: str) -> None:
        """Write a permanent line above the one that counts."""
        self._console.print(Text(one_line(text)), soft_wrap=True)

    def _drawn(self) -> Spinner:
        now = time.monotonic()
        elapsed = f"{int(now - self._started) // 60}:{int(now - self._started) % 60:02}"
        left = "" if self._next_poll is None else f" · next poll in {max(0.0, self._next_poll - now):.0f} s"
        about = f" · {self._about}" if self._about else ""
        self._spinner.update(text=Text(f"{elapsed} · {self._news}{left}{about}"))
        return self._spinner
