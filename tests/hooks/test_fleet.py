"""Processes that know nothing of each other share one quota: the rule of the budget, in a time of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from statistics import mean

import pytest
from fleet import Bucket, Fleet, Sender, jain

from airflow_imgver.options import Option
from airflow_imgver.services.description import Quota
from airflow_imgver.services.healthimaging import HEALTHIMAGING

LISTING = HEALTHIMAGING.quotas[0]
# AWS's, of ListImageSetVersions.
PER_SECOND, BURST = 25.0, 50.0
# What a run begins with, a burst and eight whole rates, is over by then.
HALF, WHOLE = 120.0, 240.0
# A share wanders about its mean for half a minute or so, before the next throttled requests correct it.
LONG = HALF + 1200.0
RUNS = range(4)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def fleet(*senders: Sender, seed: int = 0, seconds: float = WHOLE) -> Fleet:
    random.seed(seed)
    together = Fleet(senders, LISTING, Bucket(PER_SECOND, BURST))
    together.run(seconds)
    return together


def shares(senders: int, *, adapts: bool = True) -> tuple[float, float, float]:
    """What is throttled, what is answered a second, and Jain's index, of twenty minutes."""
    run = fleet(*(Sender(adapts=adapts) for _ in range(senders)), seconds=LONG)
    answered = run.answered(HALF, LONG)
    return run.throttled_share(HALF, LONG), sum(answered) / (LONG - HALF), jain(answered)


def test_for_one_process_nothing_changes() -> None:
    throttled, answered, _ = shares(1)
    assert throttled == 0
    assert answered == pytest.approx(LISTING.option.default, rel=0.01)


@pytest.mark.parametrize(("senders", "throttled_at_most"), [(2, 0.02), (4, 0.05), (8, 0.10)])
def test_a_fleet_uses_the_quota_in_equal_shares_and_is_hardly_throttled(
    senders: int, throttled_at_most: float
) -> None:
    throttled, answered, fairness = shares(senders)
    assert throttled <= throttled_at_most
    assert answered == pytest.approx(PER_SECOND, rel=0.02)
    assert fairness >= 0.99


def test_a_fleet_of_fixed_rates_is_throttled_most_of_the_time() -> None:
    throttled, _, _ = shares(8, adapts=False)
    assert throttled > 0.8


def test_a_process_that_joins_has_its_share_within_a_minute() -> None:
    joined = mean(
        fleet(*(Sender() for _ in range(8)), Sender(begins=120), seed=seed, seconds=240).answered(180, 240)[
            -1
        ]
        for seed in RUNS
    )
    assert joined / 60 == pytest.approx(PER_SECOND / 9, rel=0.25)


@pytest.mark.parametrize("others", [1, 7])
def test_the_share_of_a_process_that_ends_is_taken_over_within_a_minute(others: int) -> None:
    for seed in RUNS:
        run = fleet(*(Sender() for _ in range(others)), Sender(ends=120), seed=seed, seconds=210)
        expected = min(PER_SECOND, others * LISTING.option.default)
        assert sum(run.answered(180, 210)) / 30 == pytest.approx(expected, rel=0.02)


def test_processes_with_little_to_send_leave_their_share_to_the_others() -> None:
    run = fleet(Sender(), Sender(wants=2.0), Sender(wants=2.0))
    busy, *idle = run.answered(HALF, WHOLE)
    assert busy / HALF > 18
    assert min(idle) / HALF > 1.8


@pytest.mark.parametrize("senders", [2, 4, 8])
def test_a_quota_of_one_request_in_four_seconds_goes_round(senders: int) -> None:
    random.seed(1)
    copies = Quota(
        operation="CopyImageSet", option=Option("healthimaging_copies_per_second", 0.2, ""), burst=1
    )
    together = Fleet([Sender() for _ in range(senders)], copies, Bucket(0.25, 1))
    together.run(7200)
    answered = together.answered(3600, 7200)
    # A bucket without a burst throttles two that come together, however few they are.
    assert sum(answered) / 3600 > 0.25 * 0.55
    assert jain(answered) > 0.9
