"""Where a watcher without a queue goes on: what is stored, what is read again, and what cannot be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_imgver.events.cursor import MOST_BUSY, REMEMBERED, Cursor, Mark, Remembered

AT = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
STORED = {
    "format": 1,
    "since": "2026-11-30T12:00:00.123456+00:00",
    "busy": {"ea92b0d8838c72a3f25d00d13616f87e": "2026-11-30T11:00:00+00:00"},
    "remembered": ["ee6aa13c0fdb5d94"],
}


def test_a_cursor_that_an_earlier_release_stored_is_still_read() -> None:
    cursor = Cursor.read(STORED)
    assert cursor.since == AT
    assert cursor.busy == {"ea92b0d8838c72a3f25d00d13616f87e": datetime(2026, 11, 30, 11, tzinfo=UTC)}
    assert cursor.stored() == STORED


def test_what_was_reported_is_recognised_after_it_was_stored() -> None:
    cursor = Cursor.start(AT)
    assert cursor.remembered.add("sagemaker/analysis/3/CREATED")
    again = Cursor.read(json.loads(json.dumps(cursor.stored())))
    assert "sagemaker/analysis/3/CREATED" in again.remembered
    assert "sagemaker/analysis/4/CREATED" not in again.remembered
    assert not again.remembered.add("sagemaker/analysis/3/CREATED")


def test_the_oldest_is_forgotten_first() -> None:
    remembered = Remembered()
    for number in range(REMEMBERED + 1):
        remembered.add(str(number))
        remembered.add("0") if number == 1 else None
    assert len(remembered) == REMEMBERED
    assert "0" in remembered
    assert "1" not in remembered


def test_a_full_cursor_stays_below_airflows_limit_of_64_kb() -> None:
    cursor = Cursor.start(AT)
    for number in range(2 * REMEMBERED):
        cursor.remembered.add(str(number))
    ids = {f"{number:032d}": AT - timedelta(seconds=number) for number in range(2 * MOST_BUSY)}
    cursor.move(Mark.of(AT, ids))
    assert len(json.dumps(cursor.stored())) < 60_000


def test_more_busy_ones_than_a_cursor_names_hold_its_time_back() -> None:
    ids = {f"{number:032d}": AT - timedelta(seconds=number) for number in range(MOST_BUSY + 10)}
    mark = Mark.of(AT + timedelta(hours=1), ids)
    assert len(mark.busy) == MOST_BUSY
    left_out = {name: when for name, when in ids.items() if name not in mark.busy}
    assert mark.since == min(left_out.values())


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        7,
        [],
        {},
        {**STORED, "format": 2},
        {**STORED, "since": None},
        {**STORED, "since": "2026-11-30T12:00:00"},
        {**STORED, "since": "soon"},
        {**STORED, "busy": ["a"]},
        {**STORED, "busy": {"a": 7}},
        {**STORED, "remembered": None},
        {**STORED, "remembered": [7]},
    ],
)
def test_what_is_not_a_cursor_is_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match=r"cursor of format 1|not a time|without a zone|list of texts"):
        Cursor.read(stored)
