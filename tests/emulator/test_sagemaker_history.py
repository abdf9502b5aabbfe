"""The orders in which the versions of an image are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_imgver.emulator.sagemaker.history import History
from airflow_imgver.emulator.sagemaker.models import Image, ImageVersion
from airflow_imgver.emulator.transitions import Timeline

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = ("VERSION", "CREATION_TIME", "LAST_MODIFIED_TIME")
IMAGE = Image(Timeline("sagemaker"), "arn:aws:sagemaker:us-east-1:123456789012:image/analysis", "analysis")

numbers = st.integers(1, 12)
seconds = st.integers(0, 5)
aliases = st.lists(st.sampled_from("abc"), max_size=2)
changes = st.lists(st.tuples(numbers, st.booleans(), seconds, seconds, aliases), max_size=40)


def applied(steps: list[tuple[int, bool, int, int, list[str]]]) -> tuple[History, dict[int, ImageVersion]]:
    """A history after puts and removals, and the versions that are left."""
    history, left = History(), dict[int, ImageVersion]()
    for number, is_put, created, modified, names in steps:
        version = left.pop(number, None) or ImageVersion(IMAGE, number, properties={})
        if not is_put:
            history.remove(version)
            continue
        taken = {alias for other in left.values() for alias in other.aliases}
        version.status = "CREATED" if modified % 2 else "CREATING"
        version.aliases = [name for name in dict.fromkeys(names) if name not in taken]
        version.created_at = BEGIN + timedelta(seconds=created)
        version.modified_at = BEGIN + timedelta(seconds=modified)
        history.put(version)
        left[number] = version
    return history, left


def key_of(version: ImageVersion, order: str) -> tuple[float, ...]:
    time = version.created_at if order == "CREATION_TIME" else version.modified_at
    return (version.number,) if order == "VERSION" else (time.timestamp(), version.number)


@settings(deadline=None)
@given(changes, st.sampled_from(ORDERS), st.booleans())
def test_a_walk_is_in_order_after_any_changes(steps: list, order: str, descending: bool) -> None:
    history, left = applied(steps)
    expected = sorted((key_of(version, order) for version in left.values()), reverse=descending)
    assert [key for key, _ in history.walk(order, descending=descending)] == expected


@settings(deadline=None)
@given(changes, st.sampled_from(ORDERS), st.booleans(), numbers, seconds)
def test_a_walk_goes_on_beyond_a_key_that_may_be_gone(
    steps: list, order: str, descending: bool, number: int, second: int
) -> None:
    history, left = applied(steps)
    time = (BEGIN + timedelta(seconds=second)).timestamp()
    beyond = (number,) if order == "VERSION" else (time, number)
    keys = sorted((key_of(version, order) for version in left.values()), reverse=descending)
    expected = [key for key in keys if (key < beyond if descending else key > beyond)]
    assert [key for key, _ in history.walk(order, descending=descending, beyond=beyond)] == expected


@settings(deadline=None)
@given(changes, st.sampled_from(ORDERS[1:]), st.booleans(), seconds, seconds)
def test_a_walk_by_time_holds_both_ends_of_its_span(
    steps: list, order: str, descending: bool, first: int, last: int
) -> None:
    history, left = applied(steps)
    since, until = ((BEGIN + timedelta(seconds=each)).timestamp() for each in (first, last))
    keys = sorted((key_of(version, order) for version in left.values()), reverse=descending)
    walk = history.walk(order, descending=descending, since=since, until=until)
    assert [key for key, _ in walk] == [key for key in keys if since <= key[0] <= until]


@settings(deadline=None)
@given(changes)
def test_numbers_aliases_and_running_versions_are_those_that_are_left(steps: list) -> None:
    history, left = applied(steps)
    assert history.all() == [left[number] for number in sorted(left)]
    assert history.latest() is (left[max(left)] if left else None)
    assert history.aliases() == sorted(alias for version in left.values() for alias in version.aliases)
    for version in left.values():
        assert [history.by_alias(alias) for alias in version.aliases] == [version] * len(version.aliases)
    busy = [version.number for version in left.values() if version.status == "CREATING"]
    assert sorted(version.number for version in history.busy()) == sorted(busy)
