"""How fast an event is, and how many a second there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median

import pytest
from embedded_aws import image_set_id
from event_sources import QUEUE_URL, Changes, create_queue, events_like_eventbridge, fill, image_sets
from event_watch import Watched, sensor_facts, watching
from figures import Figures
from production import Production

CHANGES = 10
BACKLOG = int(os.environ.get("IMGVER_EVENT_BACKLOG", "200"))
# Airflow's own trigger hands out ten messages, ends, and is started again a second later.
SENSOR_BACKLOG = BACKLOG // 4
LATENCY_SECONDS = 3.0

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("usual_triggerers")]


def test_an_idle_queue_starts_a_run_within_seconds(stack: Production, figures: Figures) -> None:
    stack.aws.begin(image_sets("idle", CHANGES))
    create_queue(stack.aws, "image-sets")
    stack.aws.settle(0.2)
    changes = Changes(stack.aws, "idle", CHANGES)
    stored_after, run_after = [], []
    with watching(stack, "from_queue") as (queue,):
        for number in range(1, CHANGES + 1):
            made = changes.made[changes.make()]
            stack.wait_for(
                "the run of a change",
                lambda number=number: len(queue.runs()) >= number and queue.idle(),
                60,
                pause=0.2,
            )
            stored_after.append(queue.stored()[-1].at.timestamp() - made)
            run_after.append(queue.runs()[-1][2].timestamp() - made)
        assert queue.count() == CHANGES
    figures.tell(
        f"Events from an idle queue, {CHANGES} changes: stored {median(stored_after):.2f} s after the "
        f"change, a Dag run after {median(run_after):.2f} s (medians; at most {max(run_after):.2f} s)"
    )
    assert median(run_after) <= LATENCY_SECONDS


def test_a_backlog_is_worked_off_faster_than_by_the_sensors_trigger(
    stack: Production, figures: Figures
) -> None:
    stack.aws.begin(image_sets("backlog", BACKLOG))
    for name in ("image-sets", "sqs-sensor"):
        create_queue(stack.aws, name, rule=False)
    bodies = list(events_like_eventbridge([image_set_id("backlog", number) for number in range(BACKLOG)]))

    fill(stack.aws, QUEUE_URL.format(name="image-sets"), bodies)
    with watching(stack, "from_queue") as (queue,):
        ours = _rate(stack, queue, queue.count, BACKLOG)
    fill(stack.aws, QUEUE_URL.format(name="sqs-sensor"), bodies[:SENSOR_BACKLOG])
    with watching(stack, "from_sqs_sensor") as (sensor,):
        theirs = _rate(stack, sensor, lambda: len(sensor_facts(sensor.stored())), SENSOR_BACKLOG)

    figures.tell(
        f"A backlog of {BACKLOG} messages: {ours:.1f} events a second, each version listed; "
        f"SqsSensorTrigger, {SENSOR_BACKLOG} messages, unlisted, ten in an event: {theirs:.1f} a second"
    )
    assert ours > theirs


def _rate(stack: Production, watched: Watched, count: Callable[[], int], expected: int) -> float:
    """Wait until so many events are stored; return how many there were a second from the first one on."""
    stack.wait_for("all events", lambda: count() >= expected, 900, tell=lambda: f"{count()} of {expected}")
    times = [event.at for event in watched.stored()]
    return expected / max((times[-1] - times[0]).total_seconds(), 1e-3)
