"""Child processes with a log file each, which are ended with everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil  # type: ignore[import-untyped]  # Airflow brings it, without types


class StackError(RuntimeError):
    """A part of the stack did not start, or ended by itself; the message names its log."""


@dataclass(frozen=True)
class Child:
    """One process, which leads a session of its own, and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def members(self) -> list[psutil.Process]:
        """The process and all that it started."""
        return [process for process in psutil.process_iter() if _session(process.pid) == self.process.pid]

    def died(self) -> StackError:
        """Return the error for a process that ended by itself, with the last lines of its log."""
        last = "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-15:])
        return StackError(
            f"{self.name} ended with status {self.process.returncode}. Its log is {self.log}:\n{last}"
        )


class Processes:
    """
    The children of one stack.

    Airflow's components start processes in new process groups, but in their own session. So each child gets a
    session, which can be ended as a whole.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str], folder: Path) -> None:
        self._logs = logs
        self.environment = dict(environment)
        self._folder = folder
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str, **environment: str) -> Child:
        """Start `python -m` with these arguments and these additional environment variables."""
        return self.start_program(name, sys.executable, "-m", *arguments, **environment)

    def start_program(self, name: str, *command: str, user: str | None = None, **environment: str) -> Child:
        """Start a program; it appends to the log of an earlier one of the same name."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment | environment,
                cwd=self._folder,
                start_new_session=True,
                user=user,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def run(self, name: str, *arguments: str) -> None:
        """Run `python -m` with these arguments to its end; raise where it fails."""
        child = self.start(name, *arguments)
        child.process.wait()
        self._children.remove(child)
        if child.process.returncode:
            raise child.died()

    def check(self) -> None:
        """Raise where a child has ended that should be running."""
        for child in self._children:
            if child.process.poll() is not None:
                raise child.died()

    def end(self, child: Child, number: int = signal.SIGTERM, patience: float = 30) -> None:
        """End one child by a signal, and kill it where it still runs after `patience` seconds."""
        self._children.remove(child)
        members = child.members()
        if child.process.poll() is None:
            child.process.send_signal(number)
        try:
            child.process.wait(patience)
        except subprocess.TimeoutExpired:
            child.process.kill()
        _kill([*members, *child.members()])
        child.process.wait()

    def kill(self, child: Child) -> None:
        """Kill one child and all that it started, as the loss of its machine would."""
        self._children.remove(child)
        _kill(child.members())
        child.process.wait()

    def gone(self) -> list[Child]:
        """Remove and return the children that ended by themselves."""
        gone = [child for child in self._children if child.process.poll() is not None]
        for child in gone:
            self._children.remove(child)
            _kill(child.members())
        return gone

    def stop(self, patience: float = 10) -> None:
        """End every child and all that they started; kill those that run after `patience` seconds."""
        with _uninterrupted():
            self._stop(patience)

    def _stop(self, patience: float) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + patience
        while any(child.process.poll() is None for child in self._children) and time.monotonic() < deadline:
            time.sleep(0.05)
        _kill(self._members())
        for child in self._children:
            child.process.wait()
        self._children.clear()

    def _members(self) -> list[psutil.Process]:
        sessions = {child.process.pid for child in self._children}
        return [process for process in psutil.process_iter() if _session(process.pid) in sessions]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore a second Ctrl-C, which would leave processes running."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_on_termination() -> None:
    """Let SIGTERM and a closed terminal end this process as Ctrl-C does: with everything stopped."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
