"""The operators that copy, update and delete image sets: what they return, refuse and wait for."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from acting import HEALTHIMAGING, Task, called
from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from modes import MODES
from support import DATASTORE, IMAGE_SET, MISMATCH, changes_after, client_of, image_set_entry

from airflow_imgver.emulator import inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import (
    AwsCallError,
    InvalidIdentityError,
    NotLatestVersionError,
    ResourceMissingError,
    UnexpectedEventError,
    VersionFailedError,
)
from airflow_imgver.operators.healthimaging import (
    HealthImagingCopyImageSetOperator,
    HealthImagingDeleteImageSetOperator,
    HealthImagingUpdateImageSetMetadataOperator,
)

SOURCE = "6f1d5f0c3a2b4e8d9c7a1b2c3d4e5f60"
COPY, UPDATE, DELETE = "CopyImageSet", "UpdateImageSetMetadata", "DeleteImageSet"
ATTRIBUTES = {"Study": {"DICOM": {"StudyDescription": "De-identified"}}}


@pytest.fixture(autouse=True)
def image_sets(aws_connection: str) -> None:
    source = [{**image_set_entry(1, "CREATED"), "imageSetId": SOURCE}]
    load({"healthimaging": {DATASTORE: {IMAGE_SET: [image_set_entry(1, "CREATED")], SOURCE: source}}})


def copy_task(mode: str = "poke", **more: Any) -> Task:
    given = {"datastore_id": DATASTORE, "source_image_set_id": SOURCE, "force": True, **more}
    return Task(HealthImagingCopyImageSetOperator, mode, given=given)


def update_task(mode: str = "poke", **more: Any) -> Task:
    given = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, "updates": ATTRIBUTES, **more}
    given = {name: value for name, value in given.items() if value is not None}
    return Task(HealthImagingUpdateImageSetMetadataOperator, mode, given=given)


def delete_task(mode: str = "poke", **more: Any) -> Task:
    given = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, **more}
    return Task(HealthImagingDeleteImageSetOperator, mode, given=given)


TASKS = [copy_task, update_task, delete_task]


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_into_an_image_set_returns_the_version_that_it_made_there(mode: str) -> None:
    with changes_after(polls=3):
        entry = copy_task(mode, destination_image_set_id=IMAGE_SET).run()
    assert (entry["imageSetId"], entry["versionId"]) == (IMAGE_SET, "2")
    assert entry["ImageSetWorkflowStatus"] == "COPIED"
    assert json.loads(json.dumps(entry)) == entry
    assert called(COPY) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_without_a_destination_returns_a_new_image_set(mode: str) -> None:
    with changes_after(polls=3):
        entry = copy_task(mode).run()
    assert entry["imageSetId"] not in (SOURCE, IMAGE_SET)
    assert entry["ImageSetWorkflowStatus"] == "COPIED"
    assert called(COPY) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_update_returns_the_version_that_it_made(mode: str, emulator_url: str) -> None:
    with changes_after(polls=3):
        entry = update_task(mode).run()
    assert (entry["versionId"], entry["ImageSetWorkflowStatus"]) == ("2", "UPDATED")
    assert called(UPDATE) == 1
    aws = client_of(HEALTHIMAGING, emulator_url)
    read = aws.get_image_set_metadata(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
    document = json.loads(gzip.decompress(read["imageSetMetadataBlob"].read()))
    assert document["Study"]["DICOM"]["StudyDescription"] == "De-identified"


@pytest.mark.parametrize("mode", MODES)
def test_a_revert_makes_a_new_version_of_an_older_one(mode: str) -> None:
    update_task().run()
    with changes_after(polls=3):
        entry = update_task(mode, updates=None, revert_to_version="1").run()
    assert (entry["versionId"], entry["ImageSetWorkflowStatus"]) == ("3", "UPDATED")


@pytest.mark.parametrize("mode", MODES)
def test_a_deletion_returns_the_last_entry(mode: str) -> None:
    with changes_after(polls=3):
        entry = delete_task(mode).run()
    assert entry["imageSetState"] == "DELETED"
    assert called(DELETE) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_copy_fails_as_the_gate_does_with_awss_reason(mode: str) -> None:
    with changes_after(polls=3), pytest.raises(VersionFailedError) as failed:
        copy_task(mode, destination_image_set_id=IMAGE_SET, force=False).run()
    assert MISMATCH in str(failed.value)


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_update_fails_with_awss_reason(mode: str) -> None:
    with changes_after(polls=3), pytest.raises(VersionFailedError, match="UPDATE_FAILED"):
        update_task(mode, updates={"Study": {"DICOM": {"NoSuchAttribute": "1"}}}).run()


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_waits_for_the_source_too_where_that_is_wanted(mode: str, emulator_url: str) -> None:
    with changes_after(polls=3):
        entry = copy_task(mode, wait_for_source=True).run()
        found = client_of(HEALTHIMAGING, emulator_url).list_image_set_versions(
            datastoreId=DATASTORE, imageSetId=SOURCE
        )
    assert entry["ImageSetWorkflowStatus"] == "COPIED"
    assert found["imageSetPropertiesList"][0]["imageSetState"] == "ACTIVE"


@pytest.mark.parametrize("make", TASKS)
def test_without_waiting_a_task_returns_what_aws_accepted(make: Any) -> None:
    with changes_after(polls=50):
        entry = make(wait_for_completion=False).run()
    assert entry["imageSetState"] == "LOCKED"
    assert set(entry) >= {"imageSetId", "ImageSetWorkflowStatus"}


@pytest.mark.parametrize("mode", MODES)
def test_a_locked_destination_is_waited_out_and_its_next_version_is_used(mode: str) -> None:
    with changes_after(polls=4):
        update_task(wait_for_completion=False).run()
        entry = copy_task(mode, destination_image_set_id=IMAGE_SET).run()
    assert (entry["versionId"], entry["ImageSetWorkflowStatus"]) == ("3", "COPIED")
    assert called(COPY) == 1, "AWS was not asked while the destination was locked"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "error",
    [
        {"code": "ThrottlingException", "message": "Rate exceeded"},
        {"code": "ServiceQuotaExceededException", "message": "100 copies"},
        {"code": "ConflictException", "message": "locked"},
    ],
    ids=lambda error: error["code"],
)
def test_a_refusal_that_passes_is_waited_out(mode: str, error: dict[str, Any]) -> None:
    inject_fault(HEALTHIMAGING, UPDATE, error=error, times=2)
    entry = update_task(mode).run()
    assert entry["versionId"] == "2"
    assert called(UPDATE) == 3


def test_what_never_passes_ends_with_the_timeout_and_the_last_obstacle() -> None:
    inject_fault(
        HEALTHIMAGING, UPDATE, error={"code": "ThrottlingException", "message": "slower"}, times=None
    )
    for mode in MODES:
        with pytest.raises(AirflowSensorTimeout, match="could not be started"):
            update_task(mode, timeout=0.3).run()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("make", "operation"), [(copy_task, COPY), (update_task, UPDATE), (delete_task, DELETE)]
)
def test_a_missing_permission_fails_at_once_and_names_the_call(mode: str, make: Any, operation: str) -> None:
    denied = {"code": "AccessDeniedException", "message": "not authorized"}
    inject_fault(HEALTHIMAGING, operation, error=denied, times=None)
    with pytest.raises(AwsCallError, match=f"AccessDeniedException from {operation}: not authorized"):
        make(mode).run()
    assert called(operation) == 1


@pytest.mark.parametrize("make", [update_task, delete_task])
def test_an_image_set_that_does_not_exist_is_awss_answer(make: Any) -> None:
    with pytest.raises(ResourceMissingError):
        make(image_set_id="0" * 32).run()


@pytest.mark.parametrize("given", ["3", 3])
def test_another_writer_who_was_first_is_named_as_the_reason(given: Any) -> None:
    update_task().run()
    update_task().run()
    update_task().run()
    with pytest.raises(NotLatestVersionError) as failed:
        update_task(latest_version=given).run()
    assert "not the latest" in str(failed.value)
    assert "Another writer was first" in str(failed.value)


NOT_ONE = "9" * 31
BAD = [
    (copy_task, {"datastore_id": NOT_ONE}, "datastore_id must be"),
    (copy_task, {"source_image_set_id": NOT_ONE}, "image_set_id must be"),
    (copy_task, {"destination_image_set_id": NOT_ONE}, "image_set_id must be"),
    (copy_task, {"source_version": "latest"}, "version must be a version number"),
    (copy_task, {"destination_image_set_id": SOURCE}, "is the source"),
    (copy_task, {"destination_version": 1}, "needs destination_image_set_id"),
    (copy_task, {"destination_image_set_id": IMAGE_SET, "promote_to_primary": True}, "Leave out it"),
    (copy_task, {"force": "perhaps"}, "force must be True or False"),
    (copy_task, {"copiable_attributes": {"Study": {"Series": {"1.x": {}}}}}, "must name each by its UID"),
    (copy_task, {"copiable_attributes": {"Study": {"Series": {"1" * 65: {}}}}}, "must name each by its UID"),
    (update_task, {"image_set_id": None}, "image_set_id"),
    (update_task, {"updates": "{not JSON"}, "updates is a text that is not JSON"),
    (update_task, {"updates": [1]}, "updates must be a dictionary, not a list"),
    (update_task, {"updates": {"SchemaVersion": 1.1}}, "the member Patient or the member Study"),
    (update_task, {"updates": {"Study": {"StudyDescription": "A"}}}, "belong into its DICOM"),
    (update_task, {"updates": {"Study": {"DICOM": {"StudyDescription": b"A"}}}}, "JSON cannot hold"),
    (update_task, {"updates": {"Study": {"DICOM": {"A": float("nan")}}}}, "JSON cannot hold"),
    (update_task, {"updates": {"Patient": {"DICOM": {"PatientName": "A" * 10_240}}}}, "takes 10240"),
    (update_task, {"revert_to_version": 1}, "Give either updates or removals"),
    (update_task, {"updates": None}, "Give either updates or removals"),
    (update_task, {"updates": None, "revert_to_version": "x"}, "version must be a version number"),
    (delete_task, {"image_set_id": "../" + "a" * 29}, "image_set_id must be"),
]


@pytest.mark.parametrize(("make", "given", "message"), BAD)
def test_what_cannot_be_valid_is_refused_before_any_request(
    make: Any, given: dict[str, Any], message: str
) -> None:
    task = make()
    task.given |= given
    with pytest.raises(ValueError, match=message) as refused:
        task.run()
    assert "AAAA" not in str(refused.value), "no value of an attribute is quoted"
    assert all(called(each) == 0 for each in (COPY, UPDATE, DELETE, "ListImageSetVersions"))


def test_a_copy_of_a_part_copies_the_instances_that_it_names(emulator_url: str) -> None:
    aws = client_of(HEALTHIMAGING, emulator_url)
    series_uid, series = next(iter(series_of(aws, SOURCE).items()))
    named = list(series["Instances"])[:1]
    part = {"Study": {"Series": {series_uid: {"Instances": {named[0]: {}}}}}}
    made = copy_task(copiable_attributes=part).run()
    copied = series_of(aws, made["imageSetId"])
    assert {uid: list(each["Instances"]) for uid, each in copied.items()} == {series_uid: named}


def series_of(aws: Any, image_set_id: str) -> dict[str, Any]:
    read = aws.get_image_set_metadata(datastoreId=DATASTORE, imageSetId=image_set_id)
    found: dict[str, Any] = json.loads(gzip.decompress(read["imageSetMetadataBlob"].read()))["Study"][
        "Series"
    ]
    return found


def test_a_task_that_is_not_deferred_is_not_explained() -> None:
    for make, operation in ((copy_task, COPY), (update_task, UPDATE), (delete_task, DELETE)):
        with pytest.raises(InvalidIdentityError, match=f"What a {operation} task has started"):
            make().make.identity_of(str, None)


def test_updates_may_be_json_or_the_text_that_a_template_makes_of_a_dictionary() -> None:
    for updates in (json.dumps(ATTRIBUTES), str(ATTRIBUTES), {"SchemaVersion": "1.1", **ATTRIBUTES}):
        assert update_task(updates=updates).run()["ImageSetWorkflowStatus"] == "UPDATED"


@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("event", [None, {}, {"status": "open"}, {"status": "closed"}, "turn"])
def test_a_strange_event_never_counts_as_success(make: Any, event: Any) -> None:
    operator = make().operator()
    for method in ("execute_complete", "act_again"):
        with pytest.raises(UnexpectedEventError):
            operator.resume_execution(method, {"event": event}, {"ti": Task(make).instance})


def test_a_bad_id_is_named_as_one() -> None:
    with pytest.raises(InvalidIdentityError):
        delete_task(image_set_id="A" * 32).run()


def test_reschedule_mode_without_a_store_is_refused_because_it_would_act_at_each_poke() -> None:
    task = update_task("reschedule")
    task.store = None
    with pytest.raises(ValueError, match="needs Airflow 3"):
        task.run()
    assert called(UPDATE) == 0


@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("name", ["wait_until", "version", "fail_fast"])
def test_the_arguments_of_the_gate_that_an_operator_sets_itself_are_refused(make: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        make(**{name: "ready"}).operator()
