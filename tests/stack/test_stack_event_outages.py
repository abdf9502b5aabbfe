"""A queue and a data store watched beside each other, while each thing under them is away or unreliable."""

from __future__ import annotations

import pytest
from event_sources import QUEUE_URL, Changes, Fact, create_queue, image_sets, left_in
from event_watch import Watched, doubled, pause, watching
from figures import Figures
from production import Production
from servers import OwnDatabase

PER_SECOND = 2
IMAGE_SETS = 30
OUTAGE_SECONDS = 60
DRAIN_SECONDS = 180
SQS_CALLS = ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
# What EventBridge's documentation calls best effort, and more of it than anybody has seen.
UNRELIABLE = {"lost": 0.1, "doubled": 0.1, "out_of_order": 0.1, "delayed": 0.1, "form": "mixed"}

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("usual_triggerers")]


def test_what_one_watcher_misses_the_other_one_finds(stack: Production, figures: Figures) -> None:
    stack.aws.begin(image_sets("outages", IMAGE_SETS))
    create_queue(stack.aws, "image-sets")
    stack.aws.settle(0.2)
    stack.aws.deliver_events(**UNRELIABLE)
    changes = Changes(stack.aws, "outages", IMAGE_SETS)
    with watching(stack, "from_queue", "from_datastore") as watched, changes.going_on(PER_SECOND):
        for operation in SQS_CALLS:
            stack.aws.fault(service="sqs", operation=operation, kind="drop", times=None)
        with stack.under_a_supervisor() as revived:
            pause(stack, OUTAGE_SECONDS / 2)
            if isinstance(stack.database, OwnDatabase):
                stack.database.restart()
            pause(stack, OUTAGE_SECONDS / 2)
            stack.wait_for("Airflow", lambda: not stack.api.unhealthy(), 120)
            stack.aws.clear_faults()
            pause(stack, 10)
        _check(stack, figures, changes, watched, revived)


def _check(
    stack: Production, figures: Figures, changes: Changes, watched: list[Watched], revived: list[str]
) -> None:
    queue, datastore = watched
    made = set(changes.made)
    counts = stack.aws.event_counts()
    stack.wait_for(
        "all changes, from one or the other",
        lambda: made <= {event.fact for each in watched for event in each.stored()},
        DRAIN_SECONDS,
        tell=lambda: f"{[each.count() for each in watched]} of {len(made)}",
    )
    stack.wait_for(
        "all changes from the data store",
        lambda: made <= {event.fact for event in datastore.stored()},
        DRAIN_SECONDS,
        tell=lambda: f"{datastore.count()} of {len(made)}",
    )

    def missed() -> set[Fact]:
        return made - {event.fact for event in queue.stored()}

    # Messages that were received when SQS went away come back after their visibility timeout.
    url = QUEUE_URL.format(name="image-sets")
    stack.wait_for(
        "the rest of the queue",
        lambda: left_in(stack.aws, url) == 0 and len(missed()) <= counts["lost"],
        DRAIN_SECONDS * 2,
        tell=lambda: f"{left_in(stack.aws, url)} messages, {len(missed())} of {len(made)} missing",
    )
    figures.tell(
        f"Events while SQS was gone for {OUTAGE_SECONDS} s, PostgreSQL was restarted and EventBridge lost "
        f"{counts['lost']}, doubled {counts['doubled']}, delayed {counts['delayed']} and reordered "
        f"{counts['out_of_order']} of its events: {len(made)} changes, {len(missed())} missed by the queue, "
        f"0 by the data store's watcher, 0 by both; doubled {doubled(queue.stored())} and "
        f"{doubled(datastore.stored())}; what ended by itself and was started again: "
        f"{', '.join(revived) or 'nothing'}"
    )
    assert counts["lost"], "or there was nothing to miss"
