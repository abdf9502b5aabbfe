"""The life of what waits share: who gets which client, when it is renewed, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from typing import Any

import psutil
import pytest
from airflow.serialization.serialized_objects import BaseSerialization
from blockbuster import blockbuster_ctx
from support import Answer, Asked, connection_json, wait_for
from waits import (
    BUSY,
    READY,
    FastLoop,
    asked_about,
    aws,
    cancelled_at_the_end,
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
from airflow_imgver.triggers import clients
from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger


def sockets_to(url: str) -> int:
    """How many connections this process keeps to a server, as a client."""
    port = int(url.rpartition(":")[2])
    return sum(
        1 for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port
    )


def nothing_is_left(url: str) -> bool:
    return not own_threads() and not sockets_to(url)


def key_of(asked: Asked) -> str:
    """The access key id that a request was signed with."""
    return asked.headers["authorization"].partition("Credential=")[2].partition("/")[0]


# --- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 40])
def test_when_the_last_wait_has_opened_no_thread_and_no_socket_is_left(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(url: str) -> None:
        await events_of(*(trigger(each) for each in image_sets(count)))
        while not nothing_is_left(url):
            await asyncio.sleep(0.01)

    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        asyncio.run(asyncio.wait_for(run(timeline.stub.url), 20))


def test_when_the_last_wait_is_cancelled_no_thread_and_no_socket_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(timeline: Any) -> None:
        with cancelled_at_the_end(*(trigger(each) for each in image_sets(20))):
            while len(timeline.polls) < 40:
                await asyncio.sleep(0.01)
            assert own_threads()
            assert 1 <= sockets_to(timeline.stub.url) <= 8
        while not nothing_is_left(timeline.stub.url):
            await asyncio.sleep(0.01)

    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        asyncio.run(asyncio.wait_for(run(timeline), 20))


def test_a_poll_in_flight_when_the_last_wait_is_cancelled_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived, released = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Answer:
        arrived.set()
        released.wait(10)
        # A second page, which the poll requests after its client should be closed.
        return (
            Answer({"imageSetPropertiesList": [dict(BUSY, versionId="1"), dict(BUSY, versionId="2")]})
            if (asked.token)
            else Answer({"imageSetPropertiesList": [], "nextToken": "more"})
        )

    async def run() -> None:
        with cancelled_at_the_end(trigger("0" * 32)):
            await asyncio.to_thread(arrived.wait, 10)

    with aws(monkeypatch, answer) as timeline:
        asyncio.run(run())
        assert own_threads()
        released.set()
        wait_for(lambda: nothing_is_left(timeline.stub.url))


def test_when_the_loop_ends_in_the_middle_of_everything_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(polls: int) -> None:
        for each in image_sets(20):
            waiting.append(asyncio.ensure_future(event_of(trigger(each))))
        while len(timeline.polls) < polls:
            await asyncio.sleep(0.001)

    waiting: list[Any] = []
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        for polls in (0, 1, 9, 30):
            timeline.polls.clear()
            asyncio.run(run(polls))
            wait_for(lambda: nothing_is_left(timeline.stub.url))
    assert not [record for record in caplog.records if record.name in {"asyncio", "concurrent.futures"}]


def test_a_wait_cancelled_while_the_client_is_built_leaves_nothing_and_takes_it_from_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    building, go_on = threading.Event(), threading.Event()
    build = HealthImagingHook.get_client_type

    def slowly(self: Any, *args: Any, **kwargs: Any) -> Any:
        building.set()
        go_on.wait(10)
        return build(self, *args, **kwargs)

    monkeypatch.setattr(HealthImagingHook, "get_client_type", slowly)

    async def run(others: int) -> None:
        building.clear()
        go_on.clear()
        cancelled = asyncio.ensure_future(event_of(trigger("0" * 32)))
        staying = [asyncio.ensure_future(event_of(trigger(each))) for each in image_sets(others)]
        await asyncio.to_thread(building.wait, 10)
        await asyncio.sleep(0.2)
        cancelled.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert [(await each)["status"] for each in staying] == ["open"] * others
        while not nothing_is_left(timeline.stub.url):
            await asyncio.sleep(0.01)

    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        asyncio.run(asyncio.wait_for(run(0), 20))
        asyncio.run(asyncio.wait_for(run(3), 20))


def test_a_loop_that_has_ended_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        before = len(clients._loops)
        for _ in range(3):
            asyncio.run(event_of(trigger("0" * 32)))
        wait_for(lambda: nothing_is_left(timeline.stub.url))
        gc.collect()
        assert len(clients._loops) <= before


# --- who shares -----------------------------------------------------------------------------------------


def test_a_thousand_gates_resolve_their_connection_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    client_key = HealthImagingHook.client_key

    def counted(self: Any) -> str:
        looked_up.append(threading.current_thread() is threading.main_thread())
        return client_key(self)

    with aws(monkeypatch, lambda asked: listing(READY)):
        # Not by the hooks themselves, which need it for their budget.
        monkeypatch.setattr(clients.ImageVersionHook, "client_key", counted)
        asyncio.run(events_of(*(trigger(each) for each in image_sets(200))))
    assert 1 <= len(looked_up) <= 2  # the wait's, and the client's own for its budget
    assert not any(looked_up), "a look-up on the loop's thread"


def test_an_edited_connection_gets_a_new_client_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> list[str]:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:
            with cancelled_at_the_end(trigger("0" * 32, poke_interval=2)):
                await asyncio.sleep(20)
                edited = json.loads(connection_json(timeline.stub.url)) | {"login": "edited"}
                monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(edited))
                await asyncio.sleep(clients.SECONDS_A_CONNECTION_IS_CACHED + 1)
                with cancelled_at_the_end(trigger("1" * 32, poke_interval=2)):
                    await asyncio.sleep(20)
            return [key_of(asked) for asked in timeline.stub.asked if asked_about(asked) == "1" * 32]

    keys = in_fast_time(run)
    assert keys
    assert set(keys) == {"edited"}


# --- credentials that expire ----------------------------------------------------------------------------


def test_expired_credentials_are_renewed_once_for_all_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    looked_up: list[Any] = []
    build, client_key = clients._build, HealthImagingHook.client_key
    expired_at = 100.0

    def counted_build(hook: Any, connection: Any) -> Any:
        built.append(hook)
        return build(hook, connection)

    def counted_key(self: Any) -> str:
        looked_up.append(self)
        return client_key(self)

    monkeypatch.setattr(clients, "_build", counted_build)
    monkeypatch.setattr(HealthImagingHook, "client_key", counted_key)

    async def run(loop: FastLoop) -> list[dict[str, Any]]:
        begun = loop.now

        def answer(asked: Asked) -> Answer:
            if loop.now - begun < expired_at:
                return listing(BUSY)
            if key_of(asked) != "renewed":
                return refusal("ExpiredTokenException", "The security token is expired", 403)
            return listing(READY if loop.now - begun > 300 else BUSY)

        with aws(monkeypatch, answer, lambda: loop.now) as timeline:
            waiting = asyncio.ensure_future(
                events_of(*(trigger(each, poke_interval=30) for each in image_sets(60)))
            )
            await asyncio.sleep(expired_at)
            renewed = json.loads(connection_json(timeline.stub.url)) | {"login": "renewed"}
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(renewed))
            built.clear()
            looked_up.clear()
            return await waiting

    events = in_fast_time(run)
    assert [event["status"] for event in events] == ["open"] * 60
    assert len(built) == 1
    # Each wait meets the expiry at its own turn, within the interval; connections are remembered for 10 s.
    assert len(looked_up) <= 2 * 5


def test_credentials_that_stay_expired_fail_every_wait_with_aws_s_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: Asked) -> Answer:
        return refusal("ExpiredTokenException", "The security token is expired", 403)

    with aws(monkeypatch, answer) as timeline:
        events = asyncio.run(asyncio.wait_for(events_of(*(trigger(each) for each in image_sets(20))), 30))
        wait_for(lambda: nothing_is_left(timeline.stub.url))
    assert {event["error"] for event in events} == {"AwsCallError"}
    assert all("The security token is expired" in event["message"] for event in events)
    assert len(timeline.polls) <= 2 * 20


# --- restart --------------------------------------------------------------------------------------------


def made_again(waiting: HealthImagingImageSetVersionTrigger) -> HealthImagingImageSetVersionTrigger:
    """The trigger as another triggerer makes it from the database."""
    # Airflow 3.1 stores a trigger another way, which tests/triggers covers.
    encode_trigger = pytest.importorskip("airflow.serialization.encoders").encode_trigger
    stored = json.loads(json.dumps(encode_trigger(waiting)))
    assert stored["classpath"].endswith(".HealthImagingImageSetVersionTrigger")
    kwargs = {name: BaseSerialization.deserialize(value) for name, value in stored["kwargs"].items()}
    return HealthImagingImageSetVersionTrigger(**kwargs)


def test_a_trigger_that_is_stopped_half_way_goes_on_elsewhere_and_asks_settled_ids_once_more_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = image_sets(40)
    second_half_ready = threading.Event()

    def answer(asked: Asked) -> Answer:
        late = int(asked_about(asked)) >= 20
        return listing(BUSY if late and not second_half_ready.is_set() else READY)

    with aws(monkeypatch, answer) as timeline:
        first = trigger(ids, version=1, exponential_backoff=False, deadline="2126-01-01T00:00:00+00:00")

        async def half_way() -> None:
            with cancelled_at_the_end(first):
                while len(timeline.polls) < 100:
                    await asyncio.sleep(0.01)

        asyncio.run(half_way())
        wait_for(lambda: not own_threads())
        asked_before = timeline.counts()
        second_half_ready.set()
        event = asyncio.run(event_of(made_again(first)))
    assert event["status"] == "open"
    assert len(event["entry"]) == 40
    assert all(asked_before[each] == 1 for each in ids[:20])
    assert all(timeline.counts()[each] <= 2 for each in ids[:20])


def test_a_trigger_made_again_is_the_same_trigger() -> None:
    waiting = trigger(
        image_sets(3),
        version=[1, 2, 3],
        wait_until="settled",
        not_found_retries=7,
        fail_fast=True,
        exponential_backoff=True,
        max_wait=30.5,
        silent_fail=True,
        allow_read_only=True,
        deadline="2126-01-01T00:00:00+00:00",
        botocore_config={"retries": {"mode": "adaptive"}},
    )
    assert made_again(waiting).serialize() == waiting.serialize()


# --- the loop -------------------------------------------------------------------------------------------


def test_nothing_that_blocks_is_called_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = iter([True] * 5)

    def answer(asked: Asked) -> Answer:
        if next(failing, False):
            return refusal("ExpiredTokenException", status=403)
        return listing(READY)

    async def run() -> list[dict[str, Any]]:
        with blockbuster_ctx():
            singly = [trigger(each) for each in image_sets(30)]
            return await events_of(*singly, trigger(image_sets(700)), trigger("nonsense"))

    with aws(monkeypatch, answer) as timeline:
        events = asyncio.run(asyncio.wait_for(run(), 60))
        wait_for(lambda: nothing_is_left(timeline.stub.url))
    assert [event["status"] for event in events] == ["open"] * 31 + ["error"]
    assert events[-1]["error"] == "InvalidIdentityError"


def test_the_watch_for_blocking_calls_is_awake() -> None:
    async def run() -> None:
        with blockbuster_ctx():
            os.stat("/")

    from blockbuster import BlockingError

    with pytest.raises(BlockingError):
        asyncio.run(run())
