"""The waiting half of a gate, on the embedded AWS: what ends it, what it waits out, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    Answer,
    Asked,
    changes_after,
    connection_json,
    image_set_entry,
    image_version_entry,
    in_pages,
    list_calls,
    load_image,
    load_image_set,
    logged,
    stub_aws,
    wait_for,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.triggers.base import ImageVersionTrigger
from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger
from airflow_imgver.triggers.sagemaker_image import SageMakerImageVersionTrigger
from airflow_imgver.text import as_plain

ONCE = {"retries": {"total_max_attempts": 1}}
EXPIRED = {"code": "ExpiredTokenException", "message": "The security token is expired"}
THROTTLED = {"code": "ThrottlingException", "message": "Rate exceeded"}


def image_set_trigger(**more: Any) -> HealthImagingImageSetVersionTrigger:
    given = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, "poke_interval": 0.05, **more}
    return HealthImagingImageSetVersionTrigger(**{"botocore_config": ONCE, **given})


def image_trigger(**more: Any) -> SageMakerImageVersionTrigger:
    return SageMakerImageVersionTrigger(
        **{"image_name": IMAGE, "poke_interval": 0.05, "botocore_config": ONCE, **more}
    )


def event_of(trigger: ImageVersionTrigger) -> dict[str, Any]:
    """The one event that a trigger sends, as JSON would carry it."""

    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(run())
    assert json.loads(json.dumps(payload)) == payload
    return payload


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Every trigger gives back its client: no thread of the pool outlives it."""
    yield
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("imgver-")])


@pytest.fixture
def nothing_changes(aws_connection: str) -> Iterator[None]:
    """A busy version in the embedded AWS stays busy, however often it is polled."""
    with changes_after(polls=1_000_000):
        yield


# --- what ends a wait -----------------------------------------------------------------------------------


def test_a_gate_opens_when_what_is_going_on_has_come_to_its_end(aws_connection: str) -> None:
    with changes_after(polls=3), logged() as log:
        load_image(image_version_entry(1, "CREATING"))
        event = event_of(image_trigger(version=image_version_entry(1)["ImageVersionArn"]))
    assert event["status"] == "open"
    assert (event["entry"]["Version"], event["entry"]["ImageVersionStatus"]) == (1, "CREATED")
    assert log.about("Waiting until ready: image studio-kernel: version 1 is CREATING")
    assert list_calls() >= 3


def test_a_gate_on_an_image_set_opens_when_the_busy_version_becomes_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polls = iter(["UPDATING", "UPDATING", "UPDATED"])

    def answer(asked: Asked) -> Answer:
        status = next(polls)
        entry = image_set_entry(4, status, "ACTIVE" if status == "UPDATED" else "LOCKED")
        return in_pages([[entry]], "medical-imaging")(asked)

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        assert event_of(image_set_trigger()) == {"status": "open", "entry": as_plain(image_set_entry(4))}
    assert len(stub.asked) == 3


def test_the_entry_of_an_open_gate_is_awss_with_times_as_text(aws_connection: str) -> None:
    load_image_set(image_set_entry(3), image_set_entry(4))
    assert event_of(image_set_trigger(version="3")) == {
        "status": "open",
        "entry": as_plain(image_set_entry(3)),
    }


def test_a_failed_version_ends_it_with_awss_reason(aws_connection: str) -> None:
    load_image_set(image_set_entry(1), image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    event = event_of(image_set_trigger())
    assert (event["status"], event["error"]) == ("error", "VersionFailedError")
    assert MISMATCH in event["message"]


def test_a_deleted_version_ends_it(aws_connection: str) -> None:
    load_image_set(image_set_entry(1), image_set_entry(2, "DELETED", "DELETED"))
    assert event_of(image_set_trigger(version=1))["error"] == "VersionDeletedError"
    assert event_of(image_set_trigger(wait_until="deleted"))["status"] == "open"


def test_something_missing_is_asked_for_so_many_times_more_and_then_ends_it(aws_connection: str) -> None:
    for retries in (0, 3):
        before = list_calls()
        event = event_of(image_trigger(not_found_retries=retries))
        assert event["error"] == "ResourceMissingError"
        assert list_calls() - before == retries + 1


def test_something_missing_opens_a_gate_on_deleted_with_no_entry(aws_connection: str) -> None:
    assert event_of(image_trigger(wait_until="deleted")) == {"status": "open", "entry": None}


def test_half_an_answer_does_not_open_a_gate_on_deleted(aws_connection: str) -> None:
    load_image(image_version_entry(1))
    inject_fault("sagemaker", "ListImageVersions", kind="truncate", times=None)
    event = event_of(image_trigger(wait_until="deleted", deadline=soon(1)))
    assert event["status"] == "timeout"


@pytest.mark.usefixtures("nothing_changes")
def test_a_deadline_ends_it_and_says_what_was_last_seen() -> None:
    load_image_set(image_set_entry(4, "UPDATING", "LOCKED"))
    started = time.monotonic()
    event = event_of(image_set_trigger(deadline=soon(1.5)))
    assert event == {
        "status": "timeout",
        "message": (
            f"The gate timed out. Last seen: image set {IMAGE_SET} in data store {DATASTORE}: "
            "version 4 is UPDATING (LOCKED)"
        ),
    }
    assert time.monotonic() - started < 5
    assert list_calls() >= 2


def test_a_long_pause_does_not_outlast_the_deadline(aws_connection: str) -> None:
    event = event_of(image_set_trigger(poke_interval=3600, deadline=soon(0.1)))
    assert event["message"].endswith("no version listed yet")
    assert list_calls() == 0


def test_a_deadline_that_passed_while_no_triggerer_ran_ends_it_at_once(aws_connection: str) -> None:
    load_image_set(image_set_entry(4, "UPDATING", "LOCKED"))
    assert event_of(image_set_trigger(deadline=soon(-60)))["status"] == "timeout"


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"error": THROTTLED}, {"kind": "http-500"}, {"kind": "drop"}])
def test_a_transient_error_is_waited_out_and_logged(aws_connection: str, fault: dict[str, Any]) -> None:
    load_image_set(image_set_entry(4))
    inject_fault("medical-imaging", "ListImageSetVersions", times=1, **fault)
    with logged() as log:
        assert event_of(image_set_trigger())["status"] == "open"
    (line,) = log.about("This may pass (1 so far, 1 in a row)")
    assert f"ListImageSetVersions for image set {IMAGE_SET}" in line


def test_passing_trouble_is_counted_in_the_log(aws_connection: str) -> None:
    load_image_set(image_set_entry(4))
    inject_fault("medical-imaging", "ListImageSetVersions", times=2, error=THROTTLED)
    with logged() as log:
        assert event_of(image_set_trigger())["status"] == "open"
    assert [line.split("(")[1].split(")")[0] for line in log.about("This may pass")] == [
        "1 so far, 1 in a row",
        "2 so far, 2 in a row",
    ]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
@pytest.mark.parametrize("make", [image_set_trigger, image_trigger])
def test_a_permanent_refusal_ends_it_at_once(
    aws_connection: str, make: Callable[..., ImageVersionTrigger], code: str
) -> None:
    trigger = make()
    hook = trigger.hook_class()
    inject_fault(
        hook.service.client_type,
        hook.service.listing.operation,
        error={"code": code, "message": "no"},
        times=None,
    )
    event = event_of(trigger)
    assert (event["status"], event["error"]) == ("error", "AwsCallError")
    assert f"{code}: no" in event["message"]
    assert list_calls() == 1


def test_expired_credentials_have_the_connection_resolved_again(
    emulator_url: str, aws_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def answer(asked: Asked) -> Answer:
        keys.append(asked.headers["authorization"].split("Credential=")[1].split("/")[0])
        if len(keys) == 1:
            rotated = json.loads(connection_json(stub.url)) | {"login": "renewed"}
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(rotated))
            return Answer({"__type": "ExpiredTokenException", "message": "expired"}, status=400)
        return in_pages([[image_version_entry(1)]], "sagemaker")(asked)

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        assert event_of(image_trigger())["status"] == "open"
    assert keys == ["testing", "renewed"]


def test_credentials_that_stay_expired_end_it_after_one_renewal(aws_connection: str) -> None:
    inject_fault("sagemaker", "ListImageVersions", error=EXPIRED, times=None)
    event = event_of(image_trigger())
    assert event["error"] == "AwsCallError"
    assert "ExpiredTokenException" in event["message"]
    assert list_calls() == 2


def test_credentials_that_expire_a_second_time_later_on_are_renewed_again(aws_connection: str) -> None:
    inject_fault("sagemaker", "ListImageVersions", error=EXPIRED, times=2, every=3)
    with changes_after(polls=5), logged() as log:
        load_image(image_version_entry(1, "CREATING"))
        assert event_of(image_trigger())["status"] == "open"
    assert len(log.about("Resolving the connection again")) == 2
    assert list_calls() > 6


def test_under_silent_fail_expired_credentials_are_renewed_all_the_same(aws_connection: str) -> None:
    load_image(image_version_entry(1))
    inject_fault("sagemaker", "ListImageVersions", error=EXPIRED, times=1)
    with logged() as log:
        assert event_of(image_trigger(silent_fail=True))["status"] == "open"
    assert log.about("Resolving the connection again")
    assert not log.about("silent_fail is set")


def test_under_silent_fail_what_would_fail_the_gate_is_logged_and_it_waits_on(aws_connection: str) -> None:
    load_image_set(image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    with logged() as log:
        event = event_of(image_set_trigger(silent_fail=True, deadline=soon(1.5)))
    assert event["status"] == "timeout"
    assert "COPY_FAILED" in event["message"]
    assert len(log.about("Waiting on, because silent_fail is set")) >= 2


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (image_set_trigger, {"image_set_id": "SHORT"}),
        (image_set_trigger, {"version": "latest"}),
        (image_trigger, {"wait_until": "never"}),
        (image_trigger, {"deadline": "tomorrow"}),
        (image_trigger, {"botocore_config": {"no_such_option": 1}}),
    ],
)
def test_a_trigger_that_cannot_work_says_so_and_does_not_crash(
    aws_connection: str, make: Callable[..., ImageVersionTrigger], bad: dict[str, Any]
) -> None:
    # A crash would be Airflow's own error in the task, which soft_fail turns into a skip.
    event = event_of(make(**bad))
    assert (event["status"], event["error"]) == ("error", "TriggerFailedError")
    assert list_calls() == 0


def test_an_unreadable_version_number_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {**image_set_entry(1), "versionId": "abc"}
    with stub_aws(in_pages([[odd]], "medical-imaging")) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        event = event_of(image_set_trigger())
    assert event["error"] == "UnexpectedAnswerError"
    assert "'abc'" in event["message"]


# --- waiting ---------------------------------------------------------------------------------------------


def test_what_is_waited_for_is_logged_when_it_changes_and_not_at_every_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polls = iter(["COPYING"] * 4 + ["UPDATING"] * 4)

    def answer(asked: Asked) -> Answer:
        status = next(polls, None)
        entry = image_set_entry(4, status, "LOCKED") if status else image_set_entry(4)
        return in_pages([[entry]], "medical-imaging")(asked)

    with stub_aws(answer) as stub, logged() as log:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        event_of(image_set_trigger())
    assert len(stub.asked) == 9
    assert [line.split("version 4 is ")[1].split(" ")[0] for line in log.about("Waiting until ready")] == [
        "COPYING",
        "UPDATING",
    ]


@pytest.mark.usefixtures("nothing_changes")
def test_a_trigger_that_is_cancelled_gives_its_client_back() -> None:
    load_image_set(image_set_entry(4, "UPDATING", "LOCKED"))

    async def scenario() -> None:
        async def wait() -> None:
            async for _ in image_set_trigger().run():
                raise AssertionError("nothing should have come")

        waiting = asyncio.create_task(wait())
        while not list_calls():
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())


def test_the_same_trigger_run_twice_at_once_does_no_harm(aws_connection: str) -> None:
    load_image_set(image_set_entry(4))
    trigger = image_set_trigger()

    async def scenario() -> list[Any]:
        async def one() -> Any:
            return [event.payload["status"] async for event in trigger.run()]

        return await asyncio.gather(one(), one())

    assert asyncio.run(scenario()) == [["open"], ["open"]]


class WatchedHook(HealthImagingHook):
    """A hook that notes which threads resolve its connection and build its client."""

    resolving: ClassVar[list[threading.Thread]] = []
    building: ClassVar[list[threading.Thread]] = []

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        cls.resolving.append(threading.current_thread())
        return super().get_connection(conn_id)

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        self.building.append(threading.current_thread())
        return super().get_client_type(*args, **kwargs)


class WatchedTrigger(HealthImagingImageSetVersionTrigger):
    @classmethod
    def hook_class(cls) -> type[ImageVersionHook]:
        return WatchedHook


@pytest.fixture
def watched() -> type[WatchedHook]:
    WatchedHook.resolving.clear()
    WatchedHook.building.clear()
    return WatchedHook


def test_two_hundred_triggers_build_one_client_and_nothing_of_it_on_the_loop(
    aws_connection: str, watched: type[WatchedHook]
) -> None:
    load_image_set(image_set_entry(4))
    _, kwargs = image_set_trigger(poke_interval=0.5).serialize()

    async def scenario() -> list[Any]:
        async def one() -> Any:
            return [event.payload["status"] async for event in WatchedTrigger(**kwargs).run()]

        return await asyncio.gather(*(one() for _ in range(200)))

    assert asyncio.run(scenario()) == [["open"]] * 200
    assert len(watched.building) == 1
    # They ask within seconds of each other, so one answer is enough for all.
    assert len(watched.resolving) == 1
    assert threading.main_thread() not in {*watched.building, *watched.resolving}


def test_a_client_is_built_of_what_its_connection_was_found_to_be_seconds_before(
    aws_connection: str, watched: type[WatchedHook]
) -> None:
    load_image_set(image_set_entry(4))
    _, kwargs = image_set_trigger().serialize()

    async def one_after_the_other() -> list[Any]:
        return [event.payload["status"] for _ in range(2) async for event in WatchedTrigger(**kwargs).run()]

    assert asyncio.run(one_after_the_other()) == ["open", "open"]
    assert (len(watched.resolving), len(watched.building)) == (1, 2)
