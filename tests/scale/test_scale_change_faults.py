"""Whatever the search for changes does, it costs delay and nothing else: nothing lost, no busy loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from changing import INTERVAL, MANY, SETTLED_IN, Store, many_waits, waiting
from support import SECRET, Answer, Asked, connection_json, logged, wait_for
from waits import (
    BUSY,
    FastLoop,
    Timeline,
    aws,
    event_of,
    found,
    image_sets,
    in_fast_time,
    is_search,
    listing,
    own_threads,
    refusal,
    trigger,
)

from airflow_imgver.triggers.area import SECONDS_A_REQUEST
from airflow_imgver.triggers.search import MOST_PAGES

SLOW = 6 * 3600.0
OPTION = "AIRFLOW__IMGVER__UNCHANGED_POLL_INTERVAL"
HALF_A_PAGE = Answer(
    raw=b'{"imageSetsMetadataSummaries": [{"DICOMTags": {"DICOMPatientName": "' + SECRET.encode()
)


@pytest.fixture(autouse=True)
def slow_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTION, str(SLOW))


def after_its_proof(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[Asked], Answer], hours: float = 2
) -> tuple[float, int, int]:
    """
    Have a search meet a fault, once its waits rely on it.

    :return: the delay of a change then; the polls and the requests of searches in so many hours before it.
    """

    async def run(loop: FastLoop) -> tuple[float, int, int]:
        broken = False

        def search(asked: Asked) -> Answer:
            return fault(asked) if broken else store.search(asked)

        with many_waits(monkeypatch, loop, search=search) as (store, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            await asyncio.sleep(SETTLED_IN)
            # Otherwise nothing would be tested: the waits rely on the search.
            if float(os.environ[OPTION]) == SLOW:
                assert await waits.polls_in(INTERVAL) < MANY / 2
            broken = True
            # A short time in which the fault is met and taken in.
            await asyncio.sleep(INTERVAL)
            before = len(timeline.searches)
            polls = await waits.polls_in(hours * 3600)
            searches = len(timeline.searches) - before
            return await waits.delay(image_sets(MANY)[-1]), polls, searches

    result: tuple[float, int, int] = in_fast_time(run)
    return result


IN_TURN = 2 * 3600 * MANY / INTERVAL

FAILING = {
    "throttled": refusal("ThrottlingException", "Rate exceeded", 429),
    "an internal error": refusal("InternalServerException", "oops", 500),
    "half a page": HALF_A_PAGE,
    "a proxy's page": Answer(raw=b"<html>sign in</html>"),
    "an item without an id": Answer({"imageSetsMetadataSummaries": [{"imageSetId": None}]}),
    "no JSON object": Answer(raw=b"[1, 2]"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_search_that_fails_returns_its_waits_to_their_turns_and_is_tried_more_seldom(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delay, polls, searches = after_its_proof(monkeypatch, lambda asked: FAILING[name])
    assert polls == pytest.approx(IN_TURN, rel=0.1)
    assert delay <= INTERVAL + 1
    # Every five minutes, and not every five seconds.
    assert 20 <= searches <= 30


def test_a_search_that_recovers_is_relied_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> tuple[float, float]:
        broken = False

        def search(asked: Asked) -> Answer:
            return FAILING["throttled"] if broken else store.search(asked)

        with many_waits(monkeypatch, loop, search=search) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            broken = True
            await asyncio.sleep(2 * INTERVAL)
            broken = False
            await asyncio.sleep(2 * INTERVAL)
            return await waits.delay(image_sets(2)[-1]), await waits.polls_in(INTERVAL)

    delay, polls = in_fast_time(run)
    assert delay <= 6
    assert polls < MANY / 2


def test_a_search_that_is_empty_for_ever_leaves_all_waits_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> tuple[int, float]:
        with many_waits(monkeypatch, loop, search=lambda asked: found()) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            return await waits.polls_in(3600), await waits.delay(image_sets(MANY)[-1])

    polls, delay = in_fast_time(run)
    assert polls == pytest.approx(IN_TURN / 2, rel=0.04)
    assert delay <= INTERVAL + 1


def test_a_search_that_no_longer_shows_changes_loses_its_waits_after_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> tuple[float, int, float]:
        with many_waits(monkeypatch, loop, count=2 * MANY) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            await waits.delay(image_sets(1)[0])
            await asyncio.sleep(SETTLED_IN)
            store.shows_changes = False
            begun = loop.now
            ids = iter(image_sets(2 * MANY)[1:])
            relied_on = True
            while relied_on:
                # Ten changes a minute, of which no search shows any.
                store.change(next(ids))
                await asyncio.sleep(6 * INTERVAL / 10)
                relied_on = await waits.polls_in(INTERVAL) < MANY / 2
            found_out = loop.now - begun
            polls = await waits.polls_in(INTERVAL)
            return found_out, polls, await waits.delay(image_sets(2 * MANY)[-1])

    found_out, polls, delay = in_fast_time(run)
    assert found_out <= 4 * 3600
    assert polls >= MANY / 2
    assert delay <= INTERVAL + 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_search_that_aws_denies_is_logged_once_and_not_asked_again(
    code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "airflow_imgver.triggers")

    async def run(loop: FastLoop) -> tuple[int, int, float]:
        denied = refusal(code, "User is not authorized", 403)
        with many_waits(monkeypatch, loop, search=lambda asked: denied) as (_, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            polls = await waits.polls_in(3600)
            return len(timeline.searches), polls, await waits.delay(image_sets(MANY)[-1])

    searches, polls, delay = in_fast_time(run)
    assert searches == 1
    assert polls == pytest.approx(IN_TURN / 2, rel=0.04)
    assert delay <= INTERVAL + 1
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert "\n".join(lines) == (
        f"{code} from SearchImageSets: User is not authorized. Waits are polled in turn, without a search "
        "for changes. Allow medical-imaging:SearchImageSets to the identity of the connection, or set "
        "[imgver] change_search to False."
    )


def test_ids_of_others_cost_no_poll_and_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def others(asked: Asked) -> Answer:
        page = int(asked.token or 0)
        ids = image_sets(50, first=10_000 + 50 * page)
        return found(*ids, token=str(page + 1) if page < 98 else None)

    slow, hours = 1.5 * INTERVAL, 0.1
    monkeypatch.setenv(OPTION, str(slow))
    delay, polls, searches = after_its_proof(monkeypatch, others, hours)
    # In turn, each wait has 0.4 of a poll in this time, and they are not evenly spread over it.
    assert 0 < polls < MANY
    assert delay <= slow + 1
    assert searches <= hours * 3600 / SECONDS_A_REQUEST * 1.15 + MOST_PAGES


def test_a_token_that_never_ends_is_followed_for_a_bounded_number_of_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> tuple[int, int, float]:
        def endless(asked: Asked) -> Answer:
            token = str(int(asked.token or 0) + 1)
            return found(*store.changed, token=token)

        with many_waits(monkeypatch, loop, search=endless) as (store, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            pages = [int(asked.token or 0) for _, asked in timeline.searches]
            return max(pages) + 1, await waits.searches_in(300), await waits.delay(image_sets(1)[0])

    pages, searches, delay = in_fast_time(run)
    assert pages == MOST_PAGES
    assert searches <= 300 / SECONDS_A_REQUEST * 1.15 + MOST_PAGES
    # What it shows on its way is not lost.
    assert delay <= MOST_PAGES * SECONDS_A_REQUEST * 1.1 + 1


def test_the_same_token_again_ends_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    delay, polls, _ = after_its_proof(monkeypatch, lambda asked: found(token="again"))
    assert polls <= IN_TURN * 1.1
    assert delay <= INTERVAL + 1


def test_an_answer_of_which_half_is_missing_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "airflow_imgver")
    with logged() as printed:
        after_its_proof(monkeypatch, lambda asked: HALF_A_PAGE, hours=1)
    assert "SearchImageSets got an answer that cannot be read." in caplog.text
    assert SECRET not in caplog.text + printed.getvalue()


def test_half_a_listing_still_wakes_what_its_first_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> float:
        def search(asked: Asked) -> Answer:
            return HALF_A_PAGE if asked.token else found(*store.changed, token="more")

        with many_waits(monkeypatch, loop, search=search) as (store, _, waits):
            await asyncio.sleep(SETTLED_IN)
            return await waits.delay(image_sets(1)[0])

    # The pause after many failures.
    assert in_fast_time(run) <= 301 * 1.1


def test_a_search_that_names_all_image_sets_again_and_again_starves_no_wait_and_is_put_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = image_sets(MANY)

    async def run(loop: FastLoop) -> tuple[int, float, Timeline]:
        numbers = iter(range(10**9))

        def search(asked: Asked) -> Answer:
            # Others each time, so that every one of them is new.
            which = next(numbers) % 2
            return found(*ids[which::2])

        with many_waits(monkeypatch, loop, search=search) as (_, timeline, waits):
            await asyncio.sleep(SETTLED_IN)
            polls = await waits.polls_in(3600)
            return polls, await waits.delay(ids[-1]), timeline

    polls, delay, timeline = in_fast_time(run)
    assert delay <= INTERVAL + 1
    # Its waits' own polls, and for each of the quarters of an hour as many as make it useless.
    assert polls <= IN_TURN / 2 + 4 * (500 + MANY)
    assert min(timeline.counts().values()) >= 3600 / INTERVAL


def test_a_search_under_way_when_the_last_wait_leaves_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, asked_for = threading.Event(), threading.Event()
    pages: list[str | None] = []

    def search(asked: Asked) -> Answer:
        pages.append(asked.token)
        asked_for.set()
        go_on.wait(20)
        return found(*image_sets(MANY), token=str(len(pages)))

    async def run() -> None:
        tasks = [asyncio.ensure_future(event_of(trigger(one, poke_interval=0.2))) for one in image_sets(MANY)]
        await asyncio.to_thread(asked_for.wait, 20)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with aws(monkeypatch, lambda asked: listing(BUSY), search=search):
        try:
            asyncio.run(run())
        finally:
            go_on.set()
        wait_for(lambda: not own_threads())
    # Nobody waits for its next page.
    assert pages == [None]


def test_credentials_that_expire_between_two_searches_are_resolved_again_by_the_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = "old-token", "new-token"
    expired = refusal("ExpiredTokenException", "The security token included in the request is expired", 403)

    async def run(loop: FastLoop) -> tuple[float, set[str], float]:
        valid = old

        def checked(asked: Asked) -> Answer:
            if asked.headers.get("x-amz-security-token") != valid:
                return expired
            return store.search(asked) if is_search(asked) else Store.answer(store, asked)

        with many_waits(monkeypatch, loop, count=1, search=checked) as (store, timeline, _):
            store.answer = checked  # type: ignore[method-assign]
            url = timeline.stub.url
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(url, aws_session_token=old))
            with waiting(store, timeline, image_sets(MANY, first=10)) as waits:
                await asyncio.sleep(SETTLED_IN)
                await waits.delay(image_sets(1, first=10)[0])
                await asyncio.sleep(SETTLED_IN)
                assert await waits.polls_in(INTERVAL) < MANY / 2
                valid = new
                monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(url, aws_session_token=new))
                await asyncio.sleep(3 * INTERVAL)
                delay = await waits.delay(image_sets(1, first=20)[0])
                return delay, {str(task.done()) for task in waits.tasks.values()}, loop.now

    delay, done, _ = in_fast_time(run)
    # A new client, which searches too.
    assert delay <= 6
    assert done == {"True", "False"}


def test_a_data_store_that_does_not_exist_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> int:
        missing = refusal("ResourceNotFoundException", "no such data store", 404)
        with many_waits(monkeypatch, loop, search=lambda asked: missing) as (_, timeline, waits):
            await asyncio.sleep(3600)
            assert await waits.delay(image_sets(1)[0]) <= INTERVAL + 1
            return len(timeline.searches)

    assert in_fast_time(run) == 1


def test_waits_go_on_when_the_system_gives_no_thread_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_imgver.triggers import change_search

    def none(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("can't start new thread")

    async def run(loop: FastLoop) -> float:
        monkeypatch.setattr(change_search.ChangeSearches, "submit", none)
        with many_waits(monkeypatch, loop) as (_, _, waits):
            await asyncio.sleep(SETTLED_IN)
            return await waits.delay(image_sets(1)[0])

    assert in_fast_time(run) <= INTERVAL + 1
