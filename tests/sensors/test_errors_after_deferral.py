"""Every named error arrives whole in the task, from the triggerer as from a poke."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.models.trigger import Trigger
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE_SET,
    MISMATCH,
    Answer,
    connection_json,
    image_set_entry,
    stub_aws,
)

from airflow_imgver.exceptions import (
    AwsCallError,
    GateError,
    ImportJobFailedError,
    InvalidIdentityError,
    ManifestMissingError,
    ResourceMissingError,
    TriggerFailedError,
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.gate.events import error_event, error_of
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

CALL: dict[str, Any] = {
    "operation": "ListImageSetVersions",
    "code": "AccessDeniedException",
    "transient": True,
    "expired": True,
    "answered": True,
}
ERRORS: list[GateError] = [
    *(
        error("what happened.", about="It is version 2.")
        for error in (
            VersionFailedError,
            VersionDeletedError,
            ImportJobFailedError,
            UnexpectedAnswerError,
            InvalidIdentityError,
            TriggerFailedError,
        )
    ),
    *(
        error("what happened.", about="The call was.", **CALL)
        for error in (AwsCallError, ResourceMissingError, ManifestMissingError)
    ),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_event_holds_all_of_an_error(error: GateError) -> None:
    # As Airflow stores an event in its database.
    event = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(error_event(error)))
    again = error_of(event["error"], event["message"], event["details"])
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize("details", [None, "text", {"unknown": 1}, {}])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_event_of_an_earlier_or_a_later_release_makes_the_same_class_with_the_whole_message(
    error: GateError, details: Any
) -> None:
    again = error_of(type(error).__name__, str(error), details)
    assert type(again) is type(error)
    assert str(again) == str(error)


BUSY = Answer({"imageSetPropertiesList": [image_set_entry(2, "COPYING", "LOCKED")]})


def refused(code: str, status: int) -> Answer:
    return Answer({"__type": code, "message": "AWS's own words"}, status=status)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("then", "error", "fields"),
    [
        (
            refused("AccessDeniedException", 403),
            AwsCallError,
            {"code": "AccessDeniedException", "operation": "ListImageSetVersions", "answered": True},
        ),
        (
            refused("ExpiredTokenException", 403),
            AwsCallError,
            {"code": "ExpiredTokenException", "expired": True},
        ),
        (
            refused("ResourceNotFoundException", 404),
            ResourceMissingError,
            {"code": "ResourceNotFoundException", "transient": False, "answered": True},
        ),
        (
            Answer({"imageSetPropertiesList": [image_set_entry(2, "COPY_FAILED", message=MISMATCH)]}),
            VersionFailedError,
            {"about": f"It is version 2 of image set {IMAGE_SET} in data store {DATASTORE}."},
        ),
    ],
)
def test_an_error_has_its_fields_in_every_mode(
    mode: str,
    then: Answer,
    error: type[GateError],
    fields: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first poll is the worker's; the triggerer meets the error.
    with stub_aws(lambda _: BUSY if len(stub.asked) == 1 else then) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        found = ended(
            HealthImagingImageSetVersionSensor, mode, datastore_id=DATASTORE, image_set_id=IMAGE_SET
        ).error
    assert type(found) is error
    assert {name: getattr(found, name) for name in fields} == fields
    assert IMAGE_SET in found.about
    assert str(found) == f"{found.message} {found.about}"
