"""The index behind SearchImageSets: the same answers as a search without one, in pages that stay whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clinic import Clinic, clinic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_imgver.emulator.medicalimaging.contents import Contents
from airflow_imgver.emulator.medicalimaging.datastores import Datastore
from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet
from airflow_imgver.emulator.transitions import Timeline

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = st.sampled_from(["createdAt", "updatedAt", "DICOMStudyDateAndTime"])


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


def name(number: int) -> str:
    return f"{number:032}"


def load(ours: Clinic, number: int, minute: int) -> None:
    entry = {
        "versionId": "1",
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "CREATED",
        "createdAt": NEW_YEAR + timedelta(minutes=number),
        "updatedAt": NEW_YEAR + timedelta(days=1, minutes=minute),
    }
    ours.backend.load_image_set(ours.datastore_id, name(number), [entry])


def pages(ours: Clinic, order: str, between: Any, field: str = "updatedAt", size: int = 2) -> list[int]:
    """List image sets page by page, and do something between the first page and the second."""
    request: dict[str, Any] = {
        "datastoreId": ours.datastore_id,
        "maxResults": size,
        "searchCriteria": {"sort": {"sortField": field, "sortOrder": order}},
    }
    found: list[int] = []
    while True:
        answer = ours.client.search_image_sets(**request)
        found += [int(each["imageSetId"]) for each in answer["imageSetsMetadataSummaries"]]
        if "nextToken" not in answer:
            return found
        if len(found) == size:
            between()
        request["nextToken"] = answer["nextToken"]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize("touched", range(1, 7))
def test_an_image_set_that_changes_between_two_pages_is_listed_once(
    ours: Clinic, order: str, touched: int
) -> None:
    for number in range(1, 7):
        load(ours, number, minute=number)
    listed = pages(ours, order, lambda: ours.update(name(touched), "1"))
    assert listed == ([1, 2, 3, 4, 5, 6] if order == "ASC" else [6, 5, 4, 3, 2, 1])


def test_an_image_set_that_is_deleted_between_two_pages_leaves_the_others_listed(ours: Clinic) -> None:
    for number in range(1, 7):
        load(ours, number, minute=number)
    assert pages(ours, "DESC", lambda: ours.delete(name(3))) == [6, 5, 4, 2, 1]


def test_an_image_set_that_is_made_between_two_pages_repeats_nothing(ours: Clinic) -> None:
    for number in range(1, 7):
        load(ours, number, minute=number)
    assert pages(ours, "DESC", lambda: load(ours, 7, minute=7)) == [6, 5, 4, 3, 2, 1]
    assert pages(ours, "ASC", lambda: load(ours, 8, minute=8)) == [1, 2, 3, 4, 5, 6, 7, 8]


IMAGE_SETS = st.lists(
    st.tuples(
        st.integers(0, 5),  # created
        st.integers(0, 5),  # updated
        st.sampled_from(["A", "B"]),  # patient
        st.sampled_from(["20260101", "20260102", None]),
        st.booleans(),  # primary
        st.booleans(),  # deleted
    ),
    max_size=30,
)
MINUTE = st.integers(-1, 6)
FILTERS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["createdAt", "updatedAt"]), MINUTE, MINUTE),
        st.tuples(st.just("DICOMPatientId"), st.sampled_from(["A", "B", "C"]), st.none()),
        st.tuples(st.just("isPrimary"), st.booleans(), st.none()),
    ),
    max_size=3,
)


def at(minute: int) -> datetime:
    return NEW_YEAR + timedelta(minutes=minute)


@pytest.fixture(params=[0, 1000], ids=["walks", "sorts few"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Both ways in which an answer is found."""
    monkeypatch.setattr("airflow_imgver.emulator.medicalimaging.search._FEW", request.param)
    return int(request.param)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(image_sets=IMAGE_SETS, filters=FILTERS, field=FIELDS, descending=st.booleans(), size=st.integers(1, 9))
def test_the_index_finds_the_same_as_a_scan_of_all_image_sets(
    few: int, image_sets: Any, filters: Any, field: str, descending: bool, size: int
) -> None:
    datastore = Datastore(Timeline("medical-imaging"), "arn", "d" * 32, {})
    for number, (created, updated, patient, study_date, primary, deleted) in enumerate(image_sets):
        tags = {"DICOMPatientId": patient, "DICOMStudyInstanceUID": "1", "DICOMSeriesInstanceUID": "2"}
        tags |= {"DICOMStudyDate": study_date} if study_date else {}
        properties = {
            "versionId": "1",
            "imageSetState": "DELETED" if deleted else "ACTIVE",
            "createdAt": at(created),
            "updatedAt": at(updated),
            "isPrimary": primary,
        }
        datastore.new_image_set(name(number)).load([properties], [Contents(tags=tags)])
    criteria = [
        {"operator": "EQUAL", "values": [{attribute: first}]}
        if second is None
        else {"operator": "BETWEEN", "values": [{attribute: at(first)}, {attribute: at(second)}]}
        for attribute, first, second in filters
    ]
    found: list[str] = []
    token = None
    while True:
        page, token = datastore.search.page(
            criteria,
            {"sortField": field, "sortOrder": "DESC" if descending else "ASC"},
            size=size,
            token=token,
            bound_to={},
        )
        assert len(page) <= size
        found += [each.image_set_id for each in page]
        if token is None:
            break

    def meets(image_set: ImageSet) -> bool:
        created, updated, patient, _, primary, deleted = image_sets[int(image_set.image_set_id)]
        values = {"createdAt": created, "updatedAt": updated}
        return not deleted and all(
            {"DICOMPatientId": patient, "isPrimary": primary}[attribute] == first
            if second is None
            else first <= values[attribute] <= second
            for attribute, first, second in filters
        )

    def key(image_set: ImageSet) -> Any:
        created, updated, _, study_date, *_ = image_sets[int(image_set.image_set_id)]
        values = {"createdAt": created, "updatedAt": updated, "DICOMStudyDateAndTime": study_date or ""}
        return values[field], image_set.image_set_id

    expected = sorted(filter(meets, datastore.image_sets.values()), key=key, reverse=descending)
    assert found == [each.image_set_id for each in expected]
