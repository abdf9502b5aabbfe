"""One outcome in every mode: a gate on a list, poking, rescheduled and deferred."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from support import (
    DATASTORE,
    Answer,
    image_set_entry,
)
from waits import (
    BUSY,
    FAILED,
    READY,
    asked_about,
    aws,
    event_of,
    image_sets,
    listing,
    refusal,
)

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

GONE = refusal("ResourceNotFoundException", "gone", 404)
DENIED = refusal("AccessDeniedException", "by policy", 403)
DELETED = image_set_entry(2, "DELETED", "DELETED")
READ_ONLY = image_set_entry(1, "COPYING_WITH_READ_ONLY_ACCESS", "LOCKED")

# What the ids of a list show, the sensor's arguments, and what comes of it: ids or an error.
OUTCOMES: list[tuple[str, list[Answer], dict[str, Any], str]] = [
    ("all ready", [listing(READY)] * 3, {}, "open"),
    ("one failed", [listing(READY), listing(FAILED), listing(READY)], {}, "VersionFailedError"),
    ("one failed, fail fast", [listing(READY), listing(FAILED)], {"fail_fast": True}, "VersionFailedError"),
    ("failed is settled", [listing(FAILED), listing(READY)], {"wait_until": "settled"}, "open"),
    ("one deleted", [listing(READY), listing(DELETED)], {}, "VersionDeletedError"),
    ("deleted is settled", [listing(DELETED)] * 2, {"wait_until": "settled"}, "open"),
    ("all deleted or gone", [listing(DELETED), GONE, listing()], {"wait_until": "deleted"}, "open"),
    ("one missing", [listing(READY), GONE], {"not_found_retries": 0}, "ResourceMissingError"),
    ("failed and missing", [listing(FAILED), GONE], {"not_found_retries": 0}, "VersionFailedError"),
    ("access denied", [listing(READY), DENIED], {}, "AwsCallError"),
    ("busy", [listing(READY), listing(BUSY)], {"timeout": 0.3}, "AirflowSensorTimeout"),
    ("read only", [listing(READY), listing(READ_ONLY)], {"allow_read_only": True}, "open"),
    ("read only, but busy", [listing(READ_ONLY)] * 2, {"timeout": 0.3}, "AirflowSensorTimeout"),
    ("unreadable", [listing(READY), listing(dict(READY, versionId="x"))], {}, "UnexpectedAnswerError"),
]


class _Task:
    """What a sensor's context needs, and what it leaves: its XComs."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.first: Any = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> Any:
        return self.first


def outcome(mode: str, make: Any) -> tuple[Any, ...]:
    """Run a sensor to its end in a mode: its state, the class of its error, what it returns, its XComs."""
    from airflow.exceptions import AirflowRescheduleException
    from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
    from airflow.sdk.bases.operator import ExecutorSafeguard

    ti = _Task()
    context: Any = {"ti": ti, "task_reschedule_count": 0}
    sensor = make(deferrable=mode == "deferrable", mode="reschedule" if mode == "reschedule" else "poke")
    sentinel = {f"{type(sensor).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    try:
        while True:
            try:
                returned = sensor.execute(context, **sentinel)
            except AirflowRescheduleException:
                from airflow.sdk import timezone

                ti.first = ti.first or timezone.utcnow()
                context["task_reschedule_count"] += 1
                sensor = make(deferrable=False, mode="reschedule")
                time.sleep(0.02)
                continue
            except TaskDeferred as left:
                event = asyncio.run(asyncio.wait_for(event_of(left.trigger), 30))  # type: ignore[arg-type]
                json.dumps(event)
                returned = sensor.resume_execution(left.method_name, {"event": event}, context)
            return "success", None, returned, ti.xcoms
    except AirflowSkipException:
        return "skipped", None, None, ti.xcoms
    except Exception as error:  # noqa: BLE001  # whichever it is, is what is compared
        return "failed", type(error).__name__, None, ti.xcoms


@pytest.mark.parametrize("soft_fail", [False, True], ids=["", "soft fail"])
@pytest.mark.parametrize(
    ("name", "answers", "more", "expected"), OUTCOMES, ids=[each[0] for each in OUTCOMES]
)
def test_a_gate_on_a_list_ends_alike_in_all_modes(
    name: str,
    answers: list[Answer],
    more: dict[str, Any],
    expected: str,
    soft_fail: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = image_sets(len(answers))

    def make(**mode: Any) -> HealthImagingImageSetVersionSensor:
        return HealthImagingImageSetVersionSensor(
            task_id="wait",
            datastore_id=DATASTORE,
            image_set_id=ids,
            poke_interval=0.05,
            soft_fail=soft_fail,
            **({"timeout": timedelta(minutes=1)} | more | mode),
        )

    with aws(monkeypatch, lambda asked: answers[int(asked_about(asked))]):
        outcomes = {mode: outcome(mode, make) for mode in ("poke", "reschedule", "deferrable")}
    assert outcomes["poke"] == outcomes["reschedule"] == outcomes["deferrable"]
    state, error, returned, xcoms = outcomes["poke"]
    if expected == "open":
        assert state == "success"
        assert len(returned) == len(ids)
    elif soft_fail and expected == "AirflowSensorTimeout":
        assert state == "skipped"
    else:
        assert (state, error) == ("failed", expected)
    assert len(xcoms) == 1, "the link to the console"
