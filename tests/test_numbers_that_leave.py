"""Numbers go through Airflow's messages, which refuse whole ones of more than 64 bits, and into JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE,
    Answer,
    connection_json,
    context_of,
    image_set_entry,
    image_version_entry,
    load_image_set,
    stub_aws,
)

from airflow_imgver.exceptions import InvalidIdentityError, UnexpectedAnswerError
from airflow_imgver.gate.events import open_event
from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.operators.sagemaker_image import SageMakerImageVersionReportOperator
from airflow_imgver.query import Query
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor
from airflow_imgver.text import as_plain

# A message of the triggerer that cannot be encoded for this reason ends its process.
TOO_LARGE = 2**64


@given(st.integers() | st.integers(min_value=TOO_LARGE) | st.integers(max_value=-(2**63) - 1))
def test_an_event_with_any_number_can_be_sent(number: int) -> None:
    event = open_event({"Version": number, "deep": [{"er": number}]})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event)) == event
    assert int(event["entry"]["Version"]) == number


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, TOO_LARGE - 1, -(2**63)])
def test_a_number_of_64_bits_stays_a_number(number: int) -> None:
    assert as_plain(number) == number


@pytest.fixture
def huge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub of SageMaker whose second answer numbers a version with more than 64 bits."""
    busy = Answer({"ImageVersions": [image_version_entry(1, "CREATING")]})
    too_large = Answer({"ImageVersions": [{**image_version_entry(1), "Version": TOO_LARGE}]})
    with stub_aws(lambda _: busy if len(stub.asked) == 1 else too_large) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        yield stub


@pytest.mark.parametrize("mode", MODES)
def test_a_version_number_of_more_than_64_bits_fails_its_gate(mode: str, huge: Any) -> None:
    outcome = ended(SageMakerImageVersionSensor, mode, image_name=IMAGE, wait_until="settled")
    assert type(outcome.error) is UnexpectedAnswerError
    assert str(TOO_LARGE) in str(outcome.error)


def test_a_version_number_of_more_than_64_bits_is_unreadable_in_a_report(huge: Any, tmp_path: Path) -> None:
    output = tmp_path / "report.parquet"
    report = SageMakerImageVersionReportOperator(
        task_id="report", image_names=["other", IMAGE], outputs=[str(output)]
    )
    summary = report.execute(context_of())
    assert (summary["read"], summary["unreadable"]) == (1, 1)
    assert "which is not a version number" in summary["unreadable_first"][0]["reason"]
    assert output.exists()


def test_a_gate_on_such_a_version_is_refused_when_it_begins() -> None:
    gate = SageMakerImageVersionSensor(task_id="gate", image_name=IMAGE, version=TOO_LARGE)
    with pytest.raises(InvalidIdentityError, match="version must be a version number"):
        gate.execute(context_of())


# --- queries, which make numbers of texts ---


@pytest.mark.parametrize(
    ("text", "number"),
    [("nan", None), ("1e999", None), ("-inf", None), ("9" * 40, "9" * 40), ("7", 7), ("0.5", 0.5)],
)
def test_a_query_makes_no_number_that_json_or_a_message_refuses(text: str, number: Any) -> None:
    found = Query("to_number(message)").search({"message": text})
    assert found == number
    json.dumps(found, allow_nan=False)
    msgspec.msgpack.encode(found)


@pytest.mark.usefixtures("aws_connection")
def test_a_list_operator_returns_a_query_that_can_be_stored() -> None:
    load_image_set(image_set_entry(1, message="nan"))
    operator = HealthImagingListImageSetVersionsOperator(
        task_id="list",
        datastore_id=DATASTORE,
        image_set_id=image_set_entry(1)["imageSetId"],
        query="[imageSetPropertiesList[0].to_number(message), '\ud800']",
    )
    assert operator.execute(context_of()) == [None, "\N{REPLACEMENT CHARACTER}"]
