"""When a waiting gate polls next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_imgver.triggers.schedule import (
    FIRST_ROUND,
    LONGEST_BACKOFF,
    SOONEST_FIRST_POLL,
    Pace,
    Schedule,
)

intervals = st.floats(0, 100_000, allow_nan=False)
ROUNDING = 1e-9


@given(intervals)
def test_the_first_poll_comes_about_within_the_interval_and_no_sooner_than_ten_seconds_or_it(
    interval: float,
) -> None:
    first = Schedule(Pace(interval)).first()
    soonest = min(SOONEST_FIRST_POLL, interval)
    assert soonest <= first <= max(interval, 2 * soonest)


@given(intervals)
def test_the_first_polls_of_many_ids_are_within_the_first_minute_and_the_second_ones_apart(
    interval: float,
) -> None:
    schedule = Schedule(Pace(interval))
    soonest = min(SOONEST_FIRST_POLL, interval)
    assert soonest <= schedule.first_of_many() <= max(2 * soonest, min(interval, FIRST_ROUND))
    second = schedule.after_poll()
    assert interval / 2 <= second <= interval
    if interval <= FIRST_ROUND:
        assert second == interval
    assert schedule.after_poll() == interval


def test_gates_released_together_do_not_poll_together() -> None:
    assert len({Schedule(Pace(60)).first() for _ in range(100)}) > 90


@given(intervals, st.integers(1, 20))
def test_without_backoff_every_pause_is_the_interval(interval: float, polls: int) -> None:
    schedule = Schedule(Pace(interval))
    assert {schedule.after_poll() for _ in range(polls)} == {interval}


@given(st.floats(1, 10_000))
def test_with_backoff_pauses_double_as_poke_modes_do(interval: float) -> None:
    schedule = Schedule(Pace(interval, exponential_backoff=True))
    for look in range(1, 12):
        least = max(interval * 2.0 ** (look - 2), 1.0)
        assert least <= schedule.after_poll() <= 2 * least


@given(intervals, st.floats(0, 1000), st.integers(1, 200))
def test_with_backoff_no_pause_is_longer_than_max_wait(interval: float, max_wait: float, polls: int) -> None:
    schedule = Schedule(Pace(interval, exponential_backoff=True, max_wait=max_wait))
    assert all(schedule.after_poll() <= max_wait for _ in range(polls))


def test_thousands_of_polls_do_not_overflow() -> None:
    schedule = Schedule(Pace(60, exponential_backoff=True))
    for _ in range(5000):
        assert 0 < schedule.after_poll() < float("inf")
        assert 0 < schedule.after_error() < float("inf")


@given(intervals)
def test_passing_errors_are_waited_out_longer_each_time_up_to_five_minutes_or_the_interval(
    interval: float,
) -> None:
    schedule = Schedule(Pace(interval))
    base = max(interval, 1.0)
    for errors in range(1, 15):
        pause = schedule.after_error()
        assert schedule.errors == errors
        assert base / 2 <= pause * (1 + ROUNDING)
        assert pause <= max(base, min(LONGEST_BACKOFF, base * 2.0**errors)) * (1 + ROUNDING)


@given(intervals)
def test_throttled_polls_are_counted_and_do_not_change_the_interval(interval: float) -> None:
    schedule = Schedule(Pace(interval))
    assert {schedule.after_throttling() for _ in range(10)} == {interval}
    assert schedule.errors == 10


def test_a_successful_poll_forgets_the_errors_before_it() -> None:
    schedule = Schedule(Pace(1))
    for _ in range(5):
        schedule.after_error()
    schedule.after_poll()
    assert schedule.errors == 0
    assert schedule.after_error() <= 2


@pytest.mark.parametrize("interval", [0, 0.05])
def test_passing_errors_never_make_a_tight_loop(interval: float) -> None:
    schedule = Schedule(Pace(interval))
    assert all(schedule.after_error() >= 0.5 for _ in range(50))
