"""
One measured process: gates on the next version of many image sets, on one loop, as a triggerer has them.

Reads how many from its first argument. Each line on its standard output is a JSON object: an event with its
time and when the version had settled, or the answer to a line on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from datetime import datetime
from typing import Any

from benchmarks.waiting_ways import DATASTORE_ID

INTERVAL = 60.0
BUDGET = 20.0
# Until all have been polled twice; with the default budget that would take a quarter of an hour.
LIFTED = 1000.0


def image_set(number: int) -> str:
    """The id of an image set that is waited for."""
    return f"{number:032d}"


def noise(number: int) -> str:
    """The id of an image set that nobody waits for."""
    return f"n{number:031d}"


async def measured(count: int) -> None:
    """Start the gates, and answer until the standard input is closed."""
    from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger

    loop = asyncio.get_running_loop()
    tasks = []
    for number in range(count):
        trigger = HealthImagingImageSetVersionTrigger(
            datastore_id=DATASTORE_ID, image_set_id=image_set(number), version=2, poke_interval=INTERVAL
        )
        tasks.append(asyncio.create_task(_event(trigger)))
        await asyncio.sleep(0)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line == "limit\n":
            _limit()
        say({"state": _state()})
    for task in tasks:
        task.cancel()


async def _event(trigger: Any) -> None:
    async for event in trigger.run():
        if event.payload["status"] != "open":
            raise RuntimeError(f"a gate did not open: {event.payload}")
        settled = datetime.fromisoformat(event.payload["entry"]["updatedAt"]).timestamp()
        say({"event": [time.time(), settled]})


def _pollers() -> list[Any]:
    from airflow_imgver.triggers import clients

    shared = [each for state in clients._loops.values() for each in state.pollers.values()]
    futures = [each._poller.future for each in shared]
    return [future.result() for future in futures if future.done()]


def _state() -> dict[str, int]:
    """How many have been polled, and how many of them a search is relied on for."""
    targets = [target for poller in _pollers() for target in poller._targets.values()]
    return {
        "polled": sum(target.asked > 0 for target in targets),
        "searched_for": sum(target.interests[0].is_searched_for for target in targets),
    }


def _limit() -> None:
    """Set the default budget, as it would have been from the beginning."""
    from airflow_imgver.hooks.rate import AdaptiveRate

    for poller in _pollers():
        for operation in ("ListImageSetVersions", "SearchImageSets"):
            budget = poller._hook.budget(operation)
            with budget._lock:
                budget.per_second = BUDGET
                budget._rate = AdaptiveRate(BUDGET, budget._clock())
                budget._next_turn = 0.0


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(measured(int(sys.argv[1])))
    os._exit(0)
