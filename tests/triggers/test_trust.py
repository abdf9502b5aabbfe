"""A search is relied on while it proves that it shows changes."""

from __future__ import annotations

from airflow_imgver.triggers.trust import FAILURES, MOST_POINTS, POLLS_A_CHANGE, WASTED, Trust


def proven(changes: int = 1) -> Trust:
    trust = Trust()
    for _ in range(changes):
        trust.found()
    return trust


def test_nothing_is_relied_on_before_it_has_shown_a_change() -> None:
    trust = Trust()
    trust.answered()
    assert not trust.relied_on
    trust.found()
    assert trust.relied_on


def test_one_miss_ends_a_short_proof_and_three_a_long_one() -> None:
    short, long = proven(), proven(1000)
    short.missed()
    assert not short.relied_on
    for relied_on in (True, True, False):
        long.missed()
        assert long.relied_on is relied_on


def test_a_search_that_shows_less_than_two_of_three_changes_is_not_relied_on_for_long() -> None:
    trust = proven(MOST_POINTS)
    for _ in range(20):
        trust.missed()
        trust.found()
    assert not trust.relied_on


def test_a_search_that_shows_nearly_all_changes_stays_relied_on() -> None:
    trust = proven(MOST_POINTS)
    for _ in range(100):
        trust.missed()
        for _ in range(19):
            trust.found()
        assert trust.relied_on


def test_misses_of_hours_are_made_up_for_by_a_few_changes() -> None:
    trust = proven()
    for _ in range(1000):
        trust.missed()
    for _ in range(MOST_POINTS + 1):
        assert not trust.relied_on
        trust.found()
    assert trust.relied_on


def test_one_failure_is_nothing_and_two_in_a_row_are() -> None:
    trust = proven()
    for _ in range(FAILURES - 1):
        trust.failed()
    assert trust.relied_on
    trust.failed()
    assert not trust.relied_on
    trust.answered()
    assert trust.relied_on
    assert trust.failures == 0


def test_a_search_that_takes_long_is_not_relied_on_until_it_ends() -> None:
    trust = proven()
    trust.late()
    assert not trust.relied_on
    trust.answered()
    assert trust.relied_on


def test_polls_in_vain_make_it_useless_and_changes_make_up_for_them() -> None:
    trust = Trust()
    for number in range(10 * WASTED):
        trust.wasted()
        if number % (POLLS_A_CHANGE // 2) == 0:
            trust.found()
    assert not trust.useless
    for _ in range(WASTED):
        trust.wasted()
    assert trust.useless
    trust.begin_again()
    assert not trust.useless
    assert not trust.relied_on
