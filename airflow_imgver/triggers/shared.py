"""Something that thousands of waits need before they can go on."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """
    The outcome of a future, for many, who go on one after the other.

    A future wakes all that wait for it in one turn of the loop, which thousands of them would hold up.

    :param future: what is waited for.
    """

    __slots__ = ("_turn", "future")

    def __init__(self, future: asyncio.Future[T]) -> None:
        self.future = future
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        """Wait for the outcome."""
        async with self._turn:
            # Shielded, because one wait that is cancelled must not take it from the others.
            return await asyncio.shield(self.future)
