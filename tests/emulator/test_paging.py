"""Tokens lead from page to page, and nowhere else."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_imgver.emulator.contract import ValidationException
from airflow_imgver.emulator.paging import page

ARGUMENTS = {"operation": "List", "imageSetId": "a"}


def cut(
    items: list[Any], size: int, token: str | None = None, *, descending: bool = False, **bound_to: Any
) -> tuple[list[Any], str | None]:
    return page(
        items,
        size=size,
        token=token,
        bound_to=ARGUMENTS | bound_to,
        key=lambda item: item,
        descending=descending,
    )


def test_the_first_page_leads_to_the_next() -> None:
    first, token = cut([1, 2, 3], 2)
    assert first == [1, 2]
    assert cut([1, 2, 3], 2, token) == ([3], None)


def test_a_full_last_page_leads_nowhere() -> None:
    assert cut([1, 2], 2) == ([1, 2], None)
    assert cut([], 2) == ([], None)


@given(
    numbers=st.sets(st.integers(0, 300), max_size=120),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    descending=st.booleans(),
)
def test_every_item_comes_once_and_in_order_however_the_size_changes(
    numbers: set[int], sizes: list[int], descending: bool
) -> None:
    items = sorted(numbers, reverse=descending)
    seen, token, pages = cut(items, sizes[0], descending=descending), None, 1
    collected, token = seen
    while token:
        more, token = cut(items, sizes[pages % len(sizes)], token, descending=descending)
        collected += more
        pages += 1
    assert collected == items


@given(
    before=st.sets(st.integers(0, 200), min_size=3, max_size=60),
    added=st.sets(st.integers(0, 200), max_size=20),
    removed=st.sets(st.integers(0, 200), max_size=60),
    size=st.integers(1, 10),
)
def test_an_item_that_stays_neither_repeats_nor_gets_lost_when_others_come_and_go(
    before: set[int], added: set[int], removed: set[int], size: int
) -> None:
    first, token = cut(sorted(before, reverse=True), size, descending=True)
    rest: list[int] = []
    after = sorted((before - removed) | added, reverse=True)
    while token:
        more, token = cut(after, size, token, descending=True)
        rest += more
    assert not set(first) & set(rest)
    if len(before) > size:
        assert set(first) | set(rest) >= before - removed


@pytest.mark.parametrize(
    "strange", ["", "x", "MQ==", "é", "A" * 8192, base64.urlsafe_b64encode(b"0" * 32 + b"1").decode(), "null"]
)
def test_a_token_that_was_not_handed_out_is_refused(strange: str) -> None:
    with pytest.raises(ValidationException, match="pagination token is not valid"):
        cut([1, 2, 3], 2, strange)


def test_a_token_changed_in_one_place_is_refused() -> None:
    _, token = cut([1, 2, 3], 2)
    assert token
    for place in range(len(token.rstrip("="))):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        # The last character of base64 has bits that mean nothing.
        if base64.urlsafe_b64decode(changed) != base64.urlsafe_b64decode(token):
            with pytest.raises(ValidationException):
                cut([1, 2, 3], 2, changed)


@pytest.mark.parametrize(
    "others", [{"imageSetId": "b"}, {"operation": "Search"}, {"after": datetime(2024, 1, 1, tzinfo=UTC)}]
)
def test_a_token_of_other_arguments_is_refused(others: dict[str, Any]) -> None:
    _, token = cut([1, 2, 3], 2)
    with pytest.raises(ValidationException):
        cut([1, 2, 3], 2, token, **others)


def test_an_argument_that_is_not_given_may_be_none() -> None:
    _, token = cut([1, 2, 3], 2, sortBy=None)
    assert cut([1, 2, 3], 2, token) == ([3], None)


def test_a_key_may_have_parts() -> None:
    items = [(1.5, "a"), (1.5, "b"), (2.0, "a")]
    first, token = cut(items, 1)
    second, token = cut(items, 1, token)
    third, token = cut(items, 1, token)
    assert first + second + third == items
    assert token is None


def test_a_token_of_another_process_is_refused() -> None:
    program = (
        "from airflow_imgver.emulator.paging import page;"
        f"print(page([1, 2, 3], size=2, token=None, bound_to={ARGUMENTS!r}, key=int)[1])"
    )
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    with pytest.raises(ValidationException):
        cut([1, 2, 3], 2, theirs.stdout.strip())
