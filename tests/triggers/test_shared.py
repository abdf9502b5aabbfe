"""What thousands wait for."""

from __future__ import annotations

import asyncio

import pytest

from airflow_imgver.triggers.shared import SharedFuture

WAITS = 200


def test_those_who_wait_go_on_one_after_the_other() -> None:
    async def most_in_a_turn() -> int:
        shared = SharedFuture(asyncio.get_running_loop().create_future())
        gone_on = 0

        async def wait() -> None:
            nonlocal gone_on
            assert await shared.get() == "built"
            gone_on += 1

        waits = [asyncio.create_task(wait()) for _ in range(WAITS)]
        await asyncio.sleep(0)
        shared.future.set_result("built")
        most = 0
        while gone_on < WAITS:
            before = gone_on
            await asyncio.sleep(0)
            most = max(most, gone_on - before)
        await asyncio.gather(*waits)
        return most

    assert asyncio.run(most_in_a_turn()) == 1


def test_one_that_is_cancelled_takes_nothing_from_the_others() -> None:
    async def scene() -> list[str]:
        shared = SharedFuture(asyncio.get_running_loop().create_future())
        first, *others = [asyncio.create_task(shared.get()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        shared.future.set_result("built")
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.gather(*others)

    assert asyncio.run(scene()) == ["built", "built"]


def test_all_hear_of_a_failure() -> None:
    async def scene() -> list[object]:
        shared = SharedFuture(asyncio.get_running_loop().create_future())
        waits = [asyncio.create_task(shared.get()) for _ in range(3)]
        await asyncio.sleep(0)
        shared.future.set_exception(RuntimeError("no role"))
        return [str(error) for error in await asyncio.gather(*waits, return_exceptions=True)]

    assert asyncio.run(scene()) == ["no role"] * 3
