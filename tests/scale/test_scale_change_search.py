"""Many waits on one data store are polled when a search shows a change; the search decides nothing."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import mean
from typing import Any

import pytest
from changing import INTERVAL, MANY, SETTLED_IN, Store, many_waits, scope_of, waiting
from support import DATASTORE, SECRET, Answer, Asked, logged, wait_for
from waits import (
    BUSY,
    FastLoop,
    asked_about,
    aws,
    event_of,
    found,
    image_sets,
    in_fast_time,
    listing,
    own_threads,
    refusal,
    trigger,
)

from airflow_imgver.triggers import area

SLOW = 3600.0
OPTION = "AIRFLOW__IMGVER__UNCHANGED_POLL_INTERVAL"


@pytest.fixture(autouse=True)
def slow_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTION, str(SLOW))


def test_what_a_search_shows_opens_its_gate_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> list[float]:
        with many_waits(monkeypatch, loop) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            delays = []
            for number, one in enumerate(image_sets(20)):
                # At all times between two searches.
                await asyncio.sleep(number / 4)
                delays.append(await waits.delay(one))
            return delays

    delays = in_fast_time(run)
    # A search every five seconds: before, it was half an interval on average.
    assert max(delays) <= 6
    assert mean(delays) <= 4


def test_what_does_not_change_is_polled_seldom_once_the_search_has_proven_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> tuple[int, int, int]:
        with many_waits(monkeypatch, loop) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            unproven = await waits.polls_in(SLOW)
            await waits.delay(image_sets(1)[0])
            await asyncio.sleep(INTERVAL)
            spread = await waits.polls_in(SLOW / 2)
            return unproven, spread, await waits.polls_in(SLOW)

    unproven, spread, proven = in_fast_time(run)
    assert unproven == pytest.approx(MANY * SLOW / INTERVAL, rel=0.05)
    assert proven == pytest.approx(MANY, rel=0.05)
    # Not all at the end of the slow turn: they are what the search is checked by.
    assert spread == pytest.approx(MANY / 2, rel=0.5)


def test_what_no_search_shows_is_seen_at_the_slow_turn_at_the_latest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> float:
        with many_waits(monkeypatch, loop) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            await asyncio.sleep(INTERVAL)
            store.shows_changes = False
            return await waits.delay(image_sets(MANY)[-1])

    assert in_fast_time(run) <= SLOW + 1


def test_an_image_set_seen_busy_keeps_the_interval_of_its_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> tuple[list[float], float]:
        with many_waits(monkeypatch, loop) as (store, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            busy = image_sets(MANY)[-1]
            store.change(busy, "UPDATING", "LOCKED")
            # The end of the work moves nothing that a search shows.
            await asyncio.sleep(200)
            store.changed.clear()
            await asyncio.sleep(SLOW)
            times = timeline.of(busy)[-5:]
            store.change(busy)
            store.changed.clear()
            begun = loop.now
            assert (await waits.tasks[busy])["status"] == "open"
            return times, loop.now - begun

    times, delay = in_fast_time(run)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([INTERVAL] * 4, abs=1)
    assert delay <= INTERVAL + 1


def test_work_that_begins_and_ends_between_few_searches_is_seen_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> list[float]:
        with many_waits(monkeypatch, loop) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            delays = []
            for one in image_sets(10):
                store.change(one, "UPDATING", "LOCKED")
                await asyncio.sleep(8)
                delays.append(await waits.delay(one))
            return delays

    delays = in_fast_time(run)
    # An image set that several searches show is polled at pauses that double: no later than it has worked.
    assert max(delays) <= 20


def test_one_change_that_many_searches_show_costs_few_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> int:
        with many_waits(monkeypatch, loop) as (store, timeline, _):
            await asyncio.sleep(SETTLED_IN)
            one = image_sets(1)[0]
            # Of the first version: it is nothing that the gate waits for.
            store.changed[one] = loop.now
            before = len(timeline.of(one))
            await asyncio.sleep(130)
            return len(timeline.of(one)) - before

    # Of some 24 searches that show it.
    assert in_fast_time(run) <= 8


def test_a_search_opens_nothing_and_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = image_sets(MANY)

    async def run(loop: FastLoop) -> tuple[list[bool], int]:
        missing = refusal("ResourceNotFoundException", "no such image set", 404)

        def answer(asked: Asked) -> Answer:
            return missing if asked_about(asked) == ids[0] else listing(BUSY)

        with aws(monkeypatch, answer, lambda: loop.now, search=lambda asked: found(*ids)) as timeline:
            tasks = [
                asyncio.ensure_future(event_of(trigger(one, poke_interval=INTERVAL, not_found_retries=3)))
                for one in ids
            ]
            await asyncio.sleep(INTERVAL)
            polls = len(timeline.of(ids[0]))
            done = [task.done() for task in tasks]
            for task in tasks:
                task.cancel()
            return done, polls

    done, polls = in_fast_time(run)
    # More polls than "not found" has retries: only those in its own turn count.
    assert polls > 4
    assert not any(done)


def test_few_waits_are_polled_in_turn_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> int:
        with many_waits(monkeypatch, loop, count=40) as (_, timeline, _):
            await asyncio.sleep(SETTLED_IN)
            return len(timeline.searches)

    assert in_fast_time(run) == 0


def test_the_search_ends_when_few_waits_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> tuple[int, int]:
        with many_waits(monkeypatch, loop) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            many = await waits.searches_in(100)
            for one in image_sets(MANY - 20):
                waits.tasks[one].cancel()
            await asyncio.sleep(10)
            return many, await waits.searches_in(1000)

    many, few = in_fast_time(run)
    assert many == pytest.approx(20, abs=4)
    assert few == 0


def test_no_search_is_sent_where_the_option_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> int:
        with many_waits(monkeypatch, loop, count=1) as (store, timeline, _):
            monkeypatch.setenv("AIRFLOW__IMGVER__CHANGE_SEARCH", "False")
            await asyncio.sleep(SETTLED_IN)
            assert timeline.polls
            with waiting(store, timeline, image_sets(MANY, first=10)):
                await asyncio.sleep(SETTLED_IN)
            return len(timeline.searches)

    assert in_fast_time(run) == 0


def test_two_data_stores_on_one_client_have_a_search_each(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "9" * 32

    async def run(loop: FastLoop) -> tuple[set[str], float, int]:
        with many_waits(monkeypatch, loop) as (store, timeline, waits):
            store.search = lambda asked: (  # type: ignore[method-assign]
                found() if scope_of(asked) == other else Store.search(store, asked)
            )
            # The same ids in another data store, where nothing changes.
            with waiting(store, timeline, image_sets(MANY), datastore_id=other):
                await asyncio.sleep(SETTLED_IN)
                assert len(own_threads()) <= 10
                delay = await waits.delay(image_sets(1)[0])
                elsewhere = [at for at, _ in timeline.polls if at > loop.now - delay]
                return {scope_of(asked) for _, asked in timeline.searches}, delay, len(elsewhere)

    scopes, delay, polls = in_fast_time(run)
    assert scopes == {DATASTORE, other}
    assert delay <= 6
    assert polls < 5


def test_a_search_looks_back_by_aws_s_clock_from_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def since(asked: Asked) -> float:
        (between,) = asked.body["filters"]
        assert between["operator"] == "BETWEEN"
        begin, end = (each["updatedAt"] for each in between["values"])
        assert end - begin >= 86_400
        return float(begin)

    async def run(loop: FastLoop) -> list[float]:
        with many_waits(monkeypatch, loop) as (_, timeline, _):
            await asyncio.sleep(60)
            assert {asked.size for _, asked in timeline.searches} == {50}
            return [since(asked) for _, asked in timeline.searches]

    begins = in_fast_time(run)
    now = datetime.now(UTC).timestamp()
    # The stub's answers have a date, as AWS's; the clock of the loop is another one.
    assert begins == pytest.approx([now - 120] * len(begins), abs=60)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_wrong_by_hours_misses_nothing(hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(area, "datetime", Wrong)

    async def run(loop: FastLoop) -> tuple[list[float], float]:
        def search(asked: Asked) -> Answer:
            since = asked.body["filters"][0]["values"][0]["updatedAt"]
            begins.append(since - datetime.now(UTC).timestamp())
            # As AWS: nothing has changed after a time that is yet to come.
            return store.search(asked) if begins[-1] < 0 else found()

        begins: list[float] = []
        with many_waits(monkeypatch, loop, search=search) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            return begins, await waits.delay(image_sets(1)[0])

    begins, delay = in_fast_time(run)
    assert begins[0] == pytest.approx(hours * 3600 - 120, abs=30)
    assert begins[1:] == pytest.approx([-120] * len(begins[1:]), abs=30)
    assert delay <= 6


def test_a_burst_of_changes_between_two_searches_opens_every_gate_in_the_order_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = image_sets(600)

    async def run(loop: FastLoop) -> tuple[float, int]:
        def search(asked: Asked) -> Answer:
            lately = sorted(store.changed)
            at = int(asked.token or 0)
            more = at + 50 < len(lately)
            return found(*lately[at : at + 50], token=str(at + 50) if more else None)

        with many_waits(monkeypatch, loop, count=600, search=search) as (store, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            begun, before = loop.now, len(timeline.polls)
            for one in ids:
                store.change(one)
            events = await asyncio.gather(*waits.tasks.values())
            assert {event["status"] for event in events} == {"open"}
            return loop.now - begun, len(timeline.polls) - before

    delay, polls = in_fast_time(run)
    assert delay <= 6
    # One poll for each, and a few that were in their turn at the same time.
    assert polls <= 650


def test_nothing_of_an_answer_but_ids_is_kept_or_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import gc

    # botocore itself logs every body on this level.
    caplog.set_level(logging.DEBUG, "airflow_imgver")

    async def run(loop: FastLoop) -> None:
        with many_waits(monkeypatch, loop) as (_, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            assert timeline.searches
            gc.collect()
            kept = [each for each in gc.get_objects() if type(each) is dict and "DICOMPatientName" in each]
            assert [each for each in kept if each["DICOMPatientName"] == SECRET] == []

    with logged() as printed:
        in_fast_time(run)
    assert SECRET not in caplog.text + printed.getvalue()


def test_a_triggerer_that_is_killed_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> list[str]:
        with many_waits(monkeypatch, loop) as (store, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            # Killed: nothing is stored, and what changes meanwhile, no search of the next one need show.
            for task in waits.tasks.values():
                task.cancel()
            store.change(image_sets(2)[1])
            await asyncio.sleep(1000)
            with waiting(store, timeline, image_sets(MANY)[1:]) as again:
                event = await asyncio.wait_for(again.tasks[image_sets(2)[1]], 2 * INTERVAL)
                return [event["status"]]

    assert in_fast_time(run) == ["open"]
    wait_for(lambda: not own_threads())


def test_a_gate_s_log_says_which_way_the_next_poll_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> None:
        with many_waits(monkeypatch, loop) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            await asyncio.sleep(SETTLED_IN)

    with logged() as printed:
        in_fast_time(run)
    lines: Any = printed.about("next poll")
    assert "version 2 not listed yet, next poll in 600 s" in "\n".join(lines)
    assert "version 2 not listed yet, next poll when a search shows a change, at the latest in" in lines[-1]
