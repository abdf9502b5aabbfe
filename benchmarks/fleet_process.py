"""
The processes of one fleet, each with thousands of waits, as so many triggerers.

Reads what to do from its first argument, imports what all of them need, says ``ready``, and waits for a line
with the start, in the machine's monotonic time. It forks then, so that a process is there at once; all end
when the standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from typing import Any

from benchmarks.fleet_stub import DIGITS
from benchmarks.waiting_ways import DATASTORE_ID

WAITS, INTERVAL = 2_000, 60.0


def fixed_rates() -> None:
    """The way before: throttling changes no rate, and the wait that was throttled backs off alone."""
    from airflow_imgver.hooks.budget import Budget
    from airflow_imgver.triggers.schedule import Schedule

    Budget.heed = lambda self, **_: None  # type: ignore[method-assign]
    Schedule.after_throttling = Schedule.after_error  # type: ignore[method-assign]


async def waiting(process: int) -> None:
    """Wait for versions that are never ready; together more than the option allows."""
    from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger

    async def ended(number: int) -> None:
        trigger = HealthImagingImageSetVersionTrigger(
            datastore_id=DATASTORE_ID,
            image_set_id=f"{process:0{DIGITS}d}{number:0{32 - DIGITS}d}",
            poke_interval=INTERVAL,
        )
        async for event in trigger.run():
            raise RuntimeError(f"nothing is ever ready here, and a trigger ended: {event}")

    async with asyncio.TaskGroup() as tasks:
        for number in range(WAITS):
            tasks.create_task(ended(number))


def run(process: int, start: float, lives: dict[str, float | None]) -> None:
    """One process, from its begin to its end in seconds after the start."""
    time.sleep(max(0.0, start + (lives["begins"] or 0.0) - time.monotonic()))
    if lives["ends"] is not None:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, start + lives["ends"] - time.monotonic()))
    asyncio.run(waiting(process))


def main(order: dict[str, Any]) -> None:
    """Start the fleet, and end it with the standard input."""
    # What a forked process would import; it must not run anything, or a thread would be lost in the fork.
    import airflow_imgver.hooks.healthimaging
    import airflow_imgver.triggers.healthimaging
    import airflow_imgver.triggers.wait  # noqa: F401

    if not order["adapts"]:
        fixed_rates()
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    children = []
    for process, lives in enumerate(order["lives"]):
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            run(process, start, lives)
            os._exit(0)
        children.append(child)
    sys.stdin.read()
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            os.waitpid(child, 0)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(json.loads(sys.argv[1]))
