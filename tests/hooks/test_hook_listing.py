"""Listing: paging, cutting, resuming, tokens, filters, and how many requests a poll costs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    STARTED,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    image_version_entry,
    in_page_size,
    in_pages,
    list_calls,
    load_image,
    load_image_set,
    logged,
    stub_aws,
)

from airflow_imgver.exceptions import InvalidIdentityError, InvalidTokenError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.versions import Phase

IDENTITY = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}


# --- the two services as one, for what they share -------------------------------------------------------


@pytest.fixture(scope="module")
def any_listing() -> Iterator[Any]:
    """A stub AWS whose histories a property test changes, and a hook of each service for it."""
    history = SimpleNamespace(entries=[], numbers=[])

    def answer(asked: Asked) -> Answer:
        service = "sagemaker" if asked.path == "/" else "medical-imaging"
        return in_page_size(history.entries, service)(asked)

    with pytest.MonkeyPatch.context() as patched, stub_aws(answer) as stub:
        patched.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        image_sets, images = HealthImagingHook(), SageMakerImageHook()

        def load(service: str, length: int) -> list[int]:
            made = image_set_entry if service == "healthimaging" else image_version_entry
            history.entries = [made(number) for number in range(length, 0, -1)]
            stub.asked.clear()
            return list(range(length, 0, -1))

        def listing(service: str, **paging: Any) -> tuple[list[int], str | None]:
            if service == "healthimaging":
                items, token = image_sets.list_image_set_versions(DATASTORE, IMAGE_SET, **paging)
                return [int(item["versionId"]) for item in items], token
            items, token = images.list_image_versions(IMAGE, **paging)
            return [item["Version"] for item in items], token

        yield SimpleNamespace(load=load, listing=listing, stub=stub, image_sets=image_sets, images=images)
        image_sets.conn.close()
        images.conn.close()


services = st.sampled_from(["healthimaging", "sagemaker"])


@given(services, st.integers(0, 40), st.lists(st.tuples(st.integers(1, 12), st.integers(1, 15)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_history_cut_anywhere_and_resumed_in_any_page_size_gives_each_entry_once_and_in_order(
    any_listing: Any, service: str, length: int, legs: list[tuple[int, int]]
) -> None:
    expected = any_listing.load(service, length)
    seen: list[int] = []
    token = None
    for page_size, max_items in [*legs, (5, None)]:
        items, token = any_listing.listing(
            service, page_size=page_size, max_items=max_items, starting_token=token
        )
        seen += items
        if token is None:
            break
        assert len(items) == max_items
    assert token is None
    assert seen == expected


@pytest.mark.parametrize("service", ["healthimaging", "sagemaker"])
def test_a_listing_that_was_not_cut_has_no_resume_token(any_listing: Any, service: str) -> None:
    expected = any_listing.load(service, 7)
    for max_items in (None, 7, 8):
        assert any_listing.listing(service, page_size=3, max_items=max_items) == (expected, None)


@pytest.mark.parametrize(("service", "largest"), [("healthimaging", 50), ("sagemaker", 100)])
def test_without_a_page_size_the_largest_page_is_asked_for(
    any_listing: Any, service: str, largest: int
) -> None:
    any_listing.load(service, 3)
    any_listing.listing(service)
    assert [asked.size for asked in any_listing.stub.asked] == [largest]


@pytest.mark.parametrize("service", ["healthimaging", "sagemaker"])
def test_a_stream_asks_for_a_page_when_the_one_before_is_used_up(any_listing: Any, service: str) -> None:
    any_listing.load(service, 6)
    if service == "healthimaging":
        stream = any_listing.image_sets.iter_image_set_versions(DATASTORE, IMAGE_SET, page_size=2)
    else:
        stream = any_listing.images.iter_image_versions(IMAGE, page_size=2)
    assert any_listing.stub.asked == []
    for drawn, asked in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 3)):
        next(stream)
        assert len(any_listing.stub.asked) == asked, f"after {drawn} items"


def test_items_are_awss_own_with_aware_times(aws_connection: str) -> None:
    load_image_set(image_set_entry(2), image_set_entry(1, "COPIED", overrides={"forced": True}))
    load_image(image_version_entry(1, "CREATE_FAILED", FailureReason="no such repository"))
    assert HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET).items == [
        image_set_entry(2),
        image_set_entry(1, "COPIED", overrides={"forced": True}),
    ]
    (version,) = SageMakerImageHook().list_image_versions(IMAGE).items
    assert version["FailureReason"] == "no such repository"
    assert version["CreationTime"] == STARTED + timedelta(hours=1)
    assert version["CreationTime"].utcoffset() is not None


def test_a_page_may_be_empty_and_still_lead_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [[], [image_version_entry(3)], [], [image_version_entry(2), image_version_entry(1)]]
    with stub_aws(in_pages(pages, "sagemaker")) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        hook = SageMakerImageHook()
        assert [entry["Version"] for entry in hook.list_image_versions(IMAGE).items] == [3, 2, 1]
        first, token = hook.list_image_versions(IMAGE, max_items=2)
        rest, end = hook.list_image_versions(IMAGE, starting_token=token)
        assert [entry["Version"] for entry in (*first, *rest)] == [3, 2, 1]
        assert end is None
        found = hook.observe({"image_name": IMAGE})
        assert found
        assert found.number == 3


@pytest.mark.parametrize("order", [(1, 2, 3, 10, 9), (9, 10, 1, 2, 3), (3, 1, 10, 2, 9)])
def test_the_latest_is_the_greatest_number_though_pages_come_out_of_order(
    monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    entries = [image_set_entry(number) for number in order]
    pages = [entries[:3], entries[3:]] if order[0] < order[1] else [entries]
    with stub_aws(in_pages(pages, "medical-imaging")) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        hook = HealthImagingHook()
        assert hook.get_image_set_version(DATASTORE, IMAGE_SET) == image_set_entry(10)
        assert hook.get_image_set_version(DATASTORE, IMAGE_SET, 9) == image_set_entry(9)
        assert hook.get_image_set_version(DATASTORE, IMAGE_SET, 4) is None


# --- tokens, sizes, identities --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "",
        "abc",
        "e30=",
        "eyJOZXh0VG9rZW4iOiBudWxsfQ",
        "bnVsbA==",
        "W10=",
        "eyJib3RvX3RydW5jYXRlX2Ftb3VudCI6IDF9",
        "eyJuZXh0VG9rZW4iOiBudWxsLCAiYm90b190cnVuY2F0ZV9hbW91bnQiOiAtMX0=",
        "eyJuZXh0VG9rZW4iOiBudWxsLCAiYm90b190cnVuY2F0ZV9hbW91bnQiOiAiMSJ9",
        "\n\x00é",
        "x" * 100_000,
    ],
)
def test_a_token_that_no_listing_returned_is_refused_before_any_request(
    aws_connection: str, token: str
) -> None:
    load_image_set(image_set_entry(1))
    with pytest.raises(InvalidTokenError, match="next_token of a truncated listing") as caught:
        HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET, starting_token=token)
    assert len(str(caught.value)) < 400
    assert list_calls() == 0


def test_a_token_of_one_service_is_none_of_the_others(aws_connection: str) -> None:
    load_image_set(*(image_set_entry(number) for number in (1, 2, 3)))
    load_image(*(image_version_entry(number) for number in (1, 2, 3)))
    token = HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET, max_items=1).next_token
    with pytest.raises(InvalidTokenError):
        SageMakerImageHook().list_image_versions(IMAGE, starting_token=token)


def test_a_token_of_boto3s_own_paginator_is_taken_too(aws_connection: str) -> None:
    load_image_set(*(image_set_entry(number) for number in range(1, 8)))
    hook = HealthImagingHook()
    whole = hook.conn.get_paginator("list_image_set_versions").paginate(
        datastoreId=DATASTORE, imageSetId=IMAGE_SET, PaginationConfig={"MaxItems": 3, "PageSize": 2}
    )
    cut = whole.build_full_result()
    rest = hook.list_image_set_versions(DATASTORE, IMAGE_SET, starting_token=cut["NextToken"])
    numbers = [int(entry["versionId"]) for entry in (*cut["imageSetPropertiesList"], *rest.items)]
    assert numbers == [7, 6, 5, 4, 3, 2, 1]


def test_a_token_of_this_listing_is_taken_by_boto3s_own_paginator(aws_connection: str) -> None:
    load_image_set(*(image_set_entry(number) for number in range(1, 8)))
    hook = HealthImagingHook()
    first, token = hook.list_image_set_versions(DATASTORE, IMAGE_SET, max_items=3, page_size=2)
    rest = hook.conn.get_paginator("list_image_set_versions").paginate(
        datastoreId=DATASTORE, imageSetId=IMAGE_SET, PaginationConfig={"StartingToken": token, "PageSize": 2}
    )
    items = [*first, *rest.build_full_result()["imageSetPropertiesList"]]
    assert [int(entry["versionId"]) for entry in items] == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("name", ["page_size", "max_items"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3"])
def test_a_size_that_is_no_positive_number_is_refused_before_any_request(
    aws_connection: str, name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET, **{name: value})
    assert list_calls() == 0


BAD_IDS = [
    "",
    "SHORT",
    IMAGE_SET.upper(),
    IMAGE_SET[:-1],
    f"{IMAGE_SET}0",
    f"{IMAGE_SET}\n",
    None,
    7,
    [IMAGE_SET],
]


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("which", ["datastore_id", "image_set_id"])
def test_an_id_that_breaks_awss_pattern_is_refused_before_any_request(
    aws_connection: str, which: str, bad: Any
) -> None:
    with pytest.raises(InvalidIdentityError, match=f"{which} must be 32 digits and lower-case letters"):
        HealthImagingHook().list_image_set_versions(**{**IDENTITY, which: bad})
    assert list_calls() == 0


@pytest.mark.parametrize("bad", ["", "-a", "a-", "a--b", "a_b", "a" * 64, "a\n", "a/b", "..", None, 7.0])
def test_a_name_that_breaks_awss_pattern_is_refused_before_any_request(aws_connection: str, bad: Any) -> None:
    with pytest.raises(InvalidIdentityError, match="image_name must be 1 to 63 letters and digits"):
        SageMakerImageHook().list_image_versions(bad)
    assert list_calls() == 0


@pytest.mark.parametrize("good", ["a", "a" * 63, "A-b.c9", "9"])
def test_a_name_that_fits_awss_pattern_is_asked_for(aws_connection: str, good: str) -> None:
    assert SageMakerImageHook.service.check({"image_name": good}) == {"image_name": good}


@pytest.fixture(scope="module")
def models_image_name() -> Any:
    return Loader().load_service_model("sagemaker", "service-2")["shapes"]["ImageName"]


@given(st.text("aZ0-.", max_size=66) | st.text(max_size=5))
@settings(deadline=None)
def test_the_pattern_of_a_name_is_that_of_botocores_model(models_image_name: Any, name: str) -> None:
    # Java's pattern is put to the whole name, and has no word on line breaks.
    fits = bool(re.fullmatch(models_image_name["pattern"].rstrip("$"), name))
    fits = fits and models_image_name["min"] <= len(name) <= models_image_name["max"]
    try:
        SageMakerImageHook.service.check({"image_name": name})
    except InvalidIdentityError:
        assert not fits
    else:
        assert fits


# --- filters and sorts ----------------------------------------------------------------------------------


@pytest.fixture
def three_versions(aws_connection: str) -> SageMakerImageHook:
    """An image whose version 1 was modified last."""
    late = STARTED + timedelta(days=2)
    load_image(image_version_entry(1, LastModifiedTime=late), image_version_entry(2), image_version_entry(3))
    return SageMakerImageHook()


def hours(count: float) -> datetime:
    return STARTED + timedelta(hours=count)


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [3, 2, 1]),
        ({"creation_time_after": hours(1.5)}, [3, 2]),
        ({"creation_time_before": hours(2.5)}, [2, 1]),
        ({"creation_time_after": hours(1.5), "creation_time_before": hours(2.5)}, [2]),
        ({"last_modified_time_after": hours(24)}, [1]),
        ({"last_modified_time_before": hours(24)}, [3, 2]),
        ({"sort_order": "ASCENDING"}, [1, 2, 3]),
        ({"sort_by": "LAST_MODIFIED_TIME"}, [1, 3, 2]),
        ({"sort_by": "VERSION", "sort_order": "ASCENDING"}, [1, 2, 3]),
        ({"creation_time_after": "", "creation_time_before": ""}, [3, 2, 1]),
    ],
)
def test_filters_and_sorts_are_awss(
    three_versions: SageMakerImageHook, filters: dict[str, Any], numbers: list[int]
) -> None:
    items = three_versions.list_image_versions(IMAGE, **filters).items
    assert [item["Version"] for item in items] == numbers


@pytest.mark.parametrize(
    "given",
    [
        datetime(2024, 5, 6, 7, 8, 9),  # naive on purpose
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "2024-05-06T07:08:09",
        "2024-05-06T07:08:09Z",
        "2024-05-06T09:08:09+02:00",
        "2024-05-06 07:08:09",
    ],
)
def test_a_time_without_an_offset_is_utc_whatever_the_machines_zone(
    monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with stub_aws(in_pages([[]], "sagemaker")) as stub:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
            SageMakerImageHook().list_image_versions(IMAGE, creation_time_after=given)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert stub.asked[0].body["CreationTimeAfter"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "bad", ["yesterday-ish", "P1D", "2024-01-01/2024-01-02", "2024-13-01", 1700000000, True]
)
def test_a_time_that_is_none_is_refused_before_any_request(three_versions: Any, bad: Any) -> None:
    with pytest.raises(ValueError, match="last_modified_time_before must be a datetime or an ISO 8601 text"):
        three_versions.list_image_versions(IMAGE, last_modified_time_before=bad)
    assert list_calls() == 0


# --- a poll ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 475])
def test_a_poll_of_an_image_set_with_500_versions_is_one_request(
    aws_connection: str, version: int | None
) -> None:
    load_image_set(*(image_set_entry(number) for number in range(1, 501)))
    found = HealthImagingHook().observe(IDENTITY, version)
    assert found
    assert (found.number, list_calls()) == (version or 500, 1)


@pytest.mark.parametrize("version", [None, 425])
def test_a_poll_of_an_image_with_500_versions_is_one_request(
    aws_connection: str, version: int | None
) -> None:
    load_image(*(image_version_entry(number) for number in range(1, 501)))
    found = SageMakerImageHook().observe({"image_name": IMAGE}, version)
    assert found
    assert (found.number, list_calls()) == (version or 500, 1)


def test_a_poll_for_a_version_that_is_not_listed_yet_is_one_request(aws_connection: str) -> None:
    load_image_set(*(image_set_entry(number) for number in range(1, 201)))
    assert HealthImagingHook().observe(IDENTITY, 201) is None
    assert list_calls() == 1


def test_a_poll_of_the_latest_image_version_asks_for_one_newest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stub_aws(in_pages([[image_version_entry(7)]], "sagemaker")) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        SageMakerImageHook().observe({"image_name": IMAGE})
    assert stub.asked[0].body == {
        "ImageName": IMAGE,
        "SortBy": "VERSION",
        "SortOrder": "DESCENDING",
        "MaxResults": 1,
    }


def test_where_the_latest_version_is_deleted_so_is_the_watched_one(aws_connection: str) -> None:
    load_image_set(image_set_entry(1), image_set_entry(2), image_set_entry(3, "DELETED", "DELETED"))
    hook = HealthImagingHook()
    found = hook.observe(IDENTITY, 2)
    assert found
    assert (found.number, found.phase) == (3, Phase.DELETED)
    assert hook.get_image_set_version(DATASTORE, IMAGE_SET, 2) == image_set_entry(2)


def test_a_newer_busy_version_does_not_change_the_watched_one(aws_connection: str) -> None:
    load_image_set(image_set_entry(1), image_set_entry(2), image_set_entry(3, "UPDATING", "LOCKED"))
    found = HealthImagingHook().observe(IDENTITY, 2)
    assert found
    assert (found.number, found.phase) == (2, Phase.READY)


def test_one_version_is_had_by_its_number_and_the_latest_without_one(aws_connection: str) -> None:
    load_image(*(image_version_entry(number) for number in (8, 9, 10)))
    hook = SageMakerImageHook()
    latest, ninth = hook.get_image_version(IMAGE), hook.get_image_version(IMAGE, 9)
    assert latest
    assert ninth
    assert (latest["Version"], ninth["Version"]) == (10, 9)
    assert hook.get_image_version(IMAGE, 11) is None


def test_an_unknown_status_is_logged_once_per_process(aws_connection: str) -> None:
    load_image_set(image_set_entry(4, "BEWITCHED_FOR_ONE_TEST"))
    with logged() as log:
        for hook in (HealthImagingHook(), HealthImagingHook()):
            for _ in range(2):
                hook.observe(IDENTITY)
    (line,) = log.about("BEWITCHED_FOR_ONE_TEST")
    assert "warning" in line
    assert "counts as ready here" in line
