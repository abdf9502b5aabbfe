"""The request budget: how many requests a second, drawn on by whom, and fair between waits."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import DATASTORE, connection_json, context_of
from waits import BUDGET, BUSY, aws, cancelled_at_the_end, event_of, image_sets, listing, refusal, trigger

from airflow_imgver.hooks.budget import BURST_SECONDS, Budget
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.services.healthimaging import HEALTHIMAGING

# A request is counted where it arrives. A machine that stalls keeps one of each thread on its way.
ON_THE_WAY = 8


def budget_at(per_second: float, **more: Any) -> Budget:
    return Budget(HEALTHIMAGING.quotas[0], per_second, **more)


class Clock:
    """The time of the budget, which passes only while a request waits for its turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("airflow_imgver.hooks.budget.monotonic", lambda: clock.now)
    monkeypatch.setattr("airflow_imgver.hooks.budget.sleep", clock.sleep)
    return clock


def run_until(enough: Callable[[], bool], *waiting: Any) -> None:
    """Let triggers run until something has come about, and cancel them."""

    async def run() -> None:
        with cancelled_at_the_end(*waiting) as tasks:
            async with asyncio.timeout(60):
                while not enough():
                    await asyncio.sleep(0.05)
            assert not any(task.done() for task in tasks)

    asyncio.run(run())


def test_no_second_sees_more_requests_than_rate_and_burst_however_many_waits_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BUDGET, "40")
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        run_until(lambda: len(timeline.polls) > 120, *(trigger(each) for each in image_sets(80)))
    assert 20 < timeline.busiest_second() <= 40 + 40 * BURST_SECONDS + ON_THE_WAY


def test_with_more_waits_than_the_budget_allows_each_is_polled_equally_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BUDGET, "60")
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        run_until(lambda: len(timeline.polls) > 200, *(trigger(each) for each in image_sets(60)))
    counted = timeline.counts()
    assert len(counted) == 60
    assert max(counted.values()) - min(counted.values()) <= 1


def test_one_log_line_says_what_the_interval_has_become_and_which_option_changes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BUDGET, "10")
    caplog.set_level(logging.WARNING, "airflow_imgver.triggers.poller")

    def lines() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "airflow_imgver.triggers.poller"]

    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        waiting = [trigger(each, poke_interval=0.5) for each in image_sets(30)]
        run_until(lambda: bool(lines()) and len(timeline.polls) > 40, *waiting)
    assert "\n".join(lines()) == (
        "Polling each version about every 3 s instead of every 0 s: 30 versions need 60.0 requests a second, "
        "and [imgver] healthimaging_requests_per_second allows 10."
    )


def test_the_log_line_counts_with_the_rate_that_throttling_leaves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BUDGET, "100")
    caplog.set_level(logging.WARNING, "airflow_imgver.triggers.poller")
    throttled = refusal("ThrottlingException", "Rate exceeded", 429)

    def lines() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "airflow_imgver.triggers.poller"]

    with aws(monkeypatch, lambda asked: throttled):
        # Less than the option allows, and more than is left of it once AWS throttles everything.
        waiting = [trigger(each, poke_interval=0.5) for each in image_sets(30)]
        run_until(lambda: bool(lines()), *waiting)
    (line,) = lines()
    assert "30 versions need 60.0 requests a second, and [imgver] healthimaging_requests_per_second" in line
    assert "allows 100, of which AWS's throttling leaves" in line


def test_no_line_blames_the_budget_when_it_is_aws_that_is_slow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", "1")
    slow = threading.Event()
    caplog.set_level(logging.WARNING, "airflow_imgver.triggers.poller")

    def answer(asked: Any) -> Any:
        slow.wait(0.3)
        return listing(BUSY)

    with aws(monkeypatch, answer) as timeline:
        waiting = [trigger(each, poke_interval=0.5) for each in image_sets(8)]
        run_until(lambda: len(timeline.polls) > 8, *waiting)
        slow.set()
    assert not [r for r in caplog.records if r.name == "airflow_imgver.triggers.poller"]


def test_poking_sensors_list_operators_and_triggers_of_a_process_draw_on_one_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BUDGET, "20")
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        operator = HealthImagingListImageSetVersionsOperator(
            task_id="list", datastore_id=DATASTORE, image_set_id="o" * 32
        )
        sensor = HealthImagingImageSetVersionSensor(
            task_id="poke", datastore_id=DATASTORE, image_set_id=image_sets(5, first=50)
        )
        enough = threading.Event()

        def listing_again_and_again() -> None:
            while not enough.is_set():
                operator.hook.list_image_set_versions(DATASTORE, "o" * 32)

        def poking_again_and_again() -> None:
            while not enough.is_set():
                sensor.poke(context_of())

        others = [threading.Thread(target=each) for each in (listing_again_and_again, poking_again_and_again)]
        for other in others:
            other.start()
        everyone = [{"o" * 32}, set(image_sets(5, first=50)), set(image_sets(10))]
        run_until(
            lambda: len(timeline.polls) > 60 and all(set(timeline.counts()) & asked for asked in everyone),
            *(trigger(each) for each in image_sets(10)),
        )
        enough.set()
        for other in others:
            other.join()
    assert timeline.busiest_second() <= 20 + 20 * BURST_SECONDS + ON_THE_WAY


def test_two_connections_have_a_budget_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET, "10")
    with aws(monkeypatch, lambda asked: listing(BUSY)) as timeline:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_json(timeline.stub.url, password="another"))
        run_until(
            lambda: len(timeline.polls) > 60,
            *(trigger(each) for each in image_sets(10)),
            *(trigger(each, aws_conn_id="other") for each in image_sets(10, first=10)),
        )
    of_one = 10 + 10 * BURST_SECONDS + ON_THE_WAY
    assert of_one < timeline.busiest_second() <= 2 * of_one


def test_a_repeated_attempt_draws_again(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv(BUDGET, "2")
    with aws(monkeypatch, lambda asked: refusal("InternalServerException", status=500)) as timeline:
        hook = HealthImagingHook()
        with pytest.raises(Exception, match="InternalServerException"):
            hook.list_image_set_versions(DATASTORE, "o" * 32)
        hook.conn.close()
    assert len(timeline.polls) == 3
    assert clock.pauses == [0.5, 0.5]


def test_a_request_waits_for_its_turn_before_it_is_signed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv(BUDGET, "2")
    with aws(monkeypatch, lambda asked: listing(BUSY)):
        hook = HealthImagingHook()
        signed: list[float] = []
        hook.conn.meta.events.register("before-sign.medical-imaging", lambda **_: signed.append(clock.now))
        for _ in range(3):
            hook.list_image_set_versions(DATASTORE, "o" * 32)
        hook.conn.close()
    assert signed == [1000.0, 1000.5, 1001.0]


def test_a_pause_without_requests_saves_up_a_burst_and_no_more(clock: Clock) -> None:
    budget = budget_at(16, clock=lambda: clock.now, wait=clock.sleep)
    burst = int(16 * BURST_SECONDS)
    assert burst > 1
    for _ in range(burst):
        budget.draw()
    clock.now += 3600
    for _ in range(burst):
        budget.draw()
    assert clock.pauses == []
    budget.draw()
    assert clock.pauses == [1 / 16]


def test_threads_that_wait_for_their_turn_get_it_in_the_order_of_asking() -> None:
    budget = budget_at(40)
    drawn = [0] * 8
    until = time.monotonic() + 2.0

    def draw(number: int) -> None:
        while time.monotonic() < until:
            budget.draw()
            drawn[number] += 1

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(drawn) >= 80
    # The thread that began first took the burst.
    assert max(drawn) - min(drawn) <= 40 * BURST_SECONDS + 2


@pytest.mark.parametrize("per_second", [0.5, 2.0, 25.0, 999.0, 5e6])
def test_any_rate_is_kept(per_second: float) -> None:
    budget = budget_at(per_second)
    turns = int(per_second * BURST_SECONDS) + 2 if per_second < 100 else 200
    begun = time.monotonic()
    for _ in range(turns):
        budget.draw()
    took = time.monotonic() - begun
    beyond_the_burst = turns - max(1, int(per_second * BURST_SECONDS))
    assert took >= beyond_the_burst / per_second * 0.9 - 0.005
    assert took < beyond_the_burst / per_second + 0.5


@pytest.mark.parametrize("hook", [HealthImagingHook, SageMakerImageHook])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "twenty", ""])
def test_a_budget_that_cannot_be_one_is_refused_with_its_name(
    hook: Any, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json("http://127.0.0.1:9"))
    option = hook.service.requests_per_second.name
    monkeypatch.setenv(f"AIRFLOW__IMGVER__{option.upper()}", value)
    with pytest.raises(ValueError, match=rf"\[imgver\] {option} must be a number above 0, not "):
        _ = hook().conn


@pytest.mark.parametrize("value", ["0", "0.5", "2.5", "-8", "many"])
def test_a_number_of_threads_that_cannot_be_one_fails_the_gate_with_the_option_s_name(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", value)
    with aws(monkeypatch, lambda asked: listing(BUSY)):
        event = asyncio.run(event_of(trigger("o" * 32)))
    assert event["status"] == "error"
    assert "[imgver] threads must be a" in event["message"]
    assert value in event["message"]


@pytest.mark.parametrize(("option", "most"), [(None, 8), ("3", 3)])
def test_as_many_polls_are_in_flight_as_there_are_threads(
    option: str | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if option:
        monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", option)
    here: list[int] = []
    inside = 0
    lock = threading.Lock()
    full = threading.Event()

    def answer(asked: Any) -> Any:
        nonlocal inside
        with lock:
            inside += 1
            here.append(inside)
        if inside >= most:
            full.set()
        full.wait(5)
        time.sleep(0.05)  # so that one more, were there one, would come in
        with lock:
            inside -= 1
        return listing(BUSY)

    with aws(monkeypatch, answer):
        run_until(lambda: len(here) > 2 * most, *(trigger(each) for each in image_sets(20)))
    assert max(here) == most
