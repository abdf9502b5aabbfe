"""One gate over many ids: how they may be given, what is requested, what is logged, and how it ends."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from support import DATASTORE, Answer, Asked, context_of, image_set_entry
from waits import (
    BUSY,
    FAILED,
    READY,
    FastLoop,
    asked_about,
    aws,
    event_of,
    image_sets,
    in_fast_time,
    listing,
    refusal,
    trigger,
)

from airflow_imgver.exceptions import InvalidIdentityError, ResourceMissingError, VersionFailedError
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger


class LazySequence(Sequence[Any]):
    """As Airflow's lazy XCom sequence: no list, not to be stored, its items fetched one by one."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return "LazyXComSequence(<unevaluated length>)"


def gate(image_set_id: Any, **more: Any) -> Gate:
    identity = {"datastore_id": DATASTORE, "image_set_id": image_set_id}
    return Watch(HEALTHIMAGING, identity, GateSettings(**more)).gate()


def sensor(image_set_id: Any, **more: Any) -> HealthImagingImageSetVersionSensor:
    return HealthImagingImageSetVersionSensor(
        task_id="wait", datastore_id=DATASTORE, image_set_id=image_set_id, **more
    )


def run(operator: Any) -> Any:
    """Execute a sensor as a task would."""
    from airflow.sdk.bases.operator import ExecutorSafeguard

    sentinel = {f"{type(operator).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    return operator.execute(context_of(), **sentinel)


def deferred(operator: Any) -> HealthImagingImageSetVersionTrigger:
    """The trigger that a sensor defers to, made again from what Airflow stores of it."""
    from airflow.serialization.serialized_objects import BaseSerialization

    # Airflow 3.1 stores a trigger another way, which tests/triggers covers.
    encode_trigger = pytest.importorskip("airflow.serialization.encoders").encode_trigger
    with pytest.raises(TaskDeferred) as left:
        run(operator)
    stored = json.loads(json.dumps(encode_trigger(left.value.trigger)))
    kwargs = {name: BaseSerialization.deserialize(value) for name, value in stored["kwargs"].items()}
    return HealthImagingImageSetVersionTrigger(**kwargs)


IDS = image_sets(3)


@pytest.mark.parametrize(
    "given",
    [
        list(IDS),
        tuple(IDS),
        LazySequence(IDS),
        dict.fromkeys(IDS).keys(),
        repr(IDS),
        json.dumps(IDS),
        f"  {tuple(IDS)!r}".replace("(", "[").replace(")", "]"),
    ],
    ids=["list", "tuple", "lazy XCom", "keys", "rendered list", "JSON text", "text with spaces"],
)
@pytest.mark.parametrize("deferrable", [False, True])
def test_ids_may_be_given_as_any_sequence_and_come_back_in_order(
    given: Any, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch, lambda asked: listing(image_set_entry(1, imageSetId=asked_about(asked)))):
        entries = run(sensor(given, deferrable=deferrable))
    assert [entry["imageSetId"] for entry in entries] == IDS


@pytest.mark.parametrize(
    "given",
    [tuple(IDS), LazySequence(IDS), (each for each in IDS), repr(IDS)],
    ids=lambda g: type(g).__name__,
)
def test_what_a_trigger_stores_of_a_list_is_a_plain_one(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: listing(BUSY)):
        stored = deferred(sensor(given, deferrable=True, version=LazySequence([1, "1", 1])))
    assert stored.image_set_id == IDS
    assert stored.version == [1, "1", 1]


@pytest.mark.parametrize("versions", [[1, 2, 3], ("1", "2", "3"), "[1, 2, 3]", LazySequence([1, 2, 3])])
def test_a_list_of_versions_has_one_for_each_id(versions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    history = [image_set_entry(number) for number in (3, 2, 1)]
    with aws(monkeypatch, lambda asked: listing(*history)):
        entries = run(sensor(IDS, version=versions))
    assert [entry["versionId"] for entry in entries] == ["1", "2", "3"]


def test_one_version_is_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: listing(image_set_entry(2), image_set_entry(1))):
        entries = run(sensor(IDS, version="1"))
    assert [entry["versionId"] for entry in entries] == ["1"] * 3


def test_a_list_of_versions_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidIdentityError, match="version is a list of 2, and image_set_id is a list of 3"):
        gate(IDS, version=[1, 2])


@pytest.mark.parametrize("empty", [[], (), "[]", " [ ] ", LazySequence([])])
@pytest.mark.parametrize("deferrable", [False, True])
def test_an_empty_list_opens_at_once_and_says_so(
    empty: Any, deferrable: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        task = sensor(empty, deferrable=deferrable)
        monkeypatch.setattr(type(task), "log", _Lines(lines), raising=False)
        assert run(task) == []
    assert not timeline.polls
    assert lines == ["Open: the list of ids is empty."]


class _Lines:
    """A log whose lines a test reads."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def info(self, line: str, *args: Any) -> None:
        self.lines.append(line % args)

    warning = error = exception = info


def test_duplicates_are_asked_about_once_and_returned_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, _ = IDS
    with aws(monkeypatch, lambda asked: listing(image_set_entry(1, imageSetId=asked_about(asked)))) as line:
        event = asyncio.run(event_of(trigger([a, b, a, a])))
    assert [entry["imageSetId"] for entry in event["entry"]] == [a, b, a, a]
    assert line.counts() == {a: 1, b: 1}


def test_one_id_with_two_versions_is_two_things_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: listing(image_set_entry(2), image_set_entry(1))):
        event = asyncio.run(event_of(trigger([IDS[0], IDS[0]], version=[1, 2])))
    assert [entry["versionId"] for entry in event["entry"]] == ["1", "2"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_settled_id_is_not_asked_about_again(deferrable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, failing, quick = IDS
    seen: list[str] = []

    def answer(asked: Asked) -> Answer:
        about = asked_about(asked)
        seen.append(about)
        if about == failing:
            return listing(FAILED)
        return listing(BUSY if about == slow and seen.count(slow) < 5 else READY)

    with aws(monkeypatch, answer) as timeline:
        if deferrable:
            event = asyncio.run(event_of(trigger(IDS)))
            assert event["error"] == "VersionFailedError"
        else:
            with pytest.raises(VersionFailedError):
                run(sensor(IDS, poke_interval=0.02))
    assert timeline.counts() == {slow: 5, failing: 1, quick: 1}


def test_one_error_names_every_id_that_failed_with_aws_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = image_sets(30)

    def answer(asked: Asked) -> Answer:
        number = int(asked_about(asked))
        return listing(
            image_set_entry(1, "COPY_FAILED", message=f"no room for {number}") if number % 3 == 0 else READY
        )

    with aws(monkeypatch, answer):
        event = asyncio.run(event_of(trigger(ids)))
        with pytest.raises(VersionFailedError) as poked:
            run(sensor(ids))
    assert event["status"] == "error"
    assert event["error"] == "VersionFailedError"
    assert event["message"] == str(poked.value)
    assert event["message"].startswith("10 of 30 failed:\n- ")
    for number in range(0, 30, 3):
        assert f"It is version 1 of image set {number:032d} in data store {DATASTORE}." in event["message"]
        assert f"COPY_FAILED: no room for {number}. " in event["message"]
    assert f"image set {1:032d}" not in event["message"]


def test_errors_of_one_kind_are_reported_as_that_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: refusal("ResourceNotFoundException", "no such image set", 404)):
        event = asyncio.run(event_of(trigger(IDS, not_found_retries=0)))
    assert event["error"] == "ResourceMissingError"
    assert event["message"].count("no such image set") == 3


@pytest.mark.parametrize("deferrable", [False, True])
def test_fail_fast_stops_at_the_first_that_fails(deferrable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = image_sets(400)

    def answer(asked: Asked) -> Answer:
        time.sleep(0.001)
        return listing(FAILED if asked_about(asked) == ids[7] else BUSY)

    with aws(monkeypatch, answer) as timeline:
        if deferrable:
            event = asyncio.run(event_of(trigger(ids, fail_fast=True, poke_interval=1.0)))
            assert (event["status"], event["error"]) == ("error", "VersionFailedError")
            assert ids[7] in event["message"]
        else:
            with pytest.raises(VersionFailedError, match=ids[7]):
                run(sensor(ids, fail_fast=True))
            # Hundreds more would be asked about before the answer that ends it is read.
            assert len(timeline.polls) < 100


def test_what_failed_keeps_no_frames_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: refusal("ResourceNotFoundException", status=404)):
        hook = HealthImagingHook()
        many = gate(IDS, not_found_retries=0)
        with pytest.raises(ResourceMissingError):
            many.poll(hook)
        hook.conn.close()
    kept = [watched.error for watched in many._watched.values()]
    assert len(kept) == 3
    for error in kept:
        assert isinstance(error, ResourceMissingError)
        assert error.operation == "ListImageSetVersions"
        assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


# --- silent_fail ----------------------------------------------------------------------------------------


def test_under_silent_fail_an_id_that_failed_is_polled_until_it_is_fixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked_about(asked))
        failing = seen[-1] == IDS[1] and seen.count(IDS[1]) < 4
        return listing(FAILED if failing else image_set_entry(2))

    with aws(monkeypatch, answer):
        event = asyncio.run(event_of(trigger(IDS, silent_fail=True)))
        assert event["status"] == "open"
        seen.clear()
        assert len(run(sensor(IDS, silent_fail=True, poke_interval=0.02))) == 3


def test_under_silent_fail_many_failures_do_not_drown_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    async def run_for_a_while(loop: FastLoop) -> None:
        with aws(monkeypatch, lambda asked: listing(FAILED), lambda: loop.now):
            waiting = trigger(image_sets(150), silent_fail=True, poke_interval=20)
            monkeypatch.setattr(type(waiting), "log", _Lines(lines), raising=False)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(event_of(waiting), 100)

    in_fast_time(run_for_a_while)
    silenced = [line for line in lines if "silent_fail is set" in line]
    assert 1 <= len(silenced) <= 8


# --- what is logged -------------------------------------------------------------------------------------


def test_progress_is_logged_when_it_changes_and_otherwise_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[tuple[float, str]] = []
    since = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)

    async def waiting(loop: FastLoop) -> None:
        begun = loop.now

        class Log(_Lines):
            def info(self, line: str, *args: Any) -> None:
                lines.append((loop.now - begun, line % args))

        def answer(asked: Asked) -> Answer:
            number = int(asked_about(asked))
            if number == 0:
                return listing(FAILED)
            if number == 1:
                return refusal("ResourceNotFoundException", status=404)
            if number <= 4 and loop.now - begun > 600:
                return listing(READY)
            return listing(
                image_set_entry(3, "COPYING", "LOCKED", updatedAt=since + timedelta(minutes=number))
            )

        with aws(monkeypatch, answer, lambda: loop.now):
            many = trigger(image_sets(10), poke_interval=30, not_found_retries=10_000)
            monkeypatch.setattr(type(many), "log", Log([]), raising=False)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(event_of(many), 1200)

    in_fast_time(waiting)
    settled = [(at, line) for at, line in lines if at > 60]
    news, _, about = settled[0][1].partition(", next poll in ")
    assert news == "Waiting until ready: 0 of 10 ready, 8 COPYING, 1 missing, 1 failed"
    assert about.partition(": ")[2] == (
        "busy longest since 2026-11-20 03:02:00 UTC is COPYING (LOCKED, version 3): "
        f"image set {2:032d} in data store {DATASTORE}"
    )
    assert ": 3 of 10 ready, 5 COPYING, " in settled[-1][1]
    assert f"image set {5:032d}" in settled[-1][1]
    assert ", next poll in " in settled[-1][1]
    pauses = [later[0] - earlier[0] for earlier, later in pairwise(settled)]
    assert max(pauses) <= 91
    # A line a minute for twenty minutes, and a few for what changed.
    assert 15 <= len(settled) <= 30


# --- bad input ------------------------------------------------------------------------------------------

NO_IDS = [
    (None, "image_set_id is None"),
    ("None", "image_set_id is None"),
    (7, "image_set_id must be 32 digits and lower-case letters, not 7"),
    (True, "must be an id or a list of ids"),
    ({"id": IDS[0]}, "must be an id or a list of ids"),
    (b"0" * 32, "must be an id or a list of ids"),
    ("[1, 2", "begins like a list and cannot be read as one"),
    ("[open('x')]", "begins like a list and cannot be read as one"),
    ([*IDS, "nonsense"], "At position 3 of the list: image_set_id must be 32 digits"),
    ([IDS[0], 7], "At position 1 of the list: image_set_id must be 32 digits"),
    ([None, *IDS], "At position 0 of the list: image_set_id must be 32 digits"),
    ([IDS[0], [IDS[1]]], "At position 1 of the list"),
    ([IDS[0], {"id": 1}], "At position 1 of the list"),
    ([IDS[0], IDS[1] + "\n"], "At position 1 of the list"),
    (f"['{IDS[0]}', None]", "At position 1 of the list"),
]


@pytest.mark.parametrize(("given", "words"), NO_IDS, ids=[repr(given)[:30] for given, _ in NO_IDS])
@pytest.mark.parametrize("deferrable", [False, True])
def test_what_cannot_be_ids_is_refused_before_any_request(
    given: Any, words: str, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        gate_sensor = sensor("{{ a template }}", deferrable=deferrable)
        gate_sensor.image_set_id = given
        with pytest.raises(InvalidIdentityError, match=words.replace("[", r"\[")):
            run(gate_sensor)
        event = asyncio.run(event_of(trigger(given)))
    assert event["status"] == "error"
    assert words in event["message"]
    assert not timeline.polls


def test_the_name_that_a_template_makes_of_nothing_is_no_image() -> None:
    with pytest.raises(InvalidIdentityError, match="image_name is None: the XCom or template"):
        Watch(SAGEMAKER_IMAGE, {"image_name": "None"}, GateSettings(wait_until="deleted")).gate()


@pytest.mark.parametrize(("position", "bad"), [(0, "x"), (1, ""), (2, -1)])
def test_a_bad_version_in_a_list_is_refused_with_its_position(position: int, bad: Any) -> None:
    versions: list[Any] = [1, 2, 3]
    versions[position] = bad
    with pytest.raises(InvalidIdentityError, match=f"At position {position} of the list: version must be"):
        gate(IDS, version=versions)


# --- very many ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hundred_thousand() -> list[str]:
    return image_sets(100_000)


def test_a_hundred_thousand_ids_are_read_in_seconds_and_take_less_than_two_kilobytes_each(
    hundred_thousand: list[str],
) -> None:
    begun = time.process_time()
    many = gate(hundred_thousand)
    assert time.process_time() - begun < 5
    assert many.size == 100_000
    tracemalloc.start()
    try:
        again = gate(hundred_thousand)
        assert tracemalloc.get_traced_memory()[0] < 100_000 * 2000
    finally:
        tracemalloc.stop()
    assert str(again).startswith("0 of 100000 ready, 100000 not polled yet")


def test_the_arguments_of_a_hundred_thousand_ids_are_stored_in_four_megabytes(
    hundred_thousand: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        stored = deferred(sensor(hundred_thousand, deferrable=True))
    assert not timeline.polls, "a worker would be busy with these for more than an hour"
    assert stored.image_set_id == hundred_thousand
    assert len(json.dumps(stored.serialize()[1])) < 4_000_000


def test_reading_and_returning_very_many_ids_does_not_hold_up_the_loop(
    hundred_thousand: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0.0

    async def run_for_a_while() -> None:
        nonlocal longest
        waiting = asyncio.ensure_future(event_of(trigger(hundred_thousand, poke_interval=60.0)))
        last = time.monotonic()
        until = last + 4.0
        while last < until:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest = max(longest, now - last)
            last = now
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    import gc

    gc.collect()
    gc.disable()  # the interpreter's own collections of everything in this process are no part of it
    try:
        with aws(monkeypatch, lambda asked: listing(BUSY)):
            asyncio.run(run_for_a_while())
    finally:
        gc.enable()
    assert longest < 0.5


def test_ids_that_settled_long_ago_are_seen_in_the_first_minute_whatever_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = image_sets(200)

    async def run(loop: FastLoop) -> int:
        def answer(asked: Asked) -> Answer:
            return listing(BUSY if asked_about(asked) == ids[0] else READY)

        with aws(monkeypatch, answer, lambda: loop.now) as timeline:
            waiting = asyncio.ensure_future(event_of(trigger(ids, poke_interval=3600)))
            await asyncio.sleep(66)
            waiting.cancel()
            return len(timeline.counts())

    assert in_fast_time(run) == 200
