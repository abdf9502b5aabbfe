"""Sequences of answers end the same in every mode; "not found" counts in a row, and not over all polls."""

from __future__ import annotations

from typing import Any

import pytest
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE_SET,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    stub_aws,
)

from airflow_imgver.exceptions import ResourceMissingError, VersionFailedError
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

OTHER = "f" * 32
MISSING = Answer({"__type": "ResourceNotFoundException", "message": "not found"}, status=404)
THROTTLED = Answer({"__type": "ThrottlingException", "message": "slower"}, status=429)


def shows(status: str, state: str = "ACTIVE", **more: Any) -> Answer:
    return Answer({"imageSetPropertiesList": [image_set_entry(2, status, state, **more)]})


BUSY, READY, FAILED = shows("COPYING", "LOCKED"), shows("COPIED"), shows("COPY_FAILED")

SEQUENCES = [
    ([BUSY, BUSY, BUSY, MISSING, READY], None),
    ([MISSING, MISSING, READY], None),
    ([MISSING, MISSING, BUSY, MISSING, MISSING, READY], None),
    ([MISSING, THROTTLED, MISSING, THROTTLED, READY], None),
    ([BUSY, BUSY, BUSY, BUSY, BUSY, READY], None),
    ([MISSING, MISSING, MISSING], ResourceMissingError),
    ([BUSY, MISSING, MISSING, MISSING], ResourceMissingError),
    ([MISSING, BUSY, MISSING, MISSING, MISSING], ResourceMissingError),
    ([MISSING, THROTTLED, MISSING, MISSING], ResourceMissingError),
    ([BUSY, MISSING, FAILED], VersionFailedError),
]


class StateStore:
    """Airflow 3.3's store of a task's state, which outlives a reschedule; JSON only."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = value


def outcome_of(
    answers: list[Answer], mode: str, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> tuple[Any, int]:
    """How a gate ends, and how many polls it took; the last answer stays."""
    left = list(answers)
    with stub_aws(lambda asked: left.pop(0) if len(left) > 1 else left[0]) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        outcome = ended(
            HealthImagingImageSetVersionSensor,
            mode,
            datastore_id=DATASTORE,
            image_set_id=IMAGE_SET,
            **more,
        )
        return outcome, len(stub.asked)


@pytest.mark.parametrize("mode", [*MODES, "reschedule without a state store"])
@pytest.mark.parametrize(("answers", "error"), SEQUENCES)
def test_a_sequence_of_answers_ends_the_same_in_every_mode(
    answers: list[Answer], error: type[Exception] | None, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "reschedule":
        outcome, polls = outcome_of(answers, mode, monkeypatch, task_state_store=StateStore())
    else:
        outcome, polls = outcome_of(answers, mode.partition(" ")[0], monkeypatch)
    assert (type(outcome.error) if outcome.error else None) is error
    if mode != "reschedule without a state store":
        assert polls == len(answers)


def test_the_count_is_of_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    store = StateStore()
    store.values["imgver_not_found"] = {"try": 7, "answers": {"another try": 2}}
    outcome, polls = outcome_of([MISSING, MISSING, READY], "reschedule", monkeypatch, task_state_store=store)
    assert (outcome.error, polls) == (None, 3)


@pytest.mark.parametrize("mode", MODES)
def test_each_id_of_a_list_has_a_count_of_its_own(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {IMAGE_SET: [MISSING, MISSING, READY], OTHER: [BUSY, MISSING, BUSY, MISSING, MISSING, READY]}

    def answer(asked: Asked) -> Answer:
        answers = left[asked.path.split("/")[4]]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        store = {"task_state_store": StateStore()} if mode == "reschedule" else {}
        outcome = ended(
            HealthImagingImageSetVersionSensor,
            mode,
            datastore_id=DATASTORE,
            image_set_id=[IMAGE_SET, OTHER],
            **store,
        )
    assert outcome.error is None
