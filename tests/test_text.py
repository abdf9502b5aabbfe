"""The texts that the package writes: plain data, one line, sentences, times and durations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_imgver.text import as_plain, duration, joined, one_line, sentence, timestamp


def test_plain_data_keeps_names_and_numbers_and_writes_times_in_utc() -> None:
    there = datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=timezone(timedelta(hours=2)))
    plain = as_plain({"createdAt": there, "n": 4, "list": [{"t": there}], "pair": (1, 2.5), "no": None})
    assert plain == {
        "createdAt": "2024-02-03T02:05:06.789000+00:00",
        "n": 4,
        "list": [{"t": "2024-02-03T02:05:06.789000+00:00"}],
        "pair": [1, 2.5],
        "no": None,
    }
    assert json.loads(json.dumps(plain)) == plain


@given(st.text())
def test_one_line_leaves_nothing_that_a_terminal_would_act_on(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_one_line_leaves_ordinary_words_alone() -> None:
    assert one_line("Серии don't match: é, 画像") == "Серии don't match: é, 画像"


def test_a_time_in_utc_is_read_back_as_it_was() -> None:
    now = datetime.now(UTC)
    assert datetime.fromisoformat(as_plain(now)) == now


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Rate exceeded", "Rate exceeded."),
        ("Rate exceeded.", "Rate exceeded."),
        ("Try again!", "Try again!"),
        ("Who are you? ", "Who are you?"),
        ("a\nforged line", "a\\nforged line."),
    ],
)
def test_awss_text_ends_with_a_full_stop_where_it_has_no_end_mark(text: str, written: str) -> None:
    assert sentence(text) == written


def test_a_timestamp_is_in_utc_to_the_second() -> None:
    there = datetime(2026, 11, 25, 8, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(there) == "2026-11-25 06:00:00 UTC"


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min"),
        (timedelta(days=9, hours=1), "9 d 1 h"),
        (timedelta(days=12, hours=1), "12 days"),
    ],
)
def test_a_duration_has_its_two_greatest_units(length: timedelta | float, written: str) -> None:
    assert duration(length) == written


@pytest.mark.parametrize(
    ("parts", "written"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_parts_are_joined_as_in_a_sentence(parts: list[str], written: str) -> None:
    assert joined(parts) == written
