"""How many events may be on their way into Airflow's database."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from airflow_imgver.triggers.window import Window


def test_it_begins_small_and_grows_with_each_answer() -> None:
    async def main() -> list[int]:
        window, sizes = Window(2, 4, 20), []
        for _ in range(9):
            for _ in range(window.size):
                await window.enter()
            sizes.append(window.inside)
            for _ in range(window.inside):
                window.leave(stored=True)
        return sizes

    sizes = asyncio.run(main())
    assert sizes[0] == 2
    assert sizes[-1] == 20
    assert all(0 < after - before <= 4 for before, after in pairwise(sizes[:5]))


def test_one_more_waits_until_one_has_left() -> None:
    async def main() -> None:
        window = Window(1, 1, 9)
        await window.enter()
        entering = asyncio.ensure_future(window.enter())
        emptying = asyncio.ensure_future(window.empty())
        await asyncio.sleep(0.01)
        assert not entering.done()
        window.leave(stored=False)
        await entering
        assert (window.size, window.inside) == (1, 1)
        assert not emptying.done()
        window.leave(stored=True)
        await emptying

    asyncio.run(main())


def test_what_was_not_stored_makes_it_small_again() -> None:
    window = Window(2, 4, 50)
    for _ in range(20):
        window.leave(stored=True)
    assert window.size > 10
    window.leave(stored=False)
    assert window.size == 2
