"""
One measured process: many triggers on one loop, started as Airflow's triggerer starts them.

Reads what to do from its first argument, says ``started`` on its standard output, then answers each line on
its standard input with a line of JSON, until that is closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import waiting_ways

TICK = 0.005
# Shorter ones are the machine's.
A_STALL = 0.02


class Stalls:
    """How late the loop is for a task that only sleeps, and how much of it Python's collector took."""

    def __init__(self) -> None:
        self._collecting_since: float | None = None
        self._collected = 0.0
        gc.callbacks.append(self._collecting)
        self.reset()

    def reset(self) -> None:
        self.worst = self.total = self.worst_besides = self.worst_collection = 0.0

    def _collecting(self, phase: str, _: Any) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
            return
        took = self._under_way()
        self._collecting_since = None
        self._collected += took
        self.worst_collection = max(self.worst_collection, took)

    def _under_way(self) -> float:
        # Another thread's collection lets the loop go on before it comes to say that it has ended.
        return 0.0 if self._collecting_since is None else time.perf_counter() - self._collecting_since

    async def watch(self) -> None:
        while True:
            before, collected = time.perf_counter(), self._collected + self._under_way()
            await asyncio.sleep(TICK)
            late = time.perf_counter() - before - TICK
            self.worst = max(self.worst, late)
            collected = self._collected + self._under_way() - collected
            self.worst_besides = max(self.worst_besides, late - max(0.0, collected))
            self.total += late if late > A_STALL else 0.0


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def measured(order: dict[str, Any]) -> None:
    """Start the triggers, and measure on each line of the standard input."""
    loop = asyncio.get_running_loop()
    make = getattr(waiting_ways, order["way"])(order["service"])
    names = waiting_ways.names(order["service"], order["count"])
    gc.collect()
    if order["frozen"]:
        gc.freeze()
    base = resident_mb()
    stalls = Stalls()
    tasks = [asyncio.create_task(stalls.watch())]
    await asyncio.sleep(0.2)
    stalls.reset()
    say("started")
    for what in [names] if order["one_gate"] else names:
        tasks.append(asyncio.create_task(_ended(make(what))))
        await asyncio.sleep(0)
    cpu = time.process_time()
    while await loop.run_in_executor(None, sys.stdin.readline):
        say(
            json.dumps(
                {
                    "rss_mb": resident_mb() - base,
                    "cpu": time.process_time() - cpu,
                    "worst": stalls.worst,
                    "besides": stalls.worst_besides,
                    "collection": stalls.worst_collection,
                    "total": stalls.total,
                }
            )
        )
        stalls.reset()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(trigger: Any) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"nothing is ever ready here, and a trigger ended: {event}")


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if order["at_once"]:
        waiting_ways.first_poll_at_once()
    asyncio.run(measured(order))
    # Threads of a client that is closing have nothing to add.
    os._exit(0)
