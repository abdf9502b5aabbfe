"""What copying, updating, reverting and deleting do to the versions of an image set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clinic import Clinic, clinic, error_of, takes_reads

SERIES_DIFFER = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."
CONFLICT = ("ConflictException", 409)
NOT_FOUND = ("ResourceNotFoundException", 404)
INVALID = ("ValidationException", 400)


@pytest.fixture
def clinic_with_two() -> Iterator[tuple[Clinic, str, str]]:
    with clinic() as ours:
        first, second = ours.import_image_sets(2)
        yield ours, first, second


@pytest.fixture
def clinic_with_one() -> Iterator[tuple[Clinic, str]]:
    with clinic() as ours:
        yield ours, ours.import_image_sets(1)[0]


def state_of(properties: dict[str, Any]) -> tuple[str, str, str]:
    version = properties.get("latestVersionId", properties.get("versionId"))
    return version, properties["imageSetState"], properties["imageSetWorkflowStatus"]


def test_a_copy_into_a_new_image_set_begins_at_its_version_1(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, source = clinic_with_one
    answer = ours.copy(source)
    destination = answer["destinationImageSetProperties"]
    assert state_of(answer["sourceImageSetProperties"]) == ("1", "LOCKED", "COPYING_WITH_READ_ONLY_ACCESS")
    assert state_of(destination) == ("1", "LOCKED", "COPYING")
    assert destination["imageSetId"] != source
    assert destination["imageSetArn"].endswith(
        f"datastore/{ours.datastore_id}/imageset/{destination['imageSetId']}"
    )
    assert ours.statuses(destination["imageSetId"]) == [("1", "ACTIVE", "COPIED")]
    assert "updatedAt" not in ours.versions(destination["imageSetId"])[0]


def test_a_copy_adds_a_version_to_its_destination_and_none_to_its_source(
    clinic_with_one: tuple[Clinic, str],
) -> None:
    ours, source = clinic_with_one
    first, second = ours.instances(source)
    answer = ours.copy(source, subset=ours.naming(source, first))
    destination = answer["destinationImageSetProperties"]["imageSetId"]
    before = ours.versions(source)
    answer = ours.copy(source, destination, subset=ours.naming(source, second))
    assert state_of(answer["destinationImageSetProperties"]) == ("2", "LOCKED", "COPYING")
    assert ours.statuses(destination) == [("2", "ACTIVE", "COPIED"), ("1", "ACTIVE", "COPIED")]
    assert ours.versions(source) == before


def test_source_and_destination_are_locked_while_the_copy_runs(
    clinic_with_two: tuple[Clinic, str, str],
) -> None:
    ours, source, destination = clinic_with_two
    takes_reads(2)
    ours.copy(source, destination, force=True)
    assert ours.statuses(source) == [("1", "LOCKED", "COPYING_WITH_READ_ONLY_ACCESS")]
    assert ours.statuses(destination)[0] == ("2", "LOCKED", "COPYING")
    assert ours.statuses(source) == [("1", "ACTIVE", "CREATED")]
    assert ours.statuses(destination)[0] == ("2", "ACTIVE", "COPIED")


def test_a_copy_between_different_series_fails_and_leaves_a_version_that_says_why(
    clinic_with_two: tuple[Clinic, str, str],
) -> None:
    ours, source, destination = clinic_with_two
    answer = ours.copy(source, destination)
    assert state_of(answer["destinationImageSetProperties"]) == ("2", "LOCKED", "COPYING")
    newest = ours.versions(destination)[0]
    assert (newest["imageSetState"], newest["ImageSetWorkflowStatus"]) == ("ACTIVE", "COPY_FAILED")
    assert newest["message"] == SERIES_DIFFER
    ours.update(destination, "2")
    assert ours.statuses(destination)[0] == ("3", "ACTIVE", "UPDATED")
    assert "message" not in ours.versions(destination)[0]


def test_force_copies_between_different_series_and_the_version_shows_it(
    clinic_with_two: tuple[Clinic, str, str],
) -> None:
    ours, source, destination = clinic_with_two
    ours.copy(source, destination, force=True)
    newest, oldest = ours.versions(destination)
    assert newest["ImageSetWorkflowStatus"] == "COPIED"
    assert newest["overrides"] == {"forced": True}
    assert "overrides" not in oldest


def test_a_copy_of_an_invalid_subset_fails(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, source = clinic_with_one
    copied = ours.copy(source, subset="{no json")["destinationImageSetProperties"]["imageSetId"]
    (entry,) = ours.versions(copied)
    assert entry["ImageSetWorkflowStatus"] == "COPY_FAILED"
    assert entry["message"] == "INVALID_REQUEST: copiableAttributes is not valid JSON."


def test_a_copy_is_not_primary_unless_it_is_promoted(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, source = clinic_with_one
    copied = ours.copy(source)["destinationImageSetProperties"]["imageSetId"]
    promoted = ours.copy(copied, promoteToPrimary=True)["destinationImageSetProperties"]["imageSetId"]
    assert len({source, copied, promoted}) == 3
    assert [ours.get(one)["isPrimary"] for one in (source, copied, promoted)] == [True, False, True]


def test_promoting_takes_no_destination(clinic_with_two: tuple[Clinic, str, str]) -> None:
    ours, source, destination = clinic_with_two
    assert error_of(ours.copy, source, destination, promoteToPrimary=True)[:2] == INVALID


def test_an_image_set_is_not_copied_into_itself(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, source = clinic_with_one
    assert error_of(ours.copy, source, source)[:2] == INVALID
    assert ours.statuses(source) == [("1", "ACTIVE", "CREATED")]


@pytest.mark.parametrize("stale", [{"source_version": "2"}, {"destination_version": "2"}])
def test_a_copy_of_a_version_that_is_not_the_latest_is_refused(
    clinic_with_two: tuple[Clinic, str, str], stale: dict[str, str]
) -> None:
    ours, source, destination = clinic_with_two
    code, status, message = error_of(ours.copy, source, destination, **stale)
    assert (code, status) == NOT_FOUND
    assert message == "Requested version(s) of ImageSet(s) is not the latest."
    assert ours.statuses(source) == ours.statuses(destination) == [("1", "ACTIVE", "CREATED")]


def test_an_update_answers_with_the_version_it_makes(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    assert state_of(ours.update(image_set, "1")) == ("2", "LOCKED", "UPDATING")
    assert ours.statuses(image_set) == [("2", "ACTIVE", "UPDATED"), ("1", "ACTIVE", "CREATED")]


def test_all_versions_share_the_creation_and_differ_in_the_update(
    clinic_with_one: tuple[Clinic, str],
) -> None:
    ours, image_set = clinic_with_one
    ours.update(image_set, "1")
    ours.update(image_set, "2")
    third, second, first = ours.versions(image_set)
    assert first["createdAt"] == second["createdAt"] == third["createdAt"]
    assert first["createdAt"] <= second["updatedAt"] <= third["updatedAt"]
    assert "updatedAt" not in first


def test_an_update_changes_what_a_search_finds(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, primary = clinic_with_one
    image_set = ours.not_primary(primary)
    ours.delete(primary)
    document = {
        "SchemaVersion": 1.1,
        "Patient": {"DICOM": {"PatientID": "4711", "PatientName": "ANON^ANON"}},
        "Study": {"DICOM": {"StudyDescription": "CHEST"}},
    }
    before = ours.search()[0]["DICOMTags"]["DICOMPatientId"]
    ours.update(image_set, "1", document)
    tags = ours.search()[0]["DICOMTags"]
    assert (tags["DICOMPatientId"], tags["DICOMPatientName"]) == ("4711", "ANON^ANON")
    removal = b'{"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "CHEST"}}}'
    ours.send_update(image_set, "2", {"DICOMUpdates": {"removableAttributes": removal}})
    assert "DICOMStudyDescription" not in ours.search()[0]["DICOMTags"]
    ours.revert(image_set, "3", to="1")
    assert ours.search()[0]["DICOMTags"]["DICOMPatientId"] == before


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"no json", "updatableAttributes is not valid JSON."),
        ([1], "updatableAttributes must be a JSON object with a SchemaVersion."),
        ({"Patient": {}}, "updatableAttributes must be a JSON object with a SchemaVersion."),
        ({"SchemaVersion": 1.1}, "updatableAttributes must have a Patient or a Study."),
        ({"SchemaVersion": 1.1, "Patient": "X"}, "Patient in updatableAttributes must be a JSON object."),
        (
            {"SchemaVersion": 1.1, "Study": {"Series": {"1.2": {"DICOM": {}}}}},
            "updatableAttributes names a series that the image set does not hold.",
        ),
        (
            {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyID": "1"}}},
            "updatableAttributes changes StudyID, which needs force.",
        ),
    ],
)
def test_an_update_that_cannot_be_applied_fails_later_and_says_why(
    clinic_with_one: tuple[Clinic, str], document: Any, reason: str
) -> None:
    ours, image_set = clinic_with_one
    assert state_of(ours.update(image_set, "1", document)) == ("2", "LOCKED", "UPDATING")
    newest = ours.versions(image_set)[0]
    assert (newest["imageSetState"], newest["ImageSetWorkflowStatus"]) == ("ACTIVE", "UPDATE_FAILED")
    assert newest["message"] == f"INVALID_REQUEST: {reason}"


def test_force_changes_identifiers(clinic_with_two: tuple[Clinic, str, str]) -> None:
    ours, first, primary = clinic_with_two
    second = ours.not_primary(primary)
    of_first, of_second = (ours.metadata(each)["Study"]["Series"] for each in (first, second))
    ((attributes,), (series_uid,)) = (one["DICOM"] for one in of_first.values()), of_second
    change = {"Series": {series_uid: {"DICOM": attributes}}}
    ours.update(second, "1", {"SchemaVersion": 1.1, "Study": change}, force=True)
    assert ours.versions(second)[0]["overrides"] == {"forced": True}
    ours.copy(first, second, destination_version="2")
    assert ours.statuses(second)[0] == ("3", "ACTIVE", "COPIED")


def test_a_revert_goes_forward(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    ours.update(image_set, "1")
    ours.update(image_set, "2")
    assert state_of(ours.revert(image_set, "3", to="1")) == ("4", "LOCKED", "UPDATING")
    assert [entry[0] for entry in ours.statuses(image_set)] == ["4", "3", "2", "1"]


def test_a_revert_to_a_version_that_does_not_exist_is_refused(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    assert error_of(ours.revert, image_set, "1", to="7")[:2] == NOT_FOUND
    assert ours.statuses(image_set) == [("1", "ACTIVE", "CREATED")]


def test_an_update_of_a_version_that_is_not_the_latest_is_refused(
    clinic_with_one: tuple[Clinic, str],
) -> None:
    ours, image_set = clinic_with_one
    ours.update(image_set, "1")
    assert error_of(ours.update, image_set, "1") == (
        *NOT_FOUND,
        "Requested version(s) of ImageSet(s) is not the latest.",
    )


@pytest.mark.parametrize(
    "updates",
    [
        {},
        {"DICOMUpdates": {"updatableAttributes": b"{}"}, "revertToVersionId": "1"},
        {"DICOMUpdates": {}},
        {"revertToVersionId": "one"},
    ],
)
def test_an_update_is_either_a_change_or_a_revert(clinic_with_one: tuple[Clinic, str], updates: Any) -> None:
    ours, image_set = clinic_with_one
    assert error_of(ours.send_update, image_set, "1", updates)[:2] == INVALID


def test_an_update_of_the_study_bumps_all_its_primary_image_sets() -> None:
    with clinic() as ours:
        first, second, third = ours.import_image_sets(3)
        (elsewhere,) = ours.import_image_sets(1, "s3://bucket/another-study")
        copied = ours.copy(third)["destinationImageSetProperties"]["imageSetId"]
        assert ours.statuses(third) == [("1", "ACTIVE", "CREATED")]
        assert ours.statuses(copied) == [("1", "ACTIVE", "COPIED")]
        takes_reads(2)
        ours.update(first, "1", includeStudyImageSets=True)
        assert ours.statuses(first)[0] == ("2", "LOCKED", "UPDATING")
        for sibling in (second, third):
            assert ours.statuses(sibling)[0] == ("2", "LOCKED", "UPDATING_FOR_STUDY_CONSISTENCY")
            assert ours.statuses(sibling)[0] == ("2", "ACTIVE", "UPDATED")
        assert ours.statuses(elsewhere) == [("1", "ACTIVE", "CREATED")]
        assert ours.statuses(copied) == [("1", "ACTIVE", "COPIED")]
        tags = {one["imageSetId"]: one["DICOMTags"] for one in ours.search()}
        assert tags[first]["DICOMStudyDescription"] == tags[second]["DICOMStudyDescription"] == "CHEST"
        assert tags[first]["DICOMSeriesInstanceUID"] != tags[second]["DICOMSeriesInstanceUID"]


def test_an_update_of_the_study_changes_all_or_none(clinic_with_two: tuple[Clinic, str, str]) -> None:
    ours, first, second = clinic_with_two
    takes_reads(9)
    ours.update(second, "1")
    assert error_of(ours.update, first, "1", includeStudyImageSets=True)[:2] == CONFLICT
    assert ours.statuses(first) == [("1", "ACTIVE", "CREATED")]


def test_a_revert_does_not_go_with_the_study(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    assert error_of(ours.revert, image_set, "1", to="1", includeStudyImageSets=True)[:2] == INVALID


def test_nothing_writes_to_a_locked_image_set(clinic_with_two: tuple[Clinic, str, str]) -> None:
    ours, first, second = clinic_with_two
    takes_reads(99)
    ours.update(first, "1")
    writes = [
        lambda: ours.update(first, "2"),
        lambda: ours.revert(first, "2", to="1"),
        lambda: ours.copy(first, source_version="2"),
        lambda: ours.copy(second, first, destination_version="2"),
        lambda: ours.delete(first),
    ]
    for write in writes:
        code, status, message = error_of(write)
        assert (code, status) == CONFLICT
        assert message == f"ImageSet {first} is LOCKED with workflow status UPDATING."
    assert ours.statuses(first)[0] == ("2", "LOCKED", "UPDATING")
    assert ours.statuses(second) == [("1", "ACTIVE", "CREATED")]


def test_a_write_right_after_the_last_meets_its_result(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    for latest in range(1, 12):
        ours.update(image_set, str(latest))
    assert [entry[0] for entry in ours.statuses(image_set)] == [str(number) for number in range(12, 0, -1)]


def test_a_deletion_marks_the_latest_version_and_adds_none(clinic_with_one: tuple[Clinic, str]) -> None:
    ours, image_set = clinic_with_one
    takes_reads(2)
    ours.update(image_set, "1")
    assert ours.statuses(image_set)[0][2] == "UPDATING"
    assert ours.statuses(image_set)[0][2] == "UPDATED"
    answer = ours.delete(image_set)
    assert (answer["imageSetState"], answer["imageSetWorkflowStatus"]) == ("LOCKED", "DELETING")
    assert ours.statuses(image_set) == [("2", "LOCKED", "DELETING"), ("1", "ACTIVE", "CREATED")]
    assert ours.statuses(image_set) == [("2", "DELETED", "DELETED"), ("1", "ACTIVE", "CREATED")]
    newest, oldest = ours.versions(image_set)
    assert newest["deletedAt"] >= newest["updatedAt"]
    assert "deletedAt" not in oldest


def test_a_deleted_image_set_can_be_read_but_neither_searched_nor_written(
    clinic_with_one: tuple[Clinic, str],
) -> None:
    ours, image_set = clinic_with_one
    ours.delete(image_set)
    assert state_of(ours.get(image_set)) == ("1", "DELETED", "DELETED")
    assert ours.search() == []
    for write in (
        lambda: ours.update(image_set, "1"),
        lambda: ours.copy(image_set),
        lambda: ours.delete(image_set),
    ):
        assert error_of(write)[:2] == NOT_FOUND
