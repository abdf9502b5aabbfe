"""Hundreds of gates and one gate on thousands of ids, at once, on two triggerers, before one quota."""

from __future__ import annotations

import time
from datetime import datetime
from statistics import mean

import pytest
from embedded_aws import being_copied
from figures import Figures
from production import TRIGGERERS, Production

from airflow_imgver.services.healthimaging import HEALTHIMAGING

MAPPED = 500
TOGETHER = 2000
DEFER_SECONDS = 900
OPEN_SECONDS = 900
WATCHED_SECONDS = 60
# What AWS allows a whole account, and what each process would send: nothing is divided by hand.
QUOTA, BURST = 25, 50
OPTION = HEALTHIMAGING.requests_per_second.default
# What a process may send in any second: its rate and a quarter of it, as docs/waiting.md says.
BUDGET = OPTION * 1.25 * len(TRIGGERERS)
# Two processes are throttled less than that; the workers' own polls come beside theirs.
THROTTLED_AT_MOST = 0.10

pytestmark = pytest.mark.timeout(DEFER_SECONDS + OPEN_SECONDS + 120)


def test_every_gate_opens_once_its_version_has_settled_and_none_before(
    stack: Production, figures: Figures
) -> None:
    stack.aws.begin(
        {
            "healthimaging": {
                store: sets | being_copied("all", TOGETHER)["healthimaging"][store]
                for store, sets in being_copied("each", MAPPED)["healthimaging"].items()
            }
        }
    )
    stack.aws.enforce(QUOTA, BURST)
    warned = {name: stack.log_of(name).count("async thread was blocked") for name in TRIGGERERS}
    with stack.aws.watched() as watch:
        began = time.time()
        run = stack.run("gates_at_scale", mapped=MAPPED, together=TOGETHER)
        run.wait_for("one_for_all", "deferred", 120)
        run.wait_for("one_each", "deferred", DEFER_SECONDS, count=MAPPED)
        deferred = time.time()
        before = stack.aws.list_calls(), stack.aws.throttled(), stack.aws.searches()
        # All that is looked at from here on, the triggerers look at.
        stack.wait_for("requests of a while", lambda: time.time() > deferred + WATCHED_SECONDS, 90)
        after = stack.aws.list_calls(), stack.aws.throttled(), stack.aws.searches()
        sent, throttled, searches = (count - earlier for count, earlier in zip(after, before, strict=True))
        held = stack.metadata.triggers()
        rss = {name: stack.rss(name) for name in TRIGGERERS}
        # Now, and not when they began: that is the time that a search for changes goes by.
        settled = stack.aws.settle(time.time() - stack.aws.began)
        stack.wait_for(
            "open gates",
            lambda: run.count("one_each", "success") == MAPPED and run.count("one_for_all", "success") == 1,
            OPEN_SECONDS,
            tell=run.tell,
        )
        opened = time.time()
        busiest = watch.busiest_second(deferred), watch.busiest_second()

    assert run.wait(120) == "success"
    instances = [*run.instances("one_each"), *run.instances("one_for_all")]
    assert len(instances) == MAPPED + 1
    assert min(datetime.fromisoformat(each["end_date"]).timestamp() for each in instances) > settled
    delays = sorted(datetime.fromisoformat(each["end_date"]).timestamp() - settled for each in instances)
    assert {each["try_number"] for each in instances} == {1}
    for group, count in (("each", MAPPED), ("all", TOGETHER)):
        of_group = run.xcom(f"opened_{group}")
        assert len({image_set for image_set, _ in of_group}) == count
        assert {status for _, status in of_group} == {"COPIED"}
    assert stack.metadata.triggers() == {}, "no trigger is left behind"
    warnings = {
        name: stack.log_of(name).count("async thread was blocked") - warned[name] for name in TRIGGERERS
    }
    figures.tell(
        f"{MAPPED} gates and one on {TOGETHER} ids: deferred in {deferred - began:.0f} s, all open "
        f"{opened - settled:.0f} s after their versions had settled, none early, none lost; held by two "
        f"triggerers {' + '.join(str(held.get(stack.jobs[name], 0)) for name in TRIGGERERS)}; busiest second "
        f"{busiest[0]} requests while all waited (two budgets allow {BUDGET:.0f}), {busiest[1]} with the "
        f"workers' own polls; of {sent} requests in {WATCHED_SECONDS} s of waiting "
        f"{100 * throttled / sent:.1f} % throttled, {(sent - throttled) / WATCHED_SECONDS:.1f} a second "
        f"answered of {QUOTA}, and {searches / WATCHED_SECONDS:.1f} searches a second; from settled to open "
        f"{mean(delays):.0f} s on average, "
        f"{delays[len(delays) // 2]:.0f} s in the middle, {delays[-1]:.0f} s at most; RSS "
        f"{' + '.join(str(rss[name]) for name in TRIGGERERS)} MB; watchdog warnings "
        f"{' + '.join(str(warnings[name]) for name in TRIGGERERS)}"
    )
    assert sum(1 for count in held.values() if count) == len(TRIGGERERS), "both triggerers hold gates"
    # The counts are looked at ten times a second, so that a second may get a request of the next one's.
    assert busiest[0] <= BUDGET + 2
    assert throttled / sent <= THROTTLED_AT_MOST
