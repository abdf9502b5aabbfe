"""Events while triggerers are killed and restarted: none is lost, and each reaches a Dag run."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple

import pytest
from event_sources import QUEUE_URL, Changes, Fact, create_queue, image_sets, left_in
from event_watch import (
    KILLS,
    RESTART,
    Stored,
    Watched,
    doubled,
    interrupt,
    pause,
    sensor_facts,
    watching,
)
from figures import Figures
from production import Production

# How often a triggerer is interrupted: docs/reliability.md has the figures of more than the default.
INTERRUPTIONS = int(os.environ.get("IMGVER_EVENT_INTERRUPTIONS", "8"))
# A triggerer is killed in one of the ways, then one is restarted.
KINDS = list(islice((kind for kill in cycle(KILLS) for kind in (kill, RESTART)), INTERRUPTIONS))
# With more than the default, Airflow's own way is beside ours.
COMPARED = INTERRUPTIONS > 8
CHANGES = 150
PER_SECOND = 2
IMAGE_SETS = 40
DRAIN_SECONDS = 180
# From an event to Airflow's confirmation, and to the next event where only so many may be on their way.
LONGEST_CYCLE_SECONDS = 4
TAKEN_TWICE_AT_MOST = 0.02

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("usual_triggerers")]


def test_a_task_takes_the_events_that_airflow_attaches_to_no_run(stack: Production, figures: Figures) -> None:
    keys = [f"key-{number}" for number in range(8)]
    stack.api.set_paused("by_hand", paused=False)
    try:
        by_hand = Watched(stack, "by_hand")
        events = [{"key": key, "phase": "ready", "version": 1, "changed_at": "2026"} for key in keys]
        # At once: what came while the run of the first one is active waits for it.
        with ThreadPoolExecutor(len(events)) as threads:
            list(threads.map(partial(stack.api.create_asset_event, "by_hand"), events))
        stack.wait_for("the runs of the events", lambda: by_hand.runs() and by_hand.idle(), DRAIN_SECONDS)
    finally:
        stack.api.set_paused("by_hand", paused=True)

    unattached = len({event.id for event in by_hand.stored()} - by_hand.attached())
    figures.tell(
        f"{len(keys)} events at once, and none after them: {len(by_hand.runs())} Dag runs, to which Airflow "
        f"attached {len(keys) - unattached} of them; a task with new_events took all"
    )
    assert by_hand.taken() == dict.fromkeys(keys, 1)
    assert unattached, "Airflow attaches all of them: docs/events.md can say from which version on"


def all_stored(watched: list[Watched], made: set[Fact]) -> bool:
    """Whether each change was stored for each asset."""
    return all(made <= {event.fact for event in each.stored()} for each in watched)


def test_no_change_is_lost_while_triggerers_are_killed_and_restarted(
    stack: Production, figures: Figures
) -> None:
    stack.aws.begin(image_sets("killed", IMAGE_SETS))
    url = create_queue(stack.aws, "image-sets")
    stack.aws.settle(0.2)
    changes = Changes(stack.aws, "killed", IMAGE_SETS)
    moments = random.Random(1)
    if COMPARED:
        create_queue(stack.aws, "sqs-sensor")
    names = ("from_queue", "from_datastore", *(["from_sqs_sensor"] if COMPARED else []))
    with watching(stack, *names) as every:
        watched, sensors = every[:2], every[2:]
        began = time.monotonic()
        with changes.going_on(PER_SECOND):
            for kind in KINDS:
                # Not always just after events were stored, when Airflow has not confirmed them.
                pause(stack, moments.uniform(0, LONGEST_CYCLE_SECONDS))
                seen = [each.count() for each in watched]
                interrupt(stack, kind)
                stack.wait_for(
                    "events after an interruption",
                    lambda seen=seen: all(
                        each.count() > count for each, count in zip(watched, seen, strict=True)
                    ),
                    DRAIN_SECONDS,
                    tell=lambda: f"{[each.count() for each in watched]} of {len(changes.made)}",
                )
            stack.wait_for("changes enough", lambda: len(changes.made) >= CHANGES, 1200)
        took = time.monotonic() - began
        made = set(changes.made)
        stack.wait_for(
            "all events",
            lambda: all_stored(watched, made),
            # A triggerer that lives for a quarter of a minute falls behind.
            DRAIN_SECONDS * 4,
            tell=lambda: f"{[each.count() for each in watched]} of {len(made)}",
        )
        stack.wait_for("no message left", lambda: left_in(stack.aws, url) == 0, DRAIN_SECONDS)
        stack.wait_for("all runs to end", lambda: all(each.idle() for each in watched), DRAIN_SECONDS)

        found = [_found(each, made) for each in watched]
        for each in sensors:
            figures.tell(_of_the_sensor(stack, each, made))
    kinds = ", ".join(f"{KINDS.count(kind)} {kind}" for kind in (*KILLS, RESTART))
    figures.tell(
        f"Events of {len(made)} changes, {INTERRUPTIONS} interruptions of the triggerer ({kinds}) in "
        f"{took:.0f} s: " + "; ".join(map(str, found))
    )
    for each in found:
        assert each.others == each.lost == each.taken_by_none == 0
        assert each.taken_twice <= TAKEN_TWICE_AT_MOST * len(made)


def _of_the_sensor(stack: Production, sensor: Watched, made: set[Fact]) -> str:
    url = QUEUE_URL.format(name="sqs-sensor")
    stack.wait_for("the sensor's messages", lambda: left_in(stack.aws, url) == 0, DRAIN_SECONDS)
    pause(stack, 5)
    facts = sensor_facts(sensor.stored())
    again = sum(count - 1 for fact, count in facts.items() if fact in made)
    return f"SqsSensorTrigger in the same run: lost {len(made - set(facts))} of {len(made)}, doubled {again}"


class Found(NamedTuple):
    """What became of the changes of one asset."""

    name: str
    stored: int
    lost: int
    others: int
    doubled: int
    again_after: float
    unattached: int
    taken_by_none: int
    taken_twice: int
    runs: int

    def __str__(self) -> str:
        return (
            f"{self.name} lost {self.lost}, doubled {self.doubled} of {self.stored} stored events, "
            f"{self.again_after:.0f} s after the first (median), which {self.runs} Dag runs took: "
            f"{self.taken_by_none} taken by none, {self.taken_twice} taken twice, {self.unattached} attached "
            "to none by Airflow"
        )


def _again_after(stored: list[Stored]) -> list[float]:
    first: dict[str, Stored] = {}
    return [
        (event.at - first[event.payload["key"]].at).total_seconds()
        for event in stored
        if first.setdefault(event.payload["key"], event) is not event
    ]


def _found(watched: Watched, made: set[Fact]) -> Found:
    stored, taken = watched.stored(), watched.taken()
    facts = {event.fact for event in stored}
    return Found(
        watched.name,
        stored=len(stored),
        lost=len(made - facts),
        others=len(facts - made),
        doubled=doubled(stored),
        again_after=median(_again_after(stored) or [0.0]),
        unattached=len({event.id for event in stored} - watched.attached()),
        taken_by_none=len({event.payload["key"] for event in stored} - set(taken)),
        taken_twice=sum(taken.values()) - len(taken),
        runs=len(watched.runs()),
    )
