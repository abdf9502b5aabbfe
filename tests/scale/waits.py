"""Shared by the tests of many waits: triggers on a stub AWS, and a loop whose hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from support import DATASTORE, SECRET, Answer, Asked, StubAws, connection_json, image_set_entry, stub_aws

from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger

BUDGET = "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND"
READY = image_set_entry(1)
BUSY = image_set_entry(1, "COPYING", "LOCKED")
FAILED = image_set_entry(1, "COPY_FAILED", message="no room for the copy")


def image_sets(count: int, first: int = 0) -> list[str]:
    """Different image set ids."""
    return [f"{number:032d}" for number in range(first, first + count)]


def listing(*entries: Mapping[str, Any]) -> Answer:
    """One page of a listing."""
    return Answer({"imageSetPropertiesList": [dict(entry) for entry in entries]})


def refusal(code: str, message: str = "", status: int = 400) -> Answer:
    """An error, as AWS's REST services send it."""
    return Answer(raw=json.dumps({"__type": code, "message": message}).encode(), status=status)


def asked_about(asked: Asked) -> str:
    """The image set of a request."""
    return asked.path.split("/")[4]


def is_search(asked: Asked) -> bool:
    """Whether a request searches for image sets."""
    return asked.path.endswith("/searchImageSets")


def found(*ids: str, token: str | None = None) -> Answer:
    """One page of a search: each image set with a patient's name, which nothing may keep."""
    summaries = [
        {
            "imageSetId": each,
            "version": 1,
            "createdAt": 1680027126.436,
            "updatedAt": 1680027126.436,
            "DICOMTags": {"DICOMPatientName": SECRET},
        }
        for each in ids
    ]
    return Answer({"imageSetsMetadataSummaries": summaries, "nextToken": token})


def trigger(image_set_id: Any, **more: Any) -> HealthImagingImageSetVersionTrigger:
    """A trigger that polls often."""
    given = {"datastore_id": DATASTORE, "image_set_id": image_set_id, "poke_interval": 0.05, **more}
    return HealthImagingImageSetVersionTrigger(**given)


async def event_of(waiting: HealthImagingImageSetVersionTrigger) -> dict[str, Any]:
    """Run a trigger to its event."""
    async for event in waiting.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


async def events_of(*waiting: HealthImagingImageSetVersionTrigger) -> list[dict[str, Any]]:
    """Run triggers side by side to their events."""
    return await asyncio.gather(*map(event_of, waiting))


@contextmanager
def cancelled_at_the_end(*waiting: HealthImagingImageSetVersionTrigger) -> Iterator[list[asyncio.Task[Any]]]:
    """Start triggers, and cancel those that still run when the block ends."""
    tasks = [asyncio.ensure_future(event_of(each)) for each in waiting]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


@dataclass
class Timeline:
    """When which image set was asked about, in the test's own time."""

    stub: StubAws
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.polls: list[tuple[float, str]] = []
        self.searches: list[tuple[float, Asked]] = []

    def of(self, image_set: str) -> list[float]:
        return [at for at, about in self.polls if about == image_set]

    def counts(self) -> Counter[str]:
        return Counter(about for _, about in self.polls)

    def busiest_second(self) -> int:
        """The most requests that any second, begun at any of them, saw."""
        times = sorted(at for at, _ in self.polls)
        return max(
            (sum(1 for other in times[i:] if other < at + 1.0) for i, at in enumerate(times)),
            default=0,
        )


@contextmanager
def aws(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Asked], Answer],
    clock: Callable[[], float] = time.monotonic,
    search: Callable[[Asked], Answer] | None = None,
) -> Iterator[Timeline]:
    """A stub AWS behind `aws_default`, and what was asked when. Without `search`, none is sent."""
    monkeypatch.setenv("AIRFLOW__IMGVER__CHANGE_SEARCH", str(search is not None))

    def recorded(asked: Asked) -> Answer:
        if search is not None and is_search(asked):
            timeline.searches.append((clock(), asked))
            return search(asked)
        timeline.polls.append((clock(), asked_about(asked)))
        return answer(asked)

    with stub_aws(recorded) as stub:
        timeline = Timeline(stub, clock)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        yield timeline


def own_threads() -> list[str]:
    """The names of this package's threads that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("imgver-")]


# --- a loop whose hours pass in milliseconds ------------------------------------------------------------


class _Selector(selectors.DefaultSelector):
    """Sets the clock forward instead of waiting for a timer; really waits only for threads."""

    loop: FastLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.in_threads:
            return super().select(0.05)
        assert timeout is not None, "all wait, and nothing will ever happen"
        self.loop.now += timeout
        return []


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which stops while a thread works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.in_threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.in_threads += 1
        future = super().run_in_executor(executor, func, *args)

        def back(_: Any) -> None:
            self.in_threads -= 1

        future.add_done_callback(back)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        # The end comes from a thread that belongs to no executor.
        self.in_threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self.in_threads -= 1


def in_fast_time(main: Callable[[FastLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine on a fast loop."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, FastLoop)
        return runner.run(main(loop))
