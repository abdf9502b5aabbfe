"""The poller under stress: waits that come, go and change their plans at random."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from support import (
    DATASTORE,
    wait_for,
)
from waits import (
    BUSY,
    FastLoop,
    aws,
    event_of,
    in_fast_time,
    listing,
    own_threads,
    trigger,
)

from airflow_imgver.arguments.identities import WantedVersion
from airflow_imgver.gate.watched import Watched
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.triggers.poller import Inbox, Interest, Poller


class _Stub:
    """A wait of the poller's, with nothing around it."""

    def __init__(self, about: str, interval: float, inbox: Inbox, since: float) -> None:
        identity = {"datastore_id": DATASTORE, "image_set_id": about}
        self.interest = Interest(
            Watched(HEALTHIMAGING, identity, WantedVersion(None), 0), inbox, since, interval
        )


def test_plans_made_anew_again_and_again_do_not_fill_the_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> int:
        with aws(monkeypatch, lambda asked: listing(BUSY)):
            hook = HealthImagingHook()
            _ = hook.conn
            poller = Poller(hook)
            inbox = Inbox()
            # Stale entries behind a plan that is due before them do not reach the top of the heap.
            poller.poll_in(_Stub("9" * 32, 60.0, inbox, loop.now).interest, 10.0)
            longest = 0
            for number in range(20_000):
                one = _Stub(f"{number % 7:032d}", 60.0, inbox, loop.now).interest
                poller.poll_in(one, 1e6)
                poller.poll_in(one, 1e5)
                poller.forget(one)
                longest = max(longest, len(poller._heap))
            poller.close()
            return longest

    assert in_fast_time(run) < 1000


def test_waits_hear_of_it_when_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(loop: FastLoop) -> Any:
        with aws(monkeypatch, lambda asked: listing(BUSY)):
            hook = HealthImagingHook()
            _ = hook.conn
            poller = Poller(hook)
            inbox = Inbox()
            # As at the end of the interpreter, and where no thread can be started.
            poller._threads.shutdown()
            poller.poll_in(_Stub("0" * 32, 60.0, inbox, loop.now).interest, 1.0)
            ((_, answer),) = await inbox.get(100)
            poller.close()
            return answer

    assert isinstance(in_fast_time(run), RuntimeError)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_and_goes_every_wait_that_stays_is_polled(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits begin, end, are cancelled and share at random; none that stays misses its turn."""
    dice = random.Random(seed)
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", str(dice.choice([1, 2, 8])))

    async def run(loop: FastLoop) -> None:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:
            tasks: dict[asyncio.Task[Any], tuple[str, float, float]] = {}
            for _ in range(150):
                about, interval = f"{dice.randrange(12):032d}", dice.choice([5.0, 20.0, 60.0])
                if dice.random() < 0.6 or not tasks:
                    task = asyncio.ensure_future(event_of(trigger(about, poke_interval=interval)))
                    tasks[task] = (about, interval, loop.now)
                else:
                    gone = dice.choice(list(tasks))
                    del tasks[gone]
                    gone.cancel()
                await asyncio.sleep(dice.choice([0, 0, 0.01, 3.0, 25.0]))
            settled_at = loop.now
            await asyncio.sleep(300)
            for about, interval, begun in tasks.values():
                times = [each for each in timeline.of(about) if each >= max(begun, settled_at - 70)]
                pauses = [
                    later - earlier
                    for earlier, later in zip([settled_at, *times], [*times, loop.now], strict=True)
                ]
                # Never longer than the interval, and the first poll within two of them.
                assert max(pauses) <= 2 * max(interval, 10.0) + 1, (about, interval)
            for task in tasks:
                assert not task.done()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    in_fast_time(run)
    wait_for(lambda: not own_threads())


def test_what_a_search_wakes_comes_first_and_every_fourth_poll_is_one_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", "1")

    async def run(loop: FastLoop) -> list[str]:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:
            hook = HealthImagingHook()
            _ = hook.conn
            poller = Poller(hook)
            inbox = Inbox()
            in_turn = [_Stub(f"{number:032d}", 1e9, inbox, loop.now).interest for number in range(10)]
            woken = [_Stub(f"{number:032d}", 1e9, inbox, loop.now).interest for number in range(100, 130)]
            for interest in in_turn:
                poller.poll_in(interest, 5.0)
            for interest in woken:
                poller.poll_in(interest, 1e6)
            await asyncio.sleep(4.999)
            for interest in woken:
                assert interest.target is not None
                assert poller.wake(interest.target)
            await asyncio.sleep(0.001)
            poller.start_woken()
            while len(timeline.polls) < 40:
                await asyncio.sleep(0)
            poller.close()
            return ["turn" if int(about) < 100 else "woken" for _, about in timeline.polls]

    order = in_fast_time(run)
    assert order[:12] == ["woken", "woken", "woken", "turn"] * 3
    assert order.count("turn") == 10


def test_a_change_that_is_shown_while_its_version_is_polled_causes_another_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(loop: FastLoop) -> int:
        with aws(monkeypatch, lambda asked: listing(BUSY), lambda: loop.now) as timeline:
            hook = HealthImagingHook()
            _ = hook.conn
            poller = Poller(hook)
            inbox = Inbox()
            interest = _Stub("0" * 32, 1e6, inbox, loop.now).interest
            poller.poll_in(interest, 1.0)
            while interest.target is None or not interest.target.in_flight:
                await asyncio.sleep(0.5)
            # What the poll that is under way shows may be from before the change.
            assert poller.wake(interest.target)
            await inbox.get(None)
            poller.poll_in(interest, 1e5)
            await inbox.get(100)
            poller.close()
            return len(timeline.polls)

    assert in_fast_time(run) == 2
