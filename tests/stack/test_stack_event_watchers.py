"""Several watchers of one queue: in one triggerer, and in two."""

from __future__ import annotations

from statistics import median

import pytest
from event_sources import Changes, Fact, create_queue, image_sets
from event_watch import Watched, doubled, holders, interrupt, pause, watching
from figures import Figures
from production import TRIGGERERS, Production

NAMES = ("all_of_queue", "ready_of_queue", "failed_of_queue")
IDLE_SECONDS = 15
# As long as a request waits for a message.
SECONDS_BETWEEN_REQUESTS = 5
IMAGE_SETS = 20
PER_SECOND = 2
APART_SECONDS = 40
DRAIN_SECONDS = 300
TURNS = "they take turns"

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("usual_triggerers")]


def _begin(stack: Production, group: str) -> Changes:
    stack.aws.begin(image_sets(group, IMAGE_SETS))
    create_queue(stack.aws, "shared")
    stack.aws.settle(0.2)
    return Changes(stack.aws, group, IMAGE_SETS)


def _wait_for_all(stack: Production, watched: list[Watched], made: set[Fact]) -> dict[str, set[Fact]]:
    """Wait until each watcher has its own events, and no others."""
    wanted = {
        "all_of_queue": made,
        "ready_of_queue": {fact for fact in made if fact.status == "UPDATED"},
        "failed_of_queue": {fact for fact in made if fact.status == "UPDATE_FAILED"},
    }
    for each in watched:
        stack.wait_for(
            f"the events of {each.name}",
            lambda each=each: {event.fact for event in each.stored()} == wanted[each.name],
            DRAIN_SECONDS,
            tell=lambda each=each: f"{each.count()} of {len(wanted[each.name])}; {holders(stack)}",
        )
    return wanted


def test_three_watchers_of_a_queue_in_one_triggerer_share_a_receive_loop_and_each_gets_its_own(
    stack: Production, figures: Figures
) -> None:
    # Airflow gives all of them to the triggerer that is there, and to the other one when that ends.
    changes = _begin(stack, "shared")
    with watching(stack, *NAMES, together=True) as watched:
        assert len(holders(stack)) == 1
        before = _receives(stack)
        pause(stack, IDLE_SECONDS)
        received = _receives(stack) - before
        for number in range(IMAGE_SETS):
            changes.make(fails=number % 4 == 0)
        wanted = _wait_for_all(stack, watched, set(changes.made))
    figures.tell(
        f"Three watchers of one queue in one triggerer of two: {received} requests to receive in "
        f"{IDLE_SECONDS} s; " + ", ".join(f"{each.name} got its {len(wanted[each.name])}" for each in watched)
    )
    # Three loops would make three times as many.
    assert received <= IDLE_SECONDS / SECONDS_BETWEEN_REQUESTS + 1


def test_three_watchers_of_a_queue_in_two_triggerers_take_turns_and_each_gets_its_own(
    stack: Production, figures: Figures
) -> None:
    changes = _begin(stack, "apart")
    read = {name: len(stack.log_of(name)) for name in TRIGGERERS}
    with watching(stack, *NAMES, apart=True) as watched:
        assert sorted(holders(stack).values()) == [1, 2]
        # A watcher that is new gets what comes from then on.
        stack.wait_for(
            "turns", lambda: all(TURNS in stack.log_of(name)[read[name] :] for name in TRIGGERERS), 60
        )
        with changes.going_on(PER_SECOND):
            pause(stack, APART_SECONDS)
            delays = [median(_delays(each, changes)) for each in watched]
            interrupt(stack, "both")
            after = dict(holders(stack))
            pause(stack, APART_SECONDS)
        made = set(changes.made)
        wanted = _wait_for_all(stack, watched, made)
        again = [doubled(each.stored()) for each in watched]
    figures.tell(
        f"Three watchers of one queue in two triggerers, {len(made)} changes; the triggerer with two of them "
        f"was killed, then {', '.join(f'{name} had {count}' for name, count in after.items())}: each got its "
        f"own {', '.join(str(len(wanted[each.name])) for each in watched)}, none lost, "
        f"{', '.join(map(str, again))} stored twice; before the kill "
        f"{', '.join(f'{each:.1f}' for each in delays)} s after the change (medians)"
    )


def _delays(watched: Watched, changes: Changes) -> list[float]:
    return [event.at.timestamp() - changes.made[event.fact] for event in watched.stored()] or [0.0]


def _receives(stack: Production) -> int:
    return int(stack.aws.calls().get("sqs", {}).get("ReceiveMessage", 0))
