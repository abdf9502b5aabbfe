"""How many events may be on their way into Airflow's database at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FIRST = 2
STEP = 4
# A watcher's queue in Airflow holds 1,024, and Airflow fails the watcher of a full one.
MOST = 200


class Window:
    """
    Few after a start, and some more each time that Airflow has stored as many as it holds.

    What is on its way when a triggerer is killed is sent again. One that is killed again and again soon after
    its start, for want of memory for example, would send much of a backlog each time. Airflow answers every
    second or two, so that after 20 seconds there are about as many as AWS's quotas let it list.

    :param first: how many at the start.
    :param step: how many more with each answer.
    :param most: how many at the most.
    """

    def __init__(self, first: int = FIRST, step: int = STEP, most: int = MOST) -> None:
        self.inside = 0
        self._size = float(first)
        self._first = first
        self._step = step
        self._most = most
        self._left = asyncio.Event()

    @property
    def size(self) -> int:
        """How many may be on their way."""
        return int(self._size)

    async def enter(self) -> None:
        """Wait until one more may be on its way."""
        await self._until(lambda: self.inside < self.size)
        self.inside += 1

    def leave(self, *, stored: bool) -> None:
        """Note that one has arrived, or that it has not."""
        self.inside = max(0, self.inside - 1)
        grown = min(self._most, self._size + self._step / self.size)
        self._size = grown if stored else float(self._first)
        self._left.set()

    async def empty(self) -> None:
        """Wait until none is on its way."""
        await self._until(lambda: self.inside == 0)

    async def _until(self, fits: Callable[[], bool]) -> None:
        while not fits():
            self._left.clear()
            await self._left.wait()
