"""A future that thousands of waits need before they can go on."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedFuture(Generic[T]):
    """
    The outcome of a future, for many waits, which go on one after the other.

    A future wakes all that wait for it in one turn of the loop, which thousands of them would block.

    :param future: the future.
    """

    __slots__ = ("_turn", "future")

    def __init__(self, future: asyncio.Future[T]) -> None:
        self.future = future
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        """Wait for the outcome."""
        async with self._turn:
            # Shielded, because a wait that is cancelled must not cancel it for the others.
            return await asyncio.shield(self.future)
