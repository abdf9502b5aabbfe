"""Whatever AWS sends, what leaves for a database, an event, an XCom or a file can be stored and encoded."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE_SET,
    Answer,
    Asked,
    TaskInstance,
    connection_json,
    context_of,
    stub_aws,
)

from airflow_imgver.exceptions import AwsCallError, GateError, VersionFailedError
from airflow_imgver.gate.events import error_event, open_event, timeout_event
from airflow_imgver.operators.healthimaging import (
    HealthImagingListImageSetVersionsOperator,
    HealthImagingVersionReportOperator,
)
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.text import as_plain

HOSTILE = "nul \x00 half \ud83d a pair"
anything = st.text(st.characters(codec=None), max_size=30)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | anything
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=14))])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


def assert_storable(value: Any) -> None:
    """It is strict JSON in UTF-8, without what PostgreSQL refuses, and goes through Airflow's messages."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert "\\u0000" not in text
    assert json.loads(text) == value
    if all(-(2**63) <= number < 2**64 for number in integers(value)):
        msgspec.msgpack.encode(value)


def integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for member in value.values() for number in integers(member)]
    if isinstance(value, list):
        return [number for member in value for number in integers(member)]
    return [value] if isinstance(value, int) else []


@given(values)
def test_any_value_becomes_plain_json(value: Any) -> None:
    assert_storable(as_plain(value))


@pytest.mark.parametrize(
    "when", [datetime.min, datetime.max, datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))]
)
def test_a_time_at_the_edge_of_its_range_is_text(when: datetime) -> None:
    assert as_plain(when).startswith(("0001-01-01", "9999-12-31"))


def test_what_json_has_no_form_for_is_nothing_or_text() -> None:
    assert as_plain([math.nan, math.inf, b"\x00\xff", {1: 2}]) == [None, None, "AP8=", {"1": 2}]


@given(anything, anything)
def test_the_events_of_a_trigger_can_be_stored(message: str, about: str) -> None:
    errors: list[GateError] = [
        VersionFailedError(message, about=about),
        AwsCallError(message, about=about, operation="ListImageVersions", code=message),
    ]
    for event in (open_event({message: about}), timeout_event(message), *map(error_event, errors)):
        assert_storable(event)


@pytest.fixture
def hostile_aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub of HealthImaging with one image set, whose copy failed with a message that no database takes."""
    entry = {
        "imageSetId": IMAGE_SET,
        "versionId": "1",
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "COPY_FAILED",
        "createdAt": 1680027126.436,
        "message": HOSTILE,
    }

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("searchImageSets"):
            return Answer({"imageSetsMetadataSummaries": [{"imageSetId": IMAGE_SET}]})
        # Written as JSON escapes, which botocore reads back as what they are.
        return Answer({"imageSetPropertiesList": [entry]})

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        yield stub


@pytest.mark.parametrize("mode", MODES)
def test_a_gate_returns_a_hostile_entry_that_can_be_stored(hostile_aws: Any, mode: str) -> None:
    outcome = ended(
        HealthImagingImageSetVersionSensor,
        mode,
        datastore_id=DATASTORE,
        image_set_id=IMAGE_SET,
        wait_until="settled",
    )
    assert outcome.error is None
    assert outcome.value["message"] == "nul � half � a pair"
    assert_storable(outcome.value)


def test_a_list_operator_returns_hostile_entries_that_can_be_stored(hostile_aws: Any) -> None:
    operator = HealthImagingListImageSetVersionsOperator(
        task_id="list", datastore_id=DATASTORE, image_set_id=IMAGE_SET
    )
    assert_storable(operator.execute(context_of()))


def test_a_report_on_hostile_entries_can_be_stored(hostile_aws: Any, tmp_path: Path) -> None:
    outputs = [str(tmp_path / f"report{suffix}") for suffix in (".html", ".csv", ".jsonl", ".parquet")]
    ti = TaskInstance()
    operator = HealthImagingVersionReportOperator(task_id="report", datastore_id=DATASTORE, outputs=outputs)
    assert_storable(operator.execute(context_of(ti)))
    for output in outputs[:3]:
        assert "\x00" not in Path(output).read_text(encoding="utf-8-sig")
