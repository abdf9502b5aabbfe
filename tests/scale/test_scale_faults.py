"""Whatever AWS answers, a gate ends as it should: nothing lost, no busy loop."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from support import (
    IMAGE_SET,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image_set,
    stub_aws,
    wait_for,
)
from waits import (
    BUSY,
    FAILED,
    READY,
    FastLoop,
    asked_about,
    aws,
    event_of,
    events_of,
    image_sets,
    in_fast_time,
    listing,
    own_threads,
    refusal,
    trigger,
)

from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.triggers.sagemaker_image import SageMakerImageVersionTrigger

ONE = "0" * 32


def met_first(monkeypatch: pytest.MonkeyPatch, *first: Answer, **more: Any) -> tuple[dict[str, Any], int]:
    """The event of a gate whose polls get these answers and then a ready version; and the number of polls."""
    left = list(first)

    async def run(loop: FastLoop) -> tuple[dict[str, Any], int]:
        with aws(monkeypatch, lambda asked: left.pop(0) if left else listing(READY)) as timeline:
            event = await asyncio.wait_for(event_of(trigger(ONE, poke_interval=10, **more)), 5000)
            return event, len(timeline.polls)

    result: tuple[dict[str, Any], int] = in_fast_time(run)
    return result


PASSING = {
    "throttled": refusal("ThrottlingException", "Rate exceeded", 429),
    "not consistent yet": refusal("ConflictException", "retry", 409),
    "internal error": refusal("InternalServerException", "oops", 500),
    "HTTP 500 without a body": Answer(raw=b"", status=500),
    "HTTP 503 from a proxy": Answer(raw=b"<html>busy</html>", status=503),
    "truncated JSON": Answer(raw=b'{"imageSetPropertiesList": [{"imageSetId": "00'),
    "no JSON": Answer(raw=b"<html>sign in</html>"),
    "an empty body": Answer(raw=b""),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_waited_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    event, polls = met_first(monkeypatch, PASSING[name], PASSING[name])
    assert (event["status"], polls) == ("open", 3)


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_never_passes_for_deleted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [PASSING[name]] * 2

    async def run(loop: FastLoop) -> None:
        waiting = trigger(ONE, poke_interval=10, wait_until="deleted")
        with (
            aws(monkeypatch, lambda asked: left.pop() if left else listing(READY)),
            pytest.raises(TimeoutError),
        ):
            await asyncio.wait_for(event_of(waiting), 2000)

    in_fast_time(run)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_what_cannot_pass_fails_at_once_with_aws_s_words(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    event, polls = met_first(monkeypatch, refusal(code, "by policy", 403))
    assert (event["error"], polls) == ("AwsCallError", 1)
    assert f"{code} from ListImageSetVersions: by policy." in event["message"]


def test_a_missing_image_set_is_waited_for_a_few_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = refusal("ResourceNotFoundException", "no such image set", 404)
    assert met_first(monkeypatch, missing, missing, not_found_retries=2)[0]["status"] == "open"
    event, polls = met_first(monkeypatch, *[missing] * 9, not_found_retries=2)
    assert (event["error"], polls) == ("ResourceMissingError", 3)


def test_an_image_that_sagemaker_does_not_know_is_missing() -> None:
    # Without "Exception", as SageMaker alone spells it.
    missing = Answer(
        raw=json.dumps({"__type": "ResourceNotFound", "message": "no image"}).encode(), status=400
    )
    left = [missing] * 2

    def answer(asked: Asked) -> Answer:
        return left.pop() if left else Answer({"ImageVersions": [image_version_entry(1)]})

    with stub_aws(answer) as stub, pytest.MonkeyPatch.context() as patched:
        patched.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        waiting = SageMakerImageVersionTrigger(image_name="kernel", poke_interval=0.05, not_found_retries=2)
        event = asyncio.run(event_of(waiting))  # type: ignore[arg-type]
        assert (event["status"], len(stub.asked)) == ("open", 3)
        wait_for(lambda: not own_threads())


ODD_LISTINGS = {
    "a status added yesterday": (
        image_set_entry(1, "REHYDRATING", "LOCKED"),
        image_set_entry(1, "REHYDRATED"),
    ),
    "no workflow status": (image_set_entry(1, None, "LOCKED"), image_set_entry(1, None)),
    "a state added yesterday": (image_set_entry(1, "UPDATED", "ARCHIVED"), image_set_entry(1, "UPDATED")),
}


@pytest.mark.parametrize("name", ODD_LISTINGS)
def test_an_odd_entry_is_judged_by_its_state(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, ready = ODD_LISTINGS[name]
    event, polls = met_first(monkeypatch, listing(busy), listing(busy), listing(ready))
    assert (event["status"], polls) == ("open", 3)


def test_a_page_out_of_order_and_an_empty_page_with_a_token_hide_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: Asked) -> Answer:
        pages = {
            None: ([image_set_entry(1), image_set_entry(3)], "a"),
            "a": ([], "b"),
            "b": ([image_set_entry(9, "COPY_FAILED", message="it is full")], None),
        }
        entries, token = pages[asked.token]
        return Answer({"imageSetPropertiesList": entries} | ({"nextToken": token} if token else {}))

    with aws(monkeypatch, answer):
        event = asyncio.run(event_of(trigger([ONE])))
    assert event["error"] == "VersionFailedError"
    assert "COPY_FAILED" in event["message"]
    assert "It is version 9 of" in event["message"]


def test_an_entry_that_cannot_be_read_fails_the_gate_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    event, polls = met_first(monkeypatch, listing(dict(READY, versionId="abc")))
    assert (event["error"], polls) == ("UnexpectedAnswerError", 1)
    assert "'abc'" in event["message"]


def test_an_error_of_our_own_in_a_thread_fails_the_gate_and_frees_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = HealthImagingHook.read.__func__  # type: ignore[attr-defined]

    def broken(cls: Any, entry: Any) -> Any:
        if entry["imageSetId"] == ONE:
            raise RuntimeError("a bug")
        return read(cls, entry)

    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", "1")
    monkeypatch.setattr(HealthImagingHook, "read", classmethod(broken))
    with aws(monkeypatch, lambda asked: listing(image_set_entry(1, imageSetId=asked_about(asked)))):
        events = asyncio.run(events_of(*(trigger(each) for each in image_sets(5))))
    assert [event["status"] for event in events] == ["error"] + ["open"] * 4
    assert (events[0]["error"], events[0]["message"]) == ("TriggerFailedError", "RuntimeError: a bug.")


def test_a_read_that_never_ends_is_given_up_after_the_read_timeout_and_holds_up_no_other_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__READ_TIMEOUT", "0.3")
    hanging = Counter[str]()

    def answer(asked: Asked) -> Answer:
        about = asked_about(asked)
        hanging[about] += 1
        hangs = about == ONE and hanging[about] <= 2
        return Answer(raw=b'{"imageSet', hang=True) if hangs else listing(READY)

    with aws(monkeypatch, answer):

        async def run() -> tuple[float, float]:
            begun = time.monotonic()
            stuck = asyncio.ensure_future(event_of(trigger(ONE)))
            await events_of(*(trigger(each) for each in image_sets(20, first=1)))
            others = time.monotonic() - begun
            assert (await stuck)["status"] == "open"
            return others, time.monotonic() - begun

        others, stuck = asyncio.run(run())
    assert others < stuck
    assert hanging[ONE] == 3


def test_dropped_connections_and_errors_of_the_embedded_aws_lose_nothing(
    aws_connection: str, emulator_url: str
) -> None:
    from airflow_imgver.emulator import inject_fault

    service, operation = "medical-imaging", "ListImageSetVersions"
    load_image_set(image_set_entry(2), image_set_entry(1))
    for kind in ("drop", "truncate", "http-500"):
        inject_fault(service, operation, kind=kind, times=2)
    inject_fault(service, operation, error={"code": "ThrottlingException"}, times=2)
    inject_fault(service, operation, error={"code": "ConflictException"}, times=1)

    async def run(loop: FastLoop) -> dict[str, Any]:
        return await event_of(trigger([IMAGE_SET]))

    event = in_fast_time(run)
    assert event["status"] == "open"
    assert [entry["versionId"] for entry in event["entry"]] == ["2"]
    assert list_calls() == 10


def test_a_storm_of_every_fault_loses_no_gate_and_asks_no_more_than_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = random.Random(7)
    faults = [*PASSING.values(), listing(BUSY), Answer({"imageSetPropertiesList": []})]
    lock = threading.Lock()

    async def run(loop: FastLoop) -> tuple[list[dict[str, Any]], Counter[str]]:
        begun = loop.now

        def answer(asked: Asked) -> Answer:
            with lock:
                fault = dice.choice(faults)
            if loop.now - begun < 900:
                return fault
            return listing(FAILED if int(asked_about(asked)) % 5 == 0 else READY)

        with aws(monkeypatch, answer, lambda: loop.now) as timeline:
            singles = [trigger(each, poke_interval=30) for each in image_sets(40)]
            many = trigger(image_sets(60), poke_interval=30)
            return await events_of(*singles, many), timeline.counts()

    events, counts = in_fast_time(run)
    expected = ["error" if number % 5 == 0 else "open" for number in range(40)]
    assert [event["status"] for event in events[:-1]] == expected
    assert events[-1]["message"].startswith("12 of 60 failed:")
    # Two that share an entry, each at its turn within 900 s and a backoff.
    assert max(counts.values()) <= 2 * 900 / 30 + 10
