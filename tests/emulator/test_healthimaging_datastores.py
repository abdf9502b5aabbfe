"""Data stores, import jobs, searches and tags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clinic import Clinic, clinic, error_of, takes_reads
from moto.moto_api import state_manager

from airflow_imgver.emulator.state import load

INVALID = ("ValidationException", 400)
CONFLICT = ("ConflictException", 409)
NOT_FOUND = ("ResourceNotFoundException", 404)


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


def store_of(ours: Clinic, datastore_id: str | None = None) -> dict[str, Any]:
    answer = ours.client.get_datastore(datastoreId=datastore_id or ours.datastore_id)
    return dict(answer["datastoreProperties"])


def job_of(ours: Clinic, job_id: str) -> dict[str, Any]:
    answer = ours.client.get_dicom_import_job(datastoreId=ours.datastore_id, jobId=job_id)
    return dict(answer["jobProperties"])


def test_a_data_store_is_created_with_what_was_asked_for(ours: Clinic) -> None:
    store = store_of(ours)
    assert store["datastoreName"] == "clinic"
    assert store["datastoreStatus"] == "ACTIVE"
    assert store["datastoreArn"] == (
        f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{ours.datastore_id}"
    )
    assert ours.datastore_id.isalnum()
    assert len(ours.datastore_id) == 32


def test_a_data_store_goes_from_creating_to_active_to_deleted(ours: Clinic) -> None:
    takes_reads(2, "medical-imaging::datastore")
    answer = ours.client.create_datastore(clientToken="second")
    assert answer["datastoreStatus"] == "CREATING"
    second = answer["datastoreId"]
    assert error_of(ours.client.delete_datastore, datastoreId=second)[:2] == CONFLICT
    assert [store_of(ours, second)["datastoreStatus"] for _ in range(2)] == ["CREATING", "ACTIVE"]
    assert ours.client.delete_datastore(datastoreId=second)["datastoreStatus"] == "DELETING"
    assert ours.client.delete_datastore(datastoreId=second)["datastoreStatus"] == "DELETING"
    assert [store_of(ours, second)["datastoreStatus"] for _ in range(2)] == ["DELETING", "DELETED"]
    assert error_of(ours.client.delete_datastore, datastoreId=second)[:2] == NOT_FOUND
    assert error_of(ours.client.search_image_sets, datastoreId=second)[:2] == NOT_FOUND


def test_nothing_is_imported_before_the_data_store_is_active(ours: Clinic) -> None:
    takes_reads(9, "medical-imaging::datastore")
    ours.datastore_id = ours.client.create_datastore(clientToken="second")["datastoreId"]
    assert error_of(ours.start_import)[:2] == CONFLICT


def test_a_client_token_names_one_data_store(ours: Clinic) -> None:
    again = ours.client.create_datastore(datastoreName="clinic", clientToken="clinic")
    assert again["datastoreId"] == ours.datastore_id
    assert error_of(ours.client.create_datastore, datastoreName="x", clientToken="clinic")[:2] == CONFLICT


def test_data_stores_are_listed_by_status_and_in_pages(ours: Clinic) -> None:
    for number in range(4):
        ours.client.create_datastore(datastoreName=f"ward-{number}", clientToken=f"t{number}")
    ours.client.delete_datastore(datastoreId=ours.datastore_id)
    paginator = ours.client.get_paginator("list_datastores")
    pages = list(paginator.paginate(datastoreStatus="ACTIVE", PaginationConfig={"PageSize": 3}))
    names = [[one["datastoreName"] for one in page["datastoreSummaries"]] for page in pages]
    assert [len(page) for page in names] == [3, 1]
    assert {name for page in names for name in page} == {"ward-0", "ward-1", "ward-2", "ward-3"}
    token = pages[0]["nextToken"]
    call = ours.client.list_datastores
    assert error_of(call, datastoreStatus="DELETED", nextToken=token)[:2] == INVALID


def test_a_data_store_with_image_sets_is_not_deleted(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    assert error_of(ours.client.delete_datastore, datastoreId=ours.datastore_id)[:2] == CONFLICT
    ours.delete(image_set)
    ours.client.delete_datastore(datastoreId=ours.datastore_id)
    assert store_of(ours)["datastoreStatus"] == "DELETED"
    assert error_of(ours.versions, image_set)[:2] == NOT_FOUND


def test_an_import_job_goes_through_its_statuses_and_then_there_are_image_sets(ours: Clinic) -> None:
    takes_reads(1, "medical-imaging::import-job")
    job = ours.start_import()
    assert ours.search() == []
    assert error_of(ours.client.delete_datastore, datastoreId=ours.datastore_id)[:2] == CONFLICT
    running, ended = job_of(ours, job), job_of(ours, job)
    assert (running["jobStatus"], ended["jobStatus"]) == ("IN_PROGRESS", "COMPLETED")
    assert "endedAt" not in running
    assert ended["endedAt"] >= ended["submittedAt"]
    assert len(ours.search()) == 2


def test_an_import_makes_a_primary_image_set_for_each_series_of_one_study(ours: Clinic) -> None:
    ids = ours.import_image_sets(3)
    found = ours.search()
    assert len(ids) == len(found) == 3
    assert len({one["DICOMTags"]["DICOMStudyInstanceUID"] for one in found}) == 1
    assert len({one["DICOMTags"]["DICOMSeriesInstanceUID"] for one in found}) == 3
    for one in ids:
        (entry,) = ours.versions(one)
        assert entry["isPrimary"] is True
        assert (entry["imageSetState"], entry["ImageSetWorkflowStatus"]) == ("ACTIVE", "CREATED")
        assert "updatedAt" not in entry


def test_a_second_import_from_the_same_place_adds_a_version(ours: Clinic) -> None:
    first, second = ours.import_image_sets(2)
    ours.delete(second)
    ours.start_import("s3://bucket/input/series=2/", clientToken="again")
    assert ours.statuses(first) == [("2", "ACTIVE", "IMPORTED"), ("1", "ACTIVE", "CREATED")]
    assert ours.statuses(second) == [("1", "DELETED", "DELETED")]
    assert [one["version"] for one in ours.search()].count(1) == 1


def test_an_import_into_a_locked_image_set_fails(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    takes_reads(9)
    ours.update(image_set, "1")
    job = job_of(ours, ours.start_import("s3://bucket/input/series=1/", clientToken="again"))
    assert job["jobStatus"] == "FAILED"
    assert job["message"] == f"ImageSet {image_set} is locked."


def test_a_client_token_names_one_import_job(ours: Clinic) -> None:
    job = ours.start_import(clientToken="t")
    assert ours.start_import(clientToken="t") == job
    assert error_of(ours.start_import, "s3://bucket/other/", clientToken="t")[:2] == CONFLICT


def test_import_jobs_are_listed_newest_first_by_status_and_in_pages(ours: Clinic) -> None:
    jobs = [ours.start_import(f"s3://bucket/{number}/") for number in range(5)]
    paginator = ours.client.get_paginator("list_dicom_import_jobs")
    arguments = {"datastoreId": ours.datastore_id, "jobStatus": "COMPLETED"}
    pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": 2}))
    assert [one["jobId"] for page in pages for one in page["jobSummaries"]] == jobs[::-1]
    failed = ours.client.list_dicom_import_jobs(datastoreId=ours.datastore_id, jobStatus="FAILED")
    assert failed["jobSummaries"] == []
    assert error_of(job_of, ours, "0")[:2] == NOT_FOUND


def entry(number: int, updated_at: datetime) -> dict[str, Any]:
    return {
        "versionId": str(number),
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "UPDATED",
        "createdAt": datetime(2024, 1, 1, tzinfo=UTC),
        "updatedAt": updated_at,
    }


@pytest.fixture
def archive(ours: Clinic) -> Clinic:
    """Five image sets, a to e, each updated a day later than the one before."""
    for day, letter in enumerate("abcde", start=1):
        latest = datetime(2024, 2, day, 12, 0, 0, 250000, tzinfo=UTC)
        entries = [entry(1, latest - timedelta(days=30)), entry(2, latest)]
        ours.backend.load_image_set(ours.datastore_id, letter * 32, entries)
    return ours


def letters(found: list[dict[str, Any]]) -> str:
    return "".join(one["imageSetId"][0] for one in found)


def between(attribute: str, start: Any, end: Any) -> dict[str, Any]:
    return {"operator": "BETWEEN", "values": [{attribute: start}, {attribute: end}]}


def equal(attribute: str, value: Any) -> dict[str, Any]:
    return {"operator": "EQUAL", "values": [{attribute: value}]}


def test_a_search_gives_the_latest_versions_by_their_update_newest_first(archive: Clinic) -> None:
    answer = archive.client.search_image_sets(datastoreId=archive.datastore_id)
    assert letters(answer["imageSetsMetadataSummaries"]) == "edcba"
    assert answer["sort"] == {"sortField": "updatedAt", "sortOrder": "DESC"}
    assert [one["version"] for one in answer["imageSetsMetadataSummaries"]] == [2] * 5


def test_a_search_finds_what_was_updated_in_a_time(archive: Clinic) -> None:
    second, fourth = datetime(2024, 2, 2, tzinfo=UTC), datetime(2024, 2, 4, 12, 0, 1, tzinfo=UTC)
    assert letters(archive.search(filters=[between("updatedAt", second, fourth)])) == "dcb"


def test_a_search_finds_what_was_updated_in_the_second_a_client_can_send(archive: Clinic) -> None:
    then = archive.get("c" * 32)["updatedAt"]
    assert letters(archive.search(filters=[equal("updatedAt", then)])) == "c"


def test_a_search_sorts_both_ways(archive: Clinic) -> None:
    assert letters(archive.search(sort={"sortField": "updatedAt", "sortOrder": "ASC"})) == "abcde"
    assert letters(archive.search(sort={"sortField": "createdAt", "sortOrder": "DESC"})) == "edcba"
    assert letters(archive.search(sort={"sortField": "DICOMStudyDateAndTime", "sortOrder": "ASC"})) == "abcde"


def test_two_filters_must_both_be_met(archive: Clinic) -> None:
    tags = {one["imageSetId"][0]: one["DICOMTags"] for one in archive.search()}
    series = equal("DICOMSeriesInstanceUID", tags["b"]["DICOMSeriesInstanceUID"])
    created = between("createdAt", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    assert letters(archive.search(filters=[series, created])) == "b"
    later = between("createdAt", datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))
    assert archive.search(filters=[series, later]) == []


def test_a_search_finds_dicom_attributes_that_an_update_has_set(archive: Clinic) -> None:
    document = {
        "SchemaVersion": 1.1,
        "Patient": {"DICOM": {"PatientID": "4711"}},
        "Study": {"DICOM": {"AccessionNumber": 12, "StudyDate": "20240131", "StudyTime": "101500"}},
    }
    archive.update("b" * 32, "2", document)
    for wanted in (
        equal("DICOMPatientId", "4711"),
        equal("DICOMAccessionNumber", "12"),
        equal("DICOMStudyDateAndTime", {"DICOMStudyDate": "20240131"}),
        between(
            "DICOMStudyDateAndTime",
            {"DICOMStudyDate": "20240101"},
            {"DICOMStudyDate": "20240131", "DICOMStudyTime": "1015"},
        ),
    ):
        assert letters(archive.search(filters=[wanted])) == "b", wanted
    assert archive.search(filters=[equal("DICOMPatientId", "0815")]) == []
    assert archive.search(filters=[equal("DICOMStudyDateAndTime", {"DICOMStudyDate": "20240130"})]) == []


def test_a_search_tells_primary_image_sets_from_others(ours: Clinic) -> None:
    (primary,) = ours.import_image_sets(1)
    copied = ours.copy(primary)["destinationImageSetProperties"]["imageSetId"]
    assert [one["imageSetId"] for one in ours.search(filters=[equal("isPrimary", True)])] == [primary]
    assert [one["imageSetId"] for one in ours.search(filters=[equal("isPrimary", False)])] == [copied]


@pytest.mark.parametrize(
    "wrong",
    [
        {"operator": "BETWEEN", "values": [{"updatedAt": 1}]},
        {"operator": "EQUAL", "values": [{"updatedAt": 1}, {"updatedAt": 2}]},
        {"operator": "BETWEEN", "values": [{"updatedAt": 1}, {"createdAt": 2}]},
        {"operator": "BETWEEN", "values": [{"DICOMPatientId": "1"}, {"DICOMPatientId": "2"}]},
        {"operator": "LIKE", "values": [{"DICOMPatientId": "1"}]},
        {"operator": "EQUAL", "values": [{}]},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(archive: Clinic, wrong: dict[str, Any]) -> None:
    assert error_of(archive.search, filters=[wrong])[:2] == INVALID


def test_a_search_comes_in_pages_that_belong_to_it(archive: Clinic) -> None:
    paginator = archive.client.get_paginator("search_image_sets")
    pages = list(paginator.paginate(datastoreId=archive.datastore_id, PaginationConfig={"PageSize": 2}))
    assert [letters(page["imageSetsMetadataSummaries"]) for page in pages] == ["ed", "cb", "a"]
    request = {
        "datastoreId": archive.datastore_id,
        "searchCriteria": {"sort": {"sortField": "updatedAt", "sortOrder": "ASC"}},
        "nextToken": pages[0]["nextToken"],
    }
    assert error_of(archive.client.search_image_sets, **request)[:2] == INVALID


def test_data_stores_and_image_sets_have_tags(ours: Clinic) -> None:
    (image_set,) = ours.import_image_sets(1)
    for arn in (store_of(ours)["datastoreArn"], ours.get(image_set)["imageSetArn"]):
        ours.client.tag_resource(resourceArn=arn, tags={"ward": "B", "team": "x"})
        ours.client.untag_resource(resourceArn=arn, tagKeys=["team", "unknown"])
        assert ours.client.list_tags_for_resource(resourceArn=arn)["tags"] == {"ward": "B"}


def test_a_data_store_may_be_created_with_tags(ours: Clinic) -> None:
    store = ours.client.create_datastore(clientToken="t", tags={"ward": "C"})["datastoreId"]
    arn = store_of(ours, store)["datastoreArn"]
    assert ours.client.list_tags_for_resource(resourceArn=arn)["tags"] == {"ward": "C"}


def test_tags_of_what_does_not_exist_are_refused(ours: Clinic) -> None:
    arn = store_of(ours)["datastoreArn"]
    call = ours.client.list_tags_for_resource
    assert error_of(call, resourceArn=f"{arn}/imageset/{'0' * 32}")[:2] == NOT_FOUND
    assert error_of(call, resourceArn=arn.replace(ours.datastore_id, "0" * 32))[:2] == NOT_FOUND
    assert error_of(call, resourceArn="arn:aws:s3:::bucket")[:2] == INVALID


def test_the_models_are_known_to_the_state_manager() -> None:
    assert {
        "medical-imaging::image-set",
        "medical-imaging::datastore",
        "medical-imaging::import-job",
    } <= set(state_manager.get_registered_models())


def test_a_state_with_an_empty_data_store_makes_one(ours: Clinic) -> None:
    load({"healthimaging": {"e" * 32: {}}})

    found = ours.client.search_image_sets(datastoreId="e" * 32)

    assert found["imageSetsMetadataSummaries"] == []
