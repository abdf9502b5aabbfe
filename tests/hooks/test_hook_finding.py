"""Finding what there is to list: image sets that changed between two times, and images by their names."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import (
    DATASTORE,
    IMAGE_SET,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    logged,
    stub_aws,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import AwsCallError, InvalidIdentityError, UnexpectedAnswerError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def image_set_id(number: int) -> str:
    return f"{number:032d}"


def load_image_sets(*changes: datetime) -> None:
    """One image set for each time, numbered from 1, last changed then."""
    load(
        {
            "healthimaging": {
                DATASTORE: {
                    image_set_id(number): [
                        image_set_entry(
                            1, imageSetId=image_set_id(number), updatedAt=changed, createdAt=changed
                        )
                    ]
                    for number, changed in enumerate(changes, 1)
                }
            }
        }
    )


def found(**more: Any) -> list[str]:
    return list(HealthImagingHook().iter_image_set_ids(DATASTORE, **more))


@pytest.fixture
def dicom_values(aws_connection: str) -> list[str]:
    """The patient and study fields that SearchImageSets returns besides the image set's id."""
    load_image_sets(NOON)
    conn = HealthImagingHook().conn
    patient = {"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": "MISTER^CT", "PatientID": "CT-7"}}}
    conn.update_image_set_metadata(
        datastoreId=DATASTORE,
        imageSetId=image_set_id(1),
        latestVersionId="1",
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": json.dumps(patient).encode()}},
    )
    (summary,) = conn.search_image_sets(datastoreId=DATASTORE)["imageSetsMetadataSummaries"]
    values = [str(value) for value in summary["DICOMTags"].values()]
    assert {"MISTER^CT", "CT-7"} < set(values)
    return values


@pytest.mark.usefixtures("aws_connection")
class TestImageSets:
    def test_without_times_all_image_sets_are_found_the_last_changed_first(self) -> None:
        load_image_sets(NOON, NOON + timedelta(hours=2), NOON + timedelta(hours=1))
        assert found() == [image_set_id(2), image_set_id(3), image_set_id(1)]

    def test_pages_are_followed_to_the_end(self) -> None:
        load_image_sets(*(NOON + timedelta(minutes=minute) for minute in range(7)))
        assert found(page_size=2) == [image_set_id(number) for number in range(7, 0, -1)]

    @pytest.mark.parametrize(
        ("interval", "expected"),
        [
            ({"updated_after": NOON, "updated_before": NOON + timedelta(hours=1)}, [2, 1]),
            ({"updated_after": "2026-11-20T12:30:00"}, [3, 2]),
            ({"updated_before": "2026-11-20T13:30:00+01:00"}, [1]),
        ],
    )
    def test_times_bound_the_last_change(self, interval: dict[str, Any], expected: list[int]) -> None:
        load_image_sets(NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2))
        assert found(**interval) == [image_set_id(number) for number in expected]

    def test_an_end_within_a_second_does_not_lose_what_changed_in_that_second(self) -> None:
        load_image_sets(NOON + timedelta(milliseconds=200))
        assert found(updated_before=NOON + timedelta(milliseconds=700)) == [image_set_id(1)]

    def test_of_an_answer_nothing_but_the_id_is_handed_out(self, dicom_values: list[str]) -> None:
        with logged() as printed:
            assert found() == [image_set_id(1)]
        assert not [value for value in dicom_values if value in printed.getvalue()]

    def test_an_id_that_aws_could_not_accept_is_refused_before_any_request(self) -> None:
        with pytest.raises(InvalidIdentityError, match="datastore_id must be 32 digits"):
            HealthImagingHook().iter_image_set_ids("clinic")

    def test_what_is_no_time_is_refused_before_any_request(self) -> None:
        with pytest.raises(ValueError, match="updated_after must be a datetime"):
            HealthImagingHook().iter_image_set_ids(DATASTORE, updated_after="None")

    def test_a_refusal_names_the_call_that_met_it(self) -> None:
        load_image_sets(NOON)
        inject_fault(
            "medical-imaging", "SearchImageSets", error={"code": "AccessDeniedException"}, times=None
        )
        with pytest.raises(AwsCallError, match=r"^AccessDeniedException from SearchImageSets: ") as caught:
            found()
        assert caught.value.about == f"The call was for data store {DATASTORE}."


@pytest.mark.usefixtures("aws_connection")
class TestImages:
    def test_images_are_found_by_a_part_of_their_name(self) -> None:
        load({"sagemaker": {"studio-ct": [], "studio-mr": [], "other": []}})
        hook = SageMakerImageHook()
        assert set(hook.iter_image_names(name_contains="studio")) == {"studio-ct", "studio-mr"}
        assert set(hook.iter_image_names()) == {"studio-ct", "studio-mr", "other"}

    def test_pages_are_followed_to_the_end(self) -> None:
        names = {f"image-{number}" for number in range(5)}
        load({"sagemaker": {name: [] for name in names}})
        assert set(SageMakerImageHook().iter_image_names(page_size=2)) == names


def test_an_answer_without_an_id_is_an_error_that_quotes_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer({"imageSetsMetadataSummaries": [{"DICOMTags": {"DICOMPatientName": "MISTER^CT"}}]})

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        with pytest.raises(UnexpectedAnswerError, match="imageSetId is not a text") as raised:
            found()
    assert "MISTER" not in str(raised.value)


def test_finding_has_a_budget_of_its_own_and_keeps_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    at: dict[str, list[float]] = {"search": [], "list": []}

    def answer(asked: Asked) -> Answer:
        search = asked.path.endswith("searchImageSets")
        at["search" if search else "list"].append(time.monotonic())
        if not search:
            return Answer({"imageSetPropertiesList": [image_set_entry(1)]})
        page = {"imageSetsMetadataSummaries": [{"imageSetId": IMAGE_SET}]}
        return Answer(page if len(at["search"]) >= 12 else {**page, "nextToken": str(len(at["search"]))})

    monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND", "20")
    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        hook = HealthImagingHook()
        ids = hook.iter_image_set_ids(DATASTORE)
        assert len(list(ids)) == 12
        searched = at["search"][-1] - at["search"][0]
        began = time.monotonic()
        hook.get_image_set_version(DATASTORE, IMAGE_SET)
    # Five at once, and seven that wait for their turns.
    assert searched >= 7 / 20 - 0.05
    assert at["list"][0] - began < 1
