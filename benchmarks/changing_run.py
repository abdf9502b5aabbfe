"""One measured run: an embedded AWS, a process that waits, and what changes meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.changing_process import LIFTED, image_set, noise
from benchmarks.served import Stub
from benchmarks.waiting_run import CHECKOUT, environment
from benchmarks.waiting_ways import DATASTORE_ID

IN_TURN, DRIVEN = "in turn", "driven by a search"
NEVER = 1e8
# How long an update takes; its beginning and its end both move updatedAt.
UPDATE_SECONDS = 10.0
# Of a minute: what is waited for changes at this rate, and as much beside it.
SHARE_A_MINUTE = 0.01
# Before the first measured change, to have the search prove itself.
FIRST_CHANGES = 20
LONGEST_START = 900.0
LONGEST_END = 700.0


@dataclass(frozen=True)
class Run:
    """
    One process to measure.

    :param way: how it waits.
    :param count: how many gates it has.
    :param seconds: how long there are changes.
    :param lag: how long after a change the index of AWS's search shows it.
    """

    way: str
    count: int
    seconds: float
    lag: float = 0.0

    @property
    def name(self) -> str:
        """How it is named in the table."""
        index = {0.0: "", NEVER: ", a search that never finds anything"}.get(
            self.lag, f", the index {self.lag:g} s late"
        )
        return f"{self.count:,} gates, {self.way}{index}"


@dataclass
class Figures:
    """What a run showed."""

    run: Run
    changes: int
    delays: list[float]
    lists: float
    searches: float

    @property
    def average(self) -> float:
        """Seconds from settled to the event, on average."""
        return mean(self.delays)

    @property
    def p95(self) -> float:
        """Of 95 of a hundred changes, no more."""
        return sorted(self.delays)[int(0.95 * (len(self.delays) - 1))]

    @property
    def lost(self) -> int:
        """How many changes no event came of."""
        return self.changes - len(self.delays)

    @property
    def a_second(self) -> float:
        """Requests a second while there were changes."""
        return self.lists + self.searches


@dataclass
class _Waiting:
    """The process that waits."""

    process: subprocess.Popen[str]
    events: list[list[float]] = field(default_factory=list)
    states: list[dict[str, int]] = field(default_factory=list)

    def read(self) -> None:
        for line in self.process.stdout or ():
            said = json.loads(line) if line.startswith("{") else {}
            if "event" in said:
                self.events.append(said["event"])
            if "state" in said:
                self.states.append(said["state"])

    def ask(self, what: str = "state") -> dict[str, int]:
        assert self.process.stdin is not None
        before = len(self.states)
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        while len(self.states) == before:
            if self.process.poll() is not None:
                raise RuntimeError(f"the process ended with {self.process.returncode}")
            time.sleep(0.05)
        return self.states[-1]


def measure(run: Run) -> Figures:
    """Start all, change image sets for a while, and wait until each gate has opened."""
    with _embedded_aws(run) as aws, _waiting(run, aws) as waiting:
        client = _client(aws.url)
        order = Random(1).sample(range(run.count), run.count)
        _until(lambda: waiting.ask()["polled"] >= run.count, LONGEST_START, f"{run.name}: first polls")
        for number in order[:FIRST_CHANGES]:
            _update(client, image_set(number))
        _until(lambda: len(waiting.events) >= FIRST_CHANGES, LONGEST_START, f"{run.name}: first changes")
        if run.way == DRIVEN and run.lag < NEVER:
            enough = 0.98 * (run.count - FIRST_CHANGES)
            _until(lambda: waiting.ask()["searched_for"] >= enough, LONGEST_START, f"{run.name}: trust")
        waiting.ask("limit")
        waiting.events.clear()
        before, begun = _calls(aws), time.monotonic()
        changes = _change(client, run, order[FIRST_CHANGES:])
        after, seconds = _calls(aws), time.monotonic() - begun
        _until(lambda: len(waiting.events) >= changes, LONGEST_END, f"{run.name}: events")
        return Figures(
            run=run,
            changes=changes,
            delays=[at - settled for at, settled in waiting.events],
            lists=(after[0] - before[0]) / seconds,
            searches=(after[1] - before[1]) / seconds,
        )


def _change(client: Any, run: Run, order: list[int]) -> int:
    """Change what is waited for, and as much beside it, evenly; return how many gates that opens."""
    pause = 60 / (run.count * SHARE_A_MINUTE)
    changes = int(run.seconds / pause)
    begun = time.monotonic()
    for number, which in enumerate(order[:changes]):
        time.sleep(max(0.0, begun + number * pause - time.monotonic()))
        _update(client, image_set(which))
        _update(client, noise(which))
    return changes


def _update(client: Any, one: str) -> None:
    client.update_image_set_metadata(
        datastoreId=DATASTORE_ID,
        imageSetId=one,
        latestVersionId="1",
        updateImageSetMetadataUpdates={"revertToVersionId": "1"},
    )


def _calls(aws: Stub) -> tuple[int, int]:
    counted = aws.ask("/_imgver/calls").get("medical-imaging", {})
    return counted.get("ListImageSetVersions", 0), counted.get("SearchImageSets", 0)


def _until(reached: Any, longest: float, what: str) -> None:
    begun = time.monotonic()
    while not reached():
        if time.monotonic() - begun > longest:
            raise RuntimeError(f"{what} took more than {longest:.0f} s")
        time.sleep(1)


@contextmanager
def _embedded_aws(run: Run) -> Iterator[Stub]:
    entry = {
        "versionId": "1",
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "CREATED",
        "createdAt": 1_680_027_126.436,
        "updatedAt": 1_680_027_126.436,
    }
    ids = [name(number) for number in range(run.count) for name in (image_set, noise)]
    state = {"healthimaging": {DATASTORE_ID: {each: [{"imageSetId": each, **entry}] for each in ids}}}
    with tempfile.TemporaryDirectory(prefix="imgver-changing-") as folder:
        path = Path(folder) / "state.json"
        path.write_text(json.dumps(state))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "airflow_imgver.emulator", "--port", "0", "--state", str(path)),
                *("--transition-seconds", str(UPDATE_SECONDS), "--index-lag", str(run.lag)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line:
                raise RuntimeError(f"the embedded AWS ended with {process.wait(10)}")
            yield Stub(line.rsplit(" ", 1)[-1])
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


@contextmanager
def _waiting(run: Run, aws: Stub) -> Iterator[_Waiting]:
    with tempfile.TemporaryDirectory(prefix="imgver-changing-") as home:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.changing_process", str(run.count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=CHECKOUT,
            env={
                **environment(aws, home, budget=LIFTED),
                "AIRFLOW__IMGVER__CHANGE_SEARCH": str(run.way == DRIVEN),
            },
        )
        waiting = _Waiting(process)
        thread = threading.Thread(target=waiting.read, daemon=True)
        thread.start()
        try:
            yield waiting
        finally:
            process.kill()
            process.wait(10)
            thread.join(10)


def _client(url: str) -> Any:
    return boto3.client(
        "medical-imaging",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(inject_host_prefix=False, proxies={}),
    )
