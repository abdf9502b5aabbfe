"""One request for many: waits on the same entry share what was asked, and take no answer that is too old."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support import Answer, Asked
from waits import (
    BUSY,
    READY,
    FastLoop,
    Timeline,
    asked_about,
    aws,
    cancelled_at_the_end,
    event_of,
    events_of,
    image_sets,
    in_fast_time,
    listing,
    refusal,
    trigger,
)

ONE = "1" * 32


def fast(
    monkeypatch: pytest.MonkeyPatch, answer: Any, seconds: float, *waiting: Any
) -> tuple[Timeline, list[tuple[float, dict[str, Any]]]]:
    """Run triggers for so many seconds of a fast clock; gives what was asked, and when events came."""
    events: list[tuple[float, dict[str, Any]]] = []

    async def run(loop: FastLoop) -> Timeline:
        begun = loop.now

        async def noted(each: Any) -> None:
            event = await event_of(each)
            events.append((loop.now - begun, event))

        with aws(
            monkeypatch, lambda asked: answer(asked, loop.now - begun), lambda: loop.now - begun
        ) as line:
            tasks = [asyncio.ensure_future(noted(each)) for each in waiting]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return line

    return in_fast_time(run), events


def test_a_hundred_waits_on_one_entry_cost_about_the_requests_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = [trigger(ONE, poke_interval=60) for _ in range(100)]
    timeline, events = fast(
        monkeypatch, lambda asked, now: listing(READY if now > 600 else BUSY), 700, *waiting
    )
    assert [event["status"] for _, event in events] == ["open"] * 100
    assert len(timeline.polls) <= 13  # one in 60 s of 600 s, and the first and the last


def test_waits_on_one_entry_with_different_versions_ask_for_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline, _ = fast(
        monkeypatch,
        lambda asked, now: listing(BUSY),
        100,
        trigger(ONE, poke_interval=60),
        trigger(ONE, poke_interval=60, version=1),
    )
    assert len(timeline.polls) >= 2


def test_a_wait_that_polls_rarely_opens_on_the_answer_of_one_that_polls_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, events = fast(
        monkeypatch,
        lambda asked, now: listing(READY if now > 100 else BUSY),
        400,
        trigger(ONE, poke_interval=10),
        trigger(ONE, poke_interval=3600),
    )
    assert len(events) == 2
    assert all(at <= 111 for at, _ in events)


def test_the_polls_of_others_do_not_use_up_the_not_found_retries_of_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, events = fast(
        monkeypatch,
        lambda asked, now: refusal("ResourceNotFoundException", status=404) if now < 300 else listing(READY),
        1000,
        trigger(ONE, poke_interval=5, silent_fail=True),
        trigger(ONE, poke_interval=200, not_found_retries=2),
    )
    assert [event["status"] for _, event in events] == ["open", "open"]


def test_the_polls_of_others_do_not_lengthen_the_backoff_of_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks_of_version_5(also: list[Any]) -> int:
        timeline, _ = fast(
            monkeypatch,
            lambda asked, now: listing(BUSY),
            3000,
            trigger(ONE, poke_interval=60, exponential_backoff=True, max_wait=100),
            *also,
        )
        return len(timeline.polls)

    alone = looks_of_version_5([])
    assert 25 <= alone <= 50
    often = looks_of_version_5([trigger(ONE, poke_interval=30)])
    assert often <= 3000 / 30 + 2


def test_two_waits_with_different_intervals_poll_as_often_as_the_shorter_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline, _ = fast(
        monkeypatch,
        lambda asked, now: listing(BUSY),
        1000,
        trigger(ONE, poke_interval=20),
        trigger(ONE, poke_interval=30),
    )
    assert 1000 / 20 - 3 <= len(timeline.polls) <= 1000 / 20 + 1000 / 30


def test_when_the_wait_that_polls_often_ends_the_other_is_still_polled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> Timeline:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:
            with cancelled_at_the_end(trigger(ONE, poke_interval=100)):
                with cancelled_at_the_end(trigger(ONE, poke_interval=10)):
                    await asyncio.sleep(500)
                left = loop.now
                await asyncio.sleep(1000)
            timeline.polls = [poll for poll in timeline.polls if poll[0] > left]
            return timeline

    assert 9 <= len(in_fast_time(run).polls) <= 12


def test_a_wait_takes_no_answer_that_was_asked_for_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, released = threading.Event(), threading.Event()
    stale = iter([True])

    def answer(asked: Asked) -> Answer:
        if next(stale, False):
            # AWS saw the old version, and its answer is long on its way.
            arrived.set()
            assert released.wait(10)
            return listing(READY)
        return listing(BUSY)

    async def run() -> tuple[int, bool]:
        with aws(monkeypatch, answer) as timeline:
            first = asyncio.ensure_future(event_of(trigger(ONE)))
            await asyncio.to_thread(arrived.wait, 10)
            # Somebody updates the image set here, and gates on the outcome.
            second = asyncio.ensure_future(event_of(trigger(ONE)))
            await asyncio.sleep(0.2)
            released.set()
            assert (await first)["status"] == "open"
            while len(timeline.polls) < 3:
                await asyncio.sleep(0.01)
            done = second.done()
            second.cancel()
            return len(timeline.polls), done

    polls, second_opened = asyncio.run(run())
    assert polls >= 3
    assert not second_opened


def test_no_wait_resumes_its_task_within_ten_seconds_although_others_poll_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the LocalExecutor a task that resumes within seconds of deferring can fail."""

    async def run(loop: FastLoop) -> float:
        often = trigger(ONE, poke_interval=0.5, wait_until="deleted")
        with aws(monkeypatch, lambda asked: listing(READY), lambda: loop.now), cancelled_at_the_end(often):
            await asyncio.sleep(30)
            begun = loop.now
            await event_of(trigger(ONE, poke_interval=60))
            return loop.now - begun

    assert 10 <= in_fast_time(run) < 13


def test_a_poll_with_a_transient_error_is_repeated_for_all_waits_that_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = iter([True] * 3)

    def answer(asked: Asked) -> Answer:
        return refusal("ThrottlingException", status=429) if next(failing, False) else listing(READY)

    with aws(monkeypatch, answer):
        events = asyncio.run(asyncio.wait_for(events_of(*(trigger(ONE) for _ in range(5))), 30))
    assert [event["status"] for event in events] == ["open"] * 5


def test_running_one_trigger_twice_at_once_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch, lambda asked: listing(READY)) as timeline:
        twice = trigger(image_sets(30))
        events = asyncio.run(events_of(twice, twice))
    assert events[0] == events[1]
    assert len(events[0]["entry"]) == 30
    assert max(timeline.counts().values()) <= 2
    assert {asked_about(asked) for asked in timeline.stub.asked} == set(image_sets(30))
