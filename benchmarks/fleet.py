"""
Processes that know nothing of each other, and one quota: what is throttled, what answered, how equally.

``python -m benchmarks.fleet`` runs fleets of processes with 2,000 waits each against servers that enforce 25
requests a second with a burst of 50, the ways side by side, prints the table and writes ``fleet.md`` and
``fleet.png``. It takes a quarter of an hour.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.fleet_report import CHART, COLUMNS, TABLE, cells, verdicts, write
from benchmarks.fleet_run import ADAPTIVE, CHANGES, FIXED, OURS, SECONDS, Figures, Fleet
from benchmarks.fleet_stub import SEEN
from benchmarks.served import Stub, served
from benchmarks.waiting_run import CHECKOUT, environment

# Side by side, because a machine that is busy is then busy for all ways alike.
GROUPS: tuple[tuple[Fleet, ...], ...] = (
    (*(Fleet(way, 1) for way in (FIXED, OURS, ADAPTIVE)), *CHANGES),
    tuple(Fleet(way, count) for count in (2, 4) for way in (FIXED, OURS, ADAPTIVE)),
    tuple(Fleet(way, 8) for way in (FIXED, OURS, ADAPTIVE)),
)
# A fork has nothing to import; reading botocore's model takes it a second or two.
HEADSTART = 2.0


@dataclass
class _Running:
    """A fleet, its server and its process."""

    fleet: Fleet
    stub: Stub
    process: subprocess.Popen[str]


def main() -> int:
    """Return the exit status; a missed aim is reported and is not a failure."""
    all_figures: list[Figures] = []
    for group in GROUPS:
        for figures in measure(group):
            all_figures.append(figures)
            named = zip(COLUMNS, cells(figures), strict=True)
            print("; ".join(f"{name}: {cell}" for name, cell in named), flush=True)
    write(all_figures)
    print("\n".join(verdicts(all_figures)))
    print(f"Written to benchmarks/{TABLE.name} and benchmarks/{CHART.name}.")
    return 0


def measure(fleets: Sequence[Fleet]) -> list[Figures]:
    """Run fleets side by side, each against a server of its own."""
    with ExitStack() as stack:
        running = [stack.enter_context(_running(fleet)) for fleet in fleets]
        for each in running:
            _read(each, "ready\n")
        start = time.monotonic() + HEADSTART
        for each in running:
            assert each.process.stdin is not None
            each.process.stdin.write(f"{start}\n")
            each.process.stdin.flush()
        time.sleep(HEADSTART + SECONDS)
        return [Figures.of(each.fleet, start, each.stub.ask(SEEN)) for each in running]


def _read(running: _Running, expected: str) -> None:
    assert running.process.stdout is not None
    while (line := running.process.stdout.readline()) and line != expected:
        pass
    if not line:
        raise RuntimeError(f"{running.fleet.name}: the process ended with {running.process.wait(10)}")


@contextmanager
def _running(fleet: Fleet) -> Iterator[_Running]:
    with served("benchmarks.fleet_stub") as stub, tempfile.TemporaryDirectory(prefix="imgver-fleet-") as home:
        order = {"adapts": fleet.way == OURS, "lives": fleet.lives}
        more = {"retries": {"mode": "adaptive"}} if fleet.way == ADAPTIVE else {}
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.fleet_process", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=CHECKOUT,
            env=environment(stub, home, budget=20.0, **more),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield _Running(fleet, stub, process)
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


if __name__ == "__main__":
    sys.exit(main())
