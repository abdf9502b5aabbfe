"""A gate that finds its image sets by a search, in poke, reschedule and deferrable mode."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from modes import MODES, Outcome, ended
from studies import ACCESSION, SECRETS, STUDY, add, entry, image_set_id, once, searches, series_of
from support import (
    DATASTORE,
    Answer,
    Asked,
    changes_after,
    connection_json,
    context_of,
    image_set_entry,
    list_calls,
    logged,
    stub_aws,
)
from test_not_found_in_a_row import StateStore

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import (
    AwsCallError,
    InvalidIdentityError,
    NothingFoundError,
    VersionFailedError,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

pytestmark = pytest.mark.usefixtures("aws_connection")

# Airflow 3.3 and newer keep what a rescheduled gate has found; earlier releases keep nothing.
EVERY = [*MODES, "reschedule without a state store"]
IN_EVERY_MODE = pytest.mark.parametrize("mode", EVERY)


def gate(**more: Any) -> HealthImagingImageSetVersionSensor:
    return HealthImagingImageSetVersionSensor(**{"datastore_id": DATASTORE, **more})


def outcome_of(mode: str, **more: Any) -> Outcome:
    kept = {"task_state_store": StateStore()} if mode == "reschedule" else {}
    return ended(gate, mode.partition(" ")[0], **kept, **more)


def ids(outcome: Outcome) -> set[str]:
    assert outcome.error is None, outcome.error
    return {each["imageSetId"] for each in outcome.value}


# --- the ways to name image sets ---


@IN_EVERY_MODE
@pytest.mark.parametrize(
    ("way", "found"),
    [
        ({"study_instance_uid": STUDY}, {1, 2}),
        ({"series_instance_uid": series_of(2)}, {2}),
        ({"accession_number": ACCESSION}, {1, 2}),
        ({"accession_number": 4711}, {3}),
        ({"all_in_datastore": True}, {1, 2, 3}),
        ({"all_in_datastore": True, "updated_after": "2023-03-28T18:13:07"}, {4}),
    ],
    ids=str,
)
def test_the_image_sets_of_a_search_are_waited_for(mode: str, way: dict[str, Any], found: set[int]) -> None:
    add(1, 2)
    add(3, DICOMAccessionNumber="4711", DICOMStudyInstanceUID="1.2.3")
    if "updated_after" in way:
        late = image_set_entry(2, imageSetId=image_set_id(4))
        load({"healthimaging": {DATASTORE: {image_set_id(4): [late]}}})
    outcome = outcome_of(mode, **way)
    assert ids(outcome) == set(map(image_set_id, found))
    json.dumps(outcome.value)


@IN_EVERY_MODE
def test_a_search_gate_waits_until_all_are_ready(mode: str) -> None:
    with changes_after(polls=3):
        add(1, status="IMPORTING", state="LOCKED")
        add(2)
        outcome = outcome_of(mode, study_instance_uid=STUDY)
    assert ids(outcome) == {image_set_id(1), image_set_id(2)}
    assert {each["imageSetState"] for each in outcome.value} == {"ACTIVE"}


@IN_EVERY_MODE
def test_a_failed_image_set_fails_the_gate(mode: str) -> None:
    add(1, status="IMPORT_FAILED")
    add(2)
    error = outcome_of(mode, study_instance_uid=STUDY).error
    assert type(error) is VersionFailedError
    assert image_set_id(1) in str(error)


@pytest.mark.parametrize("mode", MODES)
def test_without_settle_for_there_is_one_search(mode: str) -> None:
    with changes_after(polls=3):
        add(1, status="IMPORTING", state="LOCKED")
        assert ids(outcome_of(mode, study_instance_uid=STUDY)) == {image_set_id(1)}
    assert searches() == 1


# --- settle_for ---


@IN_EVERY_MODE
def test_an_image_set_that_appears_while_the_gate_settles_is_waited_for_too(mode: str) -> None:
    add(1)
    with once(lambda: searches() == 1, lambda: add(2)):
        outcome = outcome_of(mode, study_instance_uid=STUDY, settle_for=1.5)
    assert ids(outcome) == {image_set_id(1), image_set_id(2)}


@IN_EVERY_MODE
def test_the_gate_opens_only_when_no_search_has_found_anything_new_for_so_long(mode: str) -> None:
    add(1)
    began = datetime.now(UTC)
    outcome = outcome_of(mode, study_instance_uid=STUDY, settle_for=timedelta(seconds=1))
    assert ids(outcome) == {image_set_id(1)}
    assert datetime.now(UTC) - began >= timedelta(seconds=1)
    assert searches() == 2


@IN_EVERY_MODE
def test_an_empty_result_waits_for_the_first_image_set(mode: str) -> None:
    load({"healthimaging": {DATASTORE: {}}})
    with once(lambda: searches() == 1, lambda: add(1)):
        outcome = outcome_of(mode, study_instance_uid=STUDY, settle_for=1.5)
    assert ids(outcome) == {image_set_id(1)}


@IN_EVERY_MODE
def test_a_gate_that_settles_times_out(mode: str) -> None:
    add(1)
    outcome = outcome_of(mode, study_instance_uid=STUDY, settle_for=600, timeout=4)
    assert type(outcome.error) is AirflowSensorTimeout
    assert "Last seen: 1 of 1 ready" in str(outcome.error)


# --- nothing found ---


@IN_EVERY_MODE
@pytest.mark.parametrize("settle_for", [0, 0.5])
def test_an_empty_result_fails_the_gate(mode: str, settle_for: float) -> None:
    load({"healthimaging": {DATASTORE: {}}})
    outcome = outcome_of(mode, accession_number=ACCESSION, settle_for=settle_for)
    assert type(outcome.error) is NothingFoundError
    assert str(outcome.error).startswith("SearchImageSets found no image set by accession_number.")
    assert str(outcome.error).endswith(f"The search was in data store {DATASTORE}.")
    assert outcome.xcoms == {}


@IN_EVERY_MODE
@pytest.mark.parametrize("settle_for", [0, 0.5])
def test_an_empty_result_opens_where_it_may(mode: str, settle_for: float) -> None:
    load({"healthimaging": {DATASTORE: {}}})
    outcome = outcome_of(mode, accession_number=ACCESSION, settle_for=settle_for, allow_empty=True)
    assert (outcome.error, outcome.value) == (None, [])
    assert searches() == (2 if settle_for else 1)


@IN_EVERY_MODE
def test_nothing_found_ends_under_airflows_own_settings_as_a_failed_version_does(mode: str) -> None:
    load({"healthimaging": {DATASTORE: {}}})
    assert type(outcome_of(mode, study_instance_uid=STUDY, soft_fail=True).error) is NothingFoundError
    assert type(outcome_of(mode, study_instance_uid=STUDY, never_fail=True).error) is AirflowSkipException


@pytest.mark.parametrize("mode", MODES)
def test_under_silent_fail_nothing_found_is_searched_for_again(mode: str) -> None:
    load({"healthimaging": {DATASTORE: {}}})
    with once(lambda: searches() == 2, lambda: add(1)):
        outcome = outcome_of(mode, study_instance_uid=STUDY, silent_fail=True, timeout=30)
    assert ids(outcome) == {image_set_id(1)}


# --- trouble ---


@IN_EVERY_MODE
@pytest.mark.parametrize("settle_for", [0, 0.5])
def test_trouble_of_a_search_that_may_pass_is_waited_out(mode: str, settle_for: float) -> None:
    add(1)
    slower = {"code": "ThrottlingException", "message": "slower", "status": 429}
    inject_fault("medical-imaging", "SearchImageSets", error=slower, times=2)
    assert ids(outcome_of(mode, study_instance_uid=STUDY, settle_for=settle_for)) == {image_set_id(1)}


@IN_EVERY_MODE
def test_a_search_that_is_not_allowed_fails_at_once(mode: str) -> None:
    add(1)
    refusal = {"code": "AccessDeniedException", "message": "not yours"}
    inject_fault("medical-imaging", "SearchImageSets", error=refusal, times=None)
    error = outcome_of(mode, study_instance_uid=STUDY).error
    assert type(error) is AwsCallError
    assert str(error).startswith("AccessDeniedException from SearchImageSets: not yours.")
    assert searches() == 1


@IN_EVERY_MODE
def test_expired_credentials_have_the_connection_resolved_again(mode: str) -> None:
    add(1)
    expired = {"code": "ExpiredTokenException", "message": "expired"}
    inject_fault("medical-imaging", "SearchImageSets", error=expired, times=1)
    assert ids(outcome_of(mode, study_instance_uid=STUDY)) == {image_set_id(1)}


# --- what is shown, and what is stored ---


@IN_EVERY_MODE
@pytest.mark.parametrize(
    "way", [{"study_instance_uid": STUDY}, {"accession_number": ACCESSION}], ids=lambda way: next(iter(way))
)
def test_nothing_about_the_patient_reaches_a_log_an_xcom_or_an_error(
    mode: str, way: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    add(1, status="IMPORT_FAILED")
    (value,) = way.values()
    # AWS's own refusal may quote what was searched for.
    quoting = {
        "code": "ValidationException",
        "message": f"No search by {value} for DOE^JOHN today",
        "status": 400,
    }
    with logged() as printed:
        failed = outcome_of(mode, settle_for=0.5, **way)
        inject_fault(
            "medical-imaging", "SearchImageSets", error={**quoting, "message": f"Not {value}"}, times=None
        )
        refused = outcome_of(mode, **way)
    assert type(failed.error) is VersionFailedError
    assert type(refused.error) is AwsCallError
    assert f"Not <{next(iter(way))}>." in str(refused.error)
    assert refused.error.__cause__ is None
    assert refused.error.__suppress_context__
    everything = json.dumps([failed.xcoms, refused.xcoms]) + str(failed.error) + repr(refused.error)
    shown = everything + printed.getvalue() + "".join(record.getMessage() for record in ours(caplog))
    assert not [secret for secret in SECRETS if secret in shown]


def ours(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if "emulator" not in record.name]


@pytest.mark.parametrize("settle_for", [0, 5])
def test_a_trigger_stores_ids_and_nothing_that_was_searched_for(settle_for: float) -> None:
    with changes_after(polls=1_000_000):
        add(1, 2, status="IMPORTING", state="LOCKED")
        with pytest.raises(TaskDeferred) as deferred:
            gate(task_id="gate", accession_number=ACCESSION, settle_for=settle_for, deferrable=True).execute(
                context_of()
            )
    classpath, kwargs = deferred.value.trigger.serialize()
    assert sorted(kwargs["image_set_id"]) == [image_set_id(1), image_set_id(2)]
    assert ("not_before" in kwargs) is bool(settle_for)
    assert deferred.value.kwargs is None
    stored = json.dumps([classpath, kwargs])
    assert not [secret for secret in SECRETS if secret in stored]


def test_a_rescheduled_gate_keeps_ids_in_the_state_store_in_parts_that_fit() -> None:
    many = 3_200
    load({"healthimaging": {DATASTORE: {image_set_id(n): [entry(n)] for n in range(many)}}})
    store = StateStore()
    context = context_of(task_state_store=store, task_reschedule_count=0)
    sensor = gate(
        task_id="gate", accession_number=ACCESSION, mode="reschedule", settle_for=60, poke_interval=1
    )
    found = sensor._begin(context)
    assert max(len(json.dumps(value)) for value in store.values.values()) < 65_535
    assert not [secret for secret in SECRETS if secret in json.dumps(store.values)]
    again = gate(task_id="gate", accession_number=ACCESSION, mode="reschedule", settle_for=60)
    kept = again._begin(context_of(task_state_store=store, task_reschedule_count=1))
    assert (kept.ids, kept.since) == (found.ids, found.since)
    assert searches() == many // 50


def test_an_answer_that_cannot_be_read_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(raw=b'{"imageSetsMetadataSummaries": [{"DICOMTags": {"DICOMPatientName": "DOE^JOHN"')

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        with logged() as printed:
            error = outcome_of("poke", study_instance_uid=STUDY, timeout=0.3).error
    assert type(error) is AirflowSensorTimeout
    assert "SearchImageSets got an answer that cannot be read." in str(error)
    assert "DOE^JOHN" not in printed.getvalue() + str(error)


# --- arguments ---

ONE = "Give exactly one of image_set_id, study_instance_uid"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, f"{ONE}.*none is given"),
        (
            {"image_set_id": "a" * 32, "study_instance_uid": STUDY},
            f"{ONE}.*image_set_id and study_instance_uid",
        ),
        ({"accession_number": ACCESSION, "all_in_datastore": True}, ONE),
        ({"all_in_datastore": "yes"}, "all_in_datastore must be True or False"),
        (
            {"accession_number": ACCESSION, "updated_after": "2026-11-20"},
            "updated_after goes with all_in_datastore",
        ),
        ({"study_instance_uid": STUDY, "settle_for": -1}, "settle_for must be"),
        ({"study_instance_uid": STUDY, "settle_for": "soon"}, "settle_for must be"),
    ],
)
def test_a_mistake_shows_when_the_dag_is_parsed(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        gate(task_id="gate", **bad)
    assert not [secret for secret in SECRETS if secret in str(raised.value)]


HOSTILE = f"{STUDY}\n\x1b[31m<script>"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "bad",
    [
        {"study_instance_uid": HOSTILE},
        {"series_instance_uid": "1.2.840.ABC"},
        {"series_instance_uid": 1.2},
        {"study_instance_uid": ""},
        {"study_instance_uid": "None"},
        {"accession_number": ""},
        {"accession_number": ACCESSION * 100},
        {"accession_number": [ACCESSION]},
        {"accession_number": 1e30},
        {"all_in_datastore": True, "updated_after": ""},
        {"all_in_datastore": True, "updated_after": "None"},
        {"datastore_id": "clinic", "study_instance_uid": STUDY},
    ],
    ids=lambda bad: f"{bad}"[:40],
)
def test_what_cannot_be_searched_for_is_refused_before_any_request(mode: str, bad: dict[str, Any]) -> None:
    outcome = outcome_of(mode, silent_fail=True, **bad)
    assert isinstance(outcome.error, ValueError)
    assert list(bad)[-1 if "updated_after" in bad else 0] in str(outcome.error)
    assert calls() == {}
    assert not [secret for secret in SECRETS if secret in str(outcome.error)]


@pytest.mark.parametrize("mode", MODES)
def test_an_accession_number_may_hold_anything(mode: str) -> None:
    odd = "Ü-17 \N{RIGHT-TO-LEFT OVERRIDE}'\"<b>{{ x }}"
    add(1, DICOMAccessionNumber=odd)
    assert ids(outcome_of(mode, accession_number=odd)) == {image_set_id(1)}


def test_the_console_link_leads_to_the_first_image_set_that_was_found() -> None:
    add(1)
    links = [outcome_of(mode, study_instance_uid=STUDY).xcoms["healthimaging_image_set"] for mode in MODES]
    assert [link["image_set_id"] for link in links] == [image_set_id(1)] * len(MODES)


def test_a_version_is_that_of_every_image_set_that_is_found() -> None:
    add(1, 2)
    assert ids(outcome_of("deferrable", study_instance_uid=STUDY, version=1)) == {
        image_set_id(1),
        image_set_id(2),
    }
    assert type(outcome_of("poke", study_instance_uid=STUDY, version="first").error) is InvalidIdentityError
    assert list_calls() == 2
