"""A wait has few objects: Python's collector visits all of them, and blocks the loop meanwhile."""

from __future__ import annotations

import asyncio
import gc

import pytest
from waits import BUSY, FastLoop, aws, cancelled_at_the_end, image_sets, in_fast_time, listing, trigger

WAITS = 300
# With those of Airflow's trigger and its logger, and of asyncio's task and future.
MOST = 38


def test_a_wait_that_has_been_polled_has_few_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> float:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:

            def tracked() -> int:
                timeline.stub.asked.clear()
                timeline.polls.clear()
                gc.collect()
                return len(gc.get_objects())

            with cancelled_at_the_end(*(trigger(one, poke_interval=60) for one in image_sets(20))):
                await asyncio.sleep(200)
                before = tracked()
                more = [trigger(one, poke_interval=60) for one in image_sets(WAITS, first=100)]
                with cancelled_at_the_end(*more):
                    await asyncio.sleep(200)
                    return (tracked() - before) / WAITS

    assert in_fast_time(run) <= MOST
