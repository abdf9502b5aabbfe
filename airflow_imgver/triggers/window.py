"""How many events may be on their way into Airflow's database at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FIRST = 4
# A watcher's queue in Airflow holds 1,024, and Airflow fails the watcher of a full one.
MOST = 200


class Window:
    """
    Few after a start, and one more for each that was stored: it doubles with each of Airflow's answers.

    What is on its way when a triggerer is killed is sent again. One that is killed again and again soon after
    its start, for want of memory for example, would send all of a backlog each time.

    :param first: how many at the start.
    :param most: how many at the most.
    """

    def __init__(self, first: int = FIRST, most: int = MOST) -> None:
        self.size = first
        self.inside = 0
        self._first = first
        self._most = most
        self._left = asyncio.Event()

    async def enter(self) -> None:
        """Wait until one more may be on its way."""
        await self._until(lambda: self.inside < self.size)
        self.inside += 1

    def leave(self, *, stored: bool) -> None:
        """Note that one has arrived, or that it has not."""
        self.inside = max(0, self.inside - 1)
        self.size = min(self._most, self.size + 1) if stored else self._first
        self._left.set()

    async def empty(self) -> None:
        """Wait until none is on its way."""
        await self._until(lambda: self.inside == 0)

    async def _until(self, fits: Callable[[], bool]) -> None:
        while not fits():
            self._left.clear()
            await self._left.wait()
