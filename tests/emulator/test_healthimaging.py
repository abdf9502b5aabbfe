"""ListImageSetVersions and GetImageSet: what is listed, how it is paged, and what is refused."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from answers import check_answer
from botocore.config import Config
from clinic import REGION, Clinic, clinic, error_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core import DEFAULT_ACCOUNT_ID
from support import DATASTORE, IMAGE_SET, SAMPLE

from airflow_imgver.emulator.medicalimaging.contents import synthetic_instance, uid_of
from airflow_imgver.emulator.medicalimaging.models import medicalimaging_backends

CREATED = datetime.fromtimestamp(1680027126.436, UTC)


def with_datetimes(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromtimestamp(value, UTC) if name.endswith("At") else value
        for name, value in entry.items()
    }


def history(length: int) -> list[dict[str, Any]]:
    return [
        {
            "imageSetId": IMAGE_SET,
            "versionId": str(number),
            "imageSetState": "ACTIVE",
            "ImageSetWorkflowStatus": "UPDATED",
            "createdAt": CREATED,
            "updatedAt": CREATED + timedelta(minutes=number),
        }
        for number in range(1, length + 1)
    ]


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


@pytest.fixture
def busy_clinic(ours: Clinic) -> Clinic:
    """A clinic whose image set has 120 versions, in the data store that all tests here ask."""
    ours.datastore_id = DATASTORE
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, history(120))
    return ours


def page_of(ours: Clinic, **arguments: Any) -> dict[str, Any]:
    request = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET} | arguments
    return dict(ours.client.list_image_set_versions(**request))


def ids(page: dict[str, Any]) -> list[int]:
    return [int(entry["versionId"]) for entry in page["imageSetPropertiesList"]]


def test_a_loaded_history_comes_back_newest_first_and_unchanged(ours: Clinic) -> None:
    bodies: list[Any] = []
    ours.client.meta.events.register(
        "before-parse", lambda response_dict, **_: bodies.append(json.loads(response_dict["body"]))
    )
    shuffled = [with_datetimes(SAMPLE[position]) for position in (2, 0, 3, 1)]
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, shuffled)
    page_of(ours)
    assert bodies == [{"imageSetPropertiesList": SAMPLE}]


def test_a_time_of_another_zone_is_the_same_time(ours: Clinic) -> None:
    ours.backend.load_image_set(
        DATASTORE,
        IMAGE_SET,
        [history(1)[0] | {"updatedAt": datetime.fromisoformat("2024-01-01T01:00:00+02:00")}],
    )
    (entry,) = page_of(ours)["imageSetPropertiesList"]
    assert entry["updatedAt"] == datetime(2023, 12, 31, 23, tzinfo=UTC)


def test_loading_needs_entries_with_a_version_each(ours: Clinic) -> None:
    with pytest.raises(ValueError, match="needs entries"):
        ours.backend.load_image_set(DATASTORE, IMAGE_SET, [])
    with pytest.raises(ValueError, match="versionId of its own"):
        ours.backend.load_image_set(DATASTORE, IMAGE_SET, history(1) * 2)


def test_a_loaded_data_store_is_active_and_its_image_sets_can_be_worked_on(ours: Clinic) -> None:
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, [with_datetimes(entry) for entry in SAMPLE])
    ours.datastore_id = DATASTORE
    store = ours.client.get_datastore(datastoreId=DATASTORE)["datastoreProperties"]
    assert store["datastoreStatus"] == "ACTIVE"
    ours.update(IMAGE_SET, "4")
    assert ours.statuses(IMAGE_SET)[0] == ("5", "ACTIVE", "UPDATED")
    assert ours.versions(IMAGE_SET)[0]["createdAt"] == CREATED
    assert "isPrimary" not in ours.versions(IMAGE_SET)[0]


def test_versions_are_ordered_as_numbers(ours: Clinic) -> None:
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, history(12))
    assert ids(page_of(ours)) == list(range(12, 0, -1))


def test_a_page_has_50_entries_unless_told_otherwise(busy_clinic: Clinic) -> None:
    first = page_of(busy_clinic)
    second = page_of(busy_clinic, nextToken=first["nextToken"])
    third = page_of(busy_clinic, nextToken=second["nextToken"], maxResults=50)
    assert ids(first) + ids(second) + ids(third) == list(range(120, 0, -1))
    assert [len(ids(page)) for page in (first, second, third)] == [50, 50, 20]
    assert "nextToken" not in third


def test_the_page_size_may_change_on_the_way(busy_clinic: Clinic) -> None:
    first = page_of(busy_clinic, maxResults=1)
    second = page_of(busy_clinic, maxResults=7, nextToken=first["nextToken"])
    assert ids(first) + ids(second) == list(range(120, 112, -1))


def test_a_version_made_between_two_pages_repeats_nothing(busy_clinic: Clinic) -> None:
    first = page_of(busy_clinic)
    busy_clinic.update(IMAGE_SET, "120")
    assert ids(page_of(busy_clinic, nextToken=first["nextToken"]))[0] == 70


def test_a_token_belongs_to_its_image_set_and_its_data_store(busy_clinic: Clinic) -> None:
    token = page_of(busy_clinic)["nextToken"]
    busy_clinic.backend.load_image_set(DATASTORE, "b" * 32, history(120))
    busy_clinic.backend.load_image_set("c" * 32, IMAGE_SET, history(120))
    for other in ({"imageSetId": "b" * 32}, {"datastoreId": "c" * 32}):
        assert error_of(page_of, busy_clinic, nextToken=token, **other)[:2] == ("ValidationException", 400)
    assert ids(page_of(busy_clinic, nextToken=token))[0] == 70


@pytest.mark.parametrize(
    "arguments",
    [
        {"maxResults": 0},
        {"maxResults": 51},
        {"maxResults": "ten"},
        {"maxResults": "1.5"},
        {"nextToken": ""},
        {"nextToken": "made-up"},
        {"nextToken": "x" * 8193},
        {"nextToken": "é"},
        {"datastoreId": "d" * 31},
        {"datastoreId": DATASTORE.upper().replace("1", "A")},
        {"imageSetId": IMAGE_SET.upper()},
        {"imageSetId": IMAGE_SET + "0"},
    ],
)
def test_what_does_not_fit_is_a_validation_exception(busy_clinic: Clinic, arguments: dict[str, Any]) -> None:
    assert error_of(page_of, busy_clinic, **arguments)[:2] == ("ValidationException", 400)


def test_what_is_not_there_is_not_found(busy_clinic: Clinic) -> None:
    for arguments in ({"imageSetId": "0" * 32}, {"datastoreId": "0" * 32}):
        code, status, message = error_of(page_of, busy_clinic, **arguments)
        assert (code, status) == ("ResourceNotFoundException", 404)
        assert "0" * 32 in message


def test_an_image_set_shows_its_latest_version_unless_asked_for_another(ours: Clinic) -> None:
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, [with_datetimes(entry) for entry in SAMPLE])
    ours.datastore_id = DATASTORE
    assert ours.get(IMAGE_SET)["versionId"] == "4"
    second = ours.get(IMAGE_SET, versionId="2")
    assert second["imageSetWorkflowStatus"] == "COPY_FAILED"
    assert second["message"].endswith("don't match.")
    assert second["imageSetArn"].endswith(f":datastore/{DATASTORE}/imageset/{IMAGE_SET}")
    assert error_of(ours.get, IMAGE_SET, versionId="5")[:2] == ("ResourceNotFoundException", 404)
    assert error_of(ours.get, IMAGE_SET, versionId="x")[:2] == ("ValidationException", 400)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.integers(1, 130),
    page_size=st.integers(1, 50),
    cuts=st.lists(st.integers(1, 140), min_size=1, max_size=4),
)
def test_a_listing_cut_anywhere_and_resumed_gives_each_entry_once_and_in_order(
    ours: Clinic, length: int, page_size: int, cuts: list[int]
) -> None:
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, history(length))
    paginator = ours.client.get_paginator("list_image_set_versions")
    seen: list[int] = []
    token, listings = None, 0
    while listings == 0 or token:
        config = {
            "PageSize": page_size,
            "MaxItems": cuts[listings] if listings < len(cuts) else None,
            "StartingToken": token,
        }
        pages = paginator.paginate(datastoreId=DATASTORE, imageSetId=IMAGE_SET, PaginationConfig=config)
        listing = pages.build_full_result()
        seen += ids(listing)
        token = listing.get("NextToken")
        listings += 1
    assert seen == list(range(length, 0, -1))


@pytest.mark.parametrize("host_prefix", [True, False])
def test_a_client_is_answered_with_and_without_the_host_prefix(ours: Clinic, host_prefix: bool) -> None:
    ours.backend.load_image_set(DATASTORE, IMAGE_SET, history(1))
    config = Config(inject_host_prefix=host_prefix)
    client = boto3.client("medical-imaging", region_name=REGION, config=config)
    answer = client.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
    assert len(answer["imageSetPropertiesList"]) == 1


def test_each_region_has_data_stores_of_its_own(ours: Clinic) -> None:
    for region in ("us-west-2", "ap-southeast-2", "eu-west-1", "eu-west-2"):
        client = boto3.client("medical-imaging", region_name=region)
        assert client.list_datastores()["datastoreSummaries"] == []
        client.create_datastore(datastoreName=region)
    assert [one["datastoreName"] for one in ours.client.list_datastores()["datastoreSummaries"]] == ["clinic"]


def test_the_answer_over_http_is_the_documented_one(emulator_url: str) -> None:
    client = boto3.client(
        "medical-imaging",
        region_name=REGION,
        endpoint_url=emulator_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(inject_host_prefix=False),
    )
    store = client.create_datastore(datastoreName="clinic")["datastoreId"]
    client.start_dicom_import_job(
        dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
        datastoreId=store,
        inputS3Uri="s3://bucket/input/series=1/",
        outputS3Uri="s3://bucket/output/",
    )
    (found,) = client.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"]
    path = f"/datastore/{store}/imageSet/{found['imageSetId']}/listImageSetVersions?maxResults=1"
    signed_for = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=testing/20240101/{REGION}/medical-imaging/aws4_request"
    }
    request = urllib.request.Request(emulator_url + path, method="POST", headers=signed_for)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        body = json.loads(answer.read())
    check_answer("medical-imaging", "ListImageSetVersions", body)
    assert [entry["versionId"] for entry in body["imageSetPropertiesList"]] == ["1"]


@pytest.mark.parametrize(
    ("method", "path", "missing"),
    [
        ("POST", f"/datastore/{DATASTORE}/imageSet/{IMAGE_SET}/updateImageSetMetadata", "latestVersionId"),
        (
            "DELETE",
            f"/tags/arn%3Aaws%3Amedical-imaging%3Aus-east-1%3A123456789012%3Adatastore%2F{DATASTORE}",
            "tagKeys",
        ),
        ("DELETE", f"/tags/arn:aws:medical-imaging:us-east-1:123456789012:datastore/{DATASTORE}", "tagKeys"),
    ],
)
def test_a_query_argument_that_is_missing_is_named(
    ours: Clinic, method: str, path: str, missing: str
) -> None:
    import requests

    answer = requests.request(method, f"https://medical-imaging.{REGION}.amazonaws.com{path}", timeout=10)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert f"Value null at '{missing}'" in answer.json()["message"]


@pytest.fixture
def threads_that_interrupt_each_other() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("threads_that_interrupt_each_other")
def test_of_many_updates_at_once_one_is_taken(emulator_url: str) -> None:
    medicalimaging_backends[DEFAULT_ACCOUNT_ID][REGION].load_image_set(DATASTORE, IMAGE_SET, history(1))
    client = boto3.client(
        "medical-imaging",
        region_name=REGION,
        endpoint_url=emulator_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(inject_host_prefix=False, max_pool_connections=8),
    )
    # botocore makes its error classes at their first use; threads that do so together may get two of each.
    TooLate = client.exceptions.ResourceNotFoundException

    def update(latest: str) -> str:
        try:
            client.update_image_set_metadata(
                datastoreId=DATASTORE,
                imageSetId=IMAGE_SET,
                latestVersionId=latest,
                updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": LONG_UPDATE}},
                force=True,
            )
        except TooLate:
            return "too late"
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        for latest in range(1, 9):
            outcomes = pool.map(update, [str(latest)] * 8)
            assert sorted(outcomes) == ["taken"] + ["too late"] * 7
    listed = client.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
    assert ids(listed) == list(range(9, 0, -1))


def _long_update() -> bytes:
    # So that an update is at it for a while, and another may come in between.
    series = uid_of("series", IMAGE_SET)
    uid, _ = synthetic_instance(series, 1)
    instances = {uid: {"DICOM": {f"{number:03}10010": "x" for number in range(101, 999, 2)}}}
    study = {"Series": {series: {"Instances": instances}}}
    return json.dumps({"SchemaVersion": 1.1, "Study": study}).encode()


LONG_UPDATE = _long_update()
