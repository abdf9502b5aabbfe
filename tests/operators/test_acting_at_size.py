"""
Mapped copies before AWS's quota: each is made once, and waits for its turn in one queue.

IMGVER_COPIES=500 copies that many; a copy takes about a second of a core.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pkgutil import resolve_name
from typing import Any

import pytest
from acting import called
from acting_workers import copy
from airflow.models.trigger import Trigger
from support import DATASTORE, image_set_entry, logged

from airflow_imgver.emulator import inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.hooks.healthimaging import HealthImagingHook

COPIES = int(os.environ.get("IMGVER_COPIES", "24"))
WORKERS = 3
# Five times AWS's quota and this package's rate, and slower than the workers.
QUOTA, RATE = 1.25, "1"
THROTTLED = {"code": "ThrottlingException", "message": "Rate exceeded", "status": 429}
SOURCES = [f"{number:032d}" for number in range(1, COPIES + 1)]


@pytest.fixture(autouse=True)
def world(aws_connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_COPIES_PER_SECOND", RATE)
    load(
        {
            "healthimaging": {
                DATASTORE: {
                    source: [{**image_set_entry(1, "CREATED"), "imageSetId": source}] for source in SOURCES
                }
            }
        }
    )
    # Others have used up the quota, so that a queue forms however slow the workers are.
    inject_fault("medical-imaging", "CopyImageSet", error=THROTTLED, times=COPIES // 2)
    inject_fault("medical-imaging", "CopyImageSet", kind="quota", per_second=QUOTA, burst=1, times=None)


async def event_of(classpath: str, kwargs: dict[str, Any]) -> Any:
    trigger = resolve_name(classpath)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs)))
    (payload,) = [event.payload async for event in trigger.run()]
    return payload


async def copied(pool: ProcessPoolExecutor, number: int, triggers: Counter[str]) -> Any:
    """Run a mapped task to its end, between the workers and this triggerer."""
    given = {
        "datastore_id": DATASTORE,
        "source_image_set_id": SOURCES[number],
        "poke_interval": 1,
        "timeout": 3_000,
    }
    kept: dict[str, Any] = {}
    resume = None
    while True:
        leg = await asyncio.get_running_loop().run_in_executor(pool, copy, number, given, kept, resume)
        if leg.trigger is None:
            return leg.value
        kept = leg.kept
        triggers[leg.trigger[0].rpartition(".")[2]] += 1
        resume = (leg.method, await event_of(*leg.trigger))


@pytest.mark.timeout(3_600)
def test_mapped_copies_end_well_and_say_how_long_their_queue_is() -> None:
    triggers: Counter[str] = Counter()

    async def all_of(pool: ProcessPoolExecutor) -> list[Any]:
        return await asyncio.gather(*(copied(pool, number, triggers) for number in range(COPIES)))

    with (
        logged() as log,
        ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        entries = asyncio.run(all_of(pool))

    made = {entry["imageSetId"] for entry in entries}
    assert {entry["ImageSetWorkflowStatus"] for entry in entries} == {"COPIED"}
    assert len(made) == COPIES
    assert set(HealthImagingHook().iter_image_set_ids(DATASTORE)) == made | set(SOURCES)
    waits = [int(found) for found in re.findall(r"(\d+) CopyImageSet requests wait in this", log.getvalue())]
    throttled = called("CopyImageSet") - COPIES
    print(  # noqa: T201  # a figure to read with -rP
        f"{COPIES} copies: AWS throttled {throttled} calls, {triggers['TurnTrigger']} waits for a turn, "
        f"at most {max(waits)} before one"
    )
    assert triggers["TurnTrigger"] == throttled == len(waits) > 0
    assert max(waits) > 1
