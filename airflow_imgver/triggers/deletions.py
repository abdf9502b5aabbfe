"""Deleting the messages of a queue that all its watchers have dealt with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.triggers.turns import Dealt, Turns

if TYPE_CHECKING:
    from airflow_imgver.events.queue import QueueReader


class Deletions:
    """
    What is to be deleted.

    :param reader: returns what reads the queue; None where it is not connected.
    :param threads: threads for requests to the queue.
    :param turns: knows what waits for watchers in other triggerers.
    :param log: the log.
    """

    def __init__(
        self, reader: Callable[[], QueueReader | None], threads: ThreadPoolExecutor, turns: Turns, log: Any
    ) -> None:
        self._reader = reader
        self._threads = threads
        self._turns = turns
        self._log = log
        self._dealt: list[Dealt] = []
        self._receipts: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._dealt) + len(self._receipts)

    def add(self, message: Dealt) -> None:
        """Have a message deleted that watchers have dealt with, when all others have too."""
        self._dealt.append(message)

    def add_unneeded(self, receipt: str) -> None:
        """Have a message deleted that no watcher needs."""
        self._receipts.append(receipt)

    def begin(self) -> None:
        """Delete in the background; what cannot be deleted stays, for :meth:`delete`."""
        if len(self) and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._delete_all())

    async def delete(self) -> bool:
        """
        Delete what there is; returns whether nothing of it has to be tried again.

        :raises AwsCallError: SQS refused or did not answer.
        """
        reader = self._reader()
        if reader is None or not len(self):
            return False
        await self._settle(reader)
        receipts, self._receipts = self._receipts, []
        if not receipts:
            return True
        try:
            left = await asyncio.get_running_loop().run_in_executor(self._threads, reader.delete, receipts)
        except BaseException:
            self._receipts += receipts
            raise
        self._receipts += left
        return not left

    async def finish(self, seconds: float) -> None:
        """Give what is under way some seconds to end."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()

    async def _settle(self, reader: QueueReader) -> None:
        """Have deleted what all watchers have dealt with; hide the rest, for other triggerers' turns."""
        dealt, self._dealt = self._dealt, []
        try:
            settled = set(await self._turns.settle(dealt)) if dealt else set()
        except BaseException:
            self._dealt += dealt
            raise
        self._receipts += [each.receipt for each in dealt if each in settled]
        kept = [each.receipt for each in dealt if each not in settled]
        if kept:
            seconds = self._turns.seconds_to_hide()
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, reader.hide, kept, seconds)
            except AwsCallError as error:
                self._log.debug("Messages could not be hidden, and come back a little later: %s", error)

    async def _delete_all(self) -> None:
        """Delete what there is, and what comes meanwhile."""
        try:
            while len(self) and await self.delete():
                pass
        except Exception as error:  # noqa: BLE001  # nothing may end a watcher
            # The loop that receives tries again before it receives more, and pauses.
            self._log.debug("Deleting failed, and is repeated: %s", error)
