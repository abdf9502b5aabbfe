"""When many gates poll: spread over the interval, backing off as poke mode does, and patient with AWS."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from support import DATASTORE
from waits import (
    BUSY,
    READY,
    FastLoop,
    Timeline,
    aws,
    cancelled_at_the_end,
    event_of,
    image_sets,
    in_fast_time,
    listing,
    refusal,
    trigger,
)

from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.triggers.schedule import LONGEST_BACKOFF, Pace, Schedule


def polls_of(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *waiting: Any, answer: Any = lambda now: listing(BUSY)
) -> Timeline:
    async def run(loop: FastLoop) -> Timeline:
        begun = loop.now
        with aws(monkeypatch, lambda _: answer(loop.now - begun), lambda: loop.now - begun) as timeline:
            with cancelled_at_the_end(*waiting):
                await asyncio.sleep(seconds)
            return timeline

    timeline: Timeline = in_fast_time(run)
    return timeline


def test_gates_released_together_spread_over_the_interval_and_stay_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline = polls_of(monkeypatch, 190, *(trigger(each, poke_interval=60) for each in image_sets(300)))
    assert min(at for at, _ in timeline.polls) >= 10
    assert set(timeline.counts().values()) <= {3, 4}
    # Six a second on average over the fifty seconds of the first round; all at once it would be 300.
    assert timeline.busiest_second() <= 20


def test_the_ids_of_one_gate_spread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = polls_of(monkeypatch, 130, trigger(image_sets(300), poke_interval=60))
    assert len(timeline.counts()) == 300
    assert timeline.busiest_second() <= 20


@pytest.mark.parametrize("max_wait", [None, 300.0])
@pytest.mark.parametrize("interval", [1.0, 7.0, 60.0])
def test_pauses_grow_within_the_bounds_of_poke_mode(interval: float, max_wait: float | None) -> None:
    sensor = HealthImagingImageSetVersionSensor(
        task_id="wait",
        datastore_id=DATASTORE,
        image_set_id="0" * 32,
        poke_interval=interval,
        exponential_backoff=True,
        max_wait=timedelta(seconds=max_wait) if max_wait else None,
        timeout=10**9,
    )
    for number in range(50):
        schedule = Schedule(Pace(interval, exponential_backoff=True, max_wait=max_wait))
        for poke_count in range(1, 12):
            pause = schedule.after_poll()
            base = max(int(interval * 2 ** (poke_count - 2)), 1)
            poked = sensor._get_next_poke_interval(float(number), lambda: 0.0, poke_count)
            for each in (pause, poked):
                assert min(base, max_wait or base) <= each <= min(2 * (base + 1), max_wait or 10**9)


def test_a_pause_never_overflows_however_long_a_gate_has_waited() -> None:
    schedule = Schedule(Pace(60, exponential_backoff=True))
    assert all(schedule.after_poll() < float("inf") for _ in range(5000))
    assert all(schedule.after_error() <= LONGEST_BACKOFF for _ in range(5000))


def test_without_backoff_the_pause_is_the_interval_but_after_errors() -> None:
    schedule = Schedule(Pace(60))
    assert schedule.after_poll() == 60
    pauses = [schedule.after_error() for _ in range(200)]
    assert 30 <= min(pauses) < max(pauses) <= LONGEST_BACKOFF
    assert len(set(pauses)) > 190
    assert schedule.errors == 200
    assert schedule.after_poll() == 60
    assert schedule.errors == 0


def test_backoff_is_honoured_in_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trigger("0" * 32, poke_interval=30, exponential_backoff=True, max_wait=400)
    times = [at for at, _ in polls_of(monkeypatch, 4000, one).polls]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for number, pause in enumerate(pauses):
        base = 30 * 2 ** (number - 1)
        assert min(base, 400) - 0.1 <= pause <= min(2 * base, 400) + 0.1
    assert pauses[-1] == pytest.approx(400, abs=0.1)


def test_a_throttled_poll_is_repeated_at_the_usual_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []

    def answer(now: float) -> Any:
        begun.append(now)
        return refusal("ThrottlingException", status=429) if now < begun[0] + 600 else listing(BUSY)

    times = [
        at for at, _ in polls_of(monkeypatch, 900, trigger("0" * 32, poke_interval=60), answer=answer).polls
    ]
    assert len(times) >= 13
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([60] * (len(times) - 1))


def test_ten_minutes_of_outage_are_waited_out_without_a_busy_loop_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []

    class Log:
        def info(self, *_: Any) -> None:
            """Only warnings are read."""

        def warning(self, line: str, *args: Any) -> None:
            lines.append(line % args)

    async def run(loop: FastLoop) -> tuple[dict[str, Any], int, float]:
        begun = loop.now

        def answer(_: Any) -> Any:
            gone = loop.now - begun < 600
            return refusal("ServiceUnavailable", "Come back later", 503) if gone else listing(READY)

        with aws(monkeypatch, answer, lambda: loop.now) as timeline:
            one = trigger("0" * 32, poke_interval=5)
            monkeypatch.setattr(type(one), "log", Log(), raising=False)
            return await event_of(one), len(timeline.polls), loop.now - begun

    event, polls, took = in_fast_time(run)
    assert event["status"] == "open"
    assert 4 <= polls <= 30
    assert 600 <= took <= 600 + LONGEST_BACKOFF + 10
    assert "ServiceUnavailable from ListImageSetVersions: Come back later" in lines[0]
    assert f"({polls - 1} so far, {polls - 1} in a row)" in lines[-1]


@pytest.mark.parametrize("trouble", [("ThrottlingException", 429), ("ServiceUnavailable", 503)])
def test_a_hundred_gates_that_meet_trouble_together_do_not_come_back_together(
    trouble: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline = polls_of(
        monkeypatch,
        900,
        *(trigger(each, poke_interval=30) for each in image_sets(100)),
        answer=lambda now: refusal(trouble[0], status=trouble[1]) if now < 600 else listing(READY),
    )
    assert set(timeline.counts()) == set(image_sets(100))
    assert len(timeline.polls) <= 100 * 30
    assert timeline.busiest_second() <= 15
