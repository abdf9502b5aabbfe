"""One queue, read for all its watchers in this process: receive, list, hand over, delete what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async

from airflow_imgver.events.cursor import Remembered
from airflow_imgver.events.queue import Observation, Outcome, QueueReader
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.options import THREADS
from airflow_imgver.services import SERVICES
from airflow_imgver.text import one_line
from airflow_imgver.triggers.deletions import Deletions
from airflow_imgver.triggers.delivery import Delivery
from airflow_imgver.triggers.postponed import PostponedMessages
from airflow_imgver.triggers.roll import Roll
from airflow_imgver.triggers.trouble import Trouble
from airflow_imgver.triggers.turns import Dealt, Turns
from airflow_imgver.triggers.watchers import Watcher
from airflow_imgver.triggers.window import Window

if TYPE_CHECKING:
    from airflow_imgver.hooks.event_queue import QueueMessage

T = TypeVar("T")

# Seconds after which a message comes back whose triggerer was killed; one that runs keeps it hidden.
VISIBILITY = 30
# Watchers that start together must all be there before the first message is handed to those that are.
SECONDS_TO_JOIN = 5.0
# A triggerer that stops waits for the request that is under way.
_WAIT = 5
_MOST_A_ROUND = 50
_SECONDS_A_ROUND = 1.0
_MOST_POSTPONED = 200
_SECONDS_TO_CLOSE = 3.0
_SECONDS_BETWEEN_ERRORS = 60.0


class QueueStream:
    """
    Reads a queue for ever, on the loop of a triggerer; nothing escapes :meth:`deliveries`.

    :param queue_url: the queue.
    :param connection: the connection's settings.
    :param watchers: returns the watchers of the queue in this process.
    :param log: the log.
    :param window: how many messages may be on their way.
    """

    def __init__(
        self,
        queue_url: str,
        connection: dict[str, Any],
        watchers: Callable[[], Sequence[Watcher]],
        log: Any,
        window: Window | None = None,
    ) -> None:
        self._queue_url = queue_url
        self._connection = connection
        self._watchers = watchers
        self._log = log
        self._reader: QueueReader | None = None
        # For requests to the queue: one receives, and the other must not wait for lists that wait for turns.
        self._queue_threads = ThreadPoolExecutor(2, thread_name_prefix="imgver-queue")
        self._pool: ThreadPoolExecutor | None = None
        self._listing: dict[str, str] = {}
        self._in_flight: dict[str, Delivery] = {}
        self._postponed = PostponedMessages()
        self._roll = Roll(queue_url, log)
        self._turns = Turns(self._roll)
        self._deletions = Deletions(lambda: self._reader, self._queue_threads, self._turns, log)
        self._rejected = Remembered()
        self._window = window or Window()
        self._logged_at: dict[str, float] = {}
        self._closed = False

    # --- for those who hand messages over ---

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield messages whose versions are listed, the oldest change of a round first, for ever."""
        await asyncio.sleep(SECONDS_TO_JOIN)
        # First, so that no message is deleted that a watcher elsewhere waits for.
        await self._roll.try_to_call(self._present())
        # The next round is received and listed while this one is handed over.
        rounds: asyncio.Queue[list[Delivery]] = asyncio.Queue(1)
        tasks = [
            asyncio.ensure_future(self._roll.keep(self._present)),
            asyncio.ensure_future(self._read(rounds)),
            asyncio.ensure_future(self._keep_hidden()),
        ]
        try:
            while True:
                for delivery in await rounds.get():
                    await self._window.enter()
                    delivery.watchers = frozenset(self._present())
                    yield delivery
        finally:
            for task in tasks:
                task.cancel()

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        """Take note that Airflow has stored the events of messages, and have these deleted."""
        for delivery in deliveries:
            self._forget(delivery, stored=True)
            message_id = delivery.seen.message.message_id
            self._deletions.add(Dealt(message_id, delivery.receipt, delivery.watchers))
        # Not awaited: Airflow reports to a stream what it has stored next only when this has ended.
        self._deletions.begin()

    async def not_stored(self, deliveries: Sequence[Delivery]) -> None:
        """Return messages to the queue whose events Airflow may not have stored."""
        for delivery in deliveries:
            self._forget(delivery, stored=False)
        await self._release([each.receipt for each in deliveries])

    async def close(self) -> None:
        """Return what is in flight to the queue, for another triggerer, and close the connections."""
        self._closed = True
        await self._deletions.finish(_SECONDS_TO_CLOSE)
        await self._release(list(self._here().values()))
        self._queue_threads.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._disconnect()

    async def _release(self, receipts: Sequence[str]) -> None:
        """Return messages to the queue; where that fails, they come back by themselves, a little later."""
        if self._reader is None or not receipts:
            return
        try:
            async with asyncio.timeout(_SECONDS_TO_CLOSE):
                await self._in_thread(self._queue_threads, self._reader.release, receipts)
        except Exception as error:  # noqa: BLE001  # nothing may end a watcher
            self._log.debug("Messages could not be returned to the queue: %s", error)

    # --- reading ---

    async def _read(self, rounds: asyncio.Queue[list[Delivery]]) -> None:
        """Receive and list, round after round; nothing escapes."""
        trouble = Trouble(self._log, f"use the queue {one_line(str(self._queue_url))}")
        while True:
            try:
                await self._connect()
                await self._deletions.delete()
                ready = await self._round()
                trouble.over()
            except Exception as error:  # noqa: BLE001  # nothing may end a watcher
                if isinstance(error, AwsCallError) and error.expired:
                    self._disconnect()
                await asyncio.sleep(trouble.pause(error))
            else:
                await rounds.put(ready)

    async def _connect(self) -> None:
        if self._reader is None:
            # A triggerer imports AWS's libraries off its loop.
            await asyncio.to_thread(_import_hooks)
            reader = QueueReader(self._queue_url, services=(), **self._connection)
            # Airflow answers a trigger's requests only in the thread that asgiref keeps for them.
            await sync_to_async(reader.connect)()
            self._reader = reader
        # Those too of watchers in other triggerers: what nobody here wants must not be left to a policy.
        wanted = self._roll.services.union(self._present().values())
        missing = [
            each for each in SERVICES if each.client_type in wanted and each not in self._reader.services
        ]
        for service in missing:
            self._reader.add_service(service)
        if missing:
            await sync_to_async(self._reader.connect)()

    def _disconnect(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    async def _round(self) -> list[Delivery]:
        """Receive messages, list their versions, and return what can be handed over."""
        messages = self._postponed.due(_MOST_A_ROUND) + await self._receive()
        self._listing = {each.message_id: each.receipt for each in messages}
        try:
            seen, failure = await self._observe(messages)
        finally:
            self._listing = {}
        ready = [delivery for each in seen if (delivery := self._sort(each)) is not None]
        ready.sort(key=_oldest)
        self._in_flight |= {each.seen.message.message_id: each for each in ready}
        if failure is not None and not ready and (failure.transient or failure.expired):
            raise failure
        if failure is not None:
            self._log_now_and_then(failure)
        return ready

    async def _receive(self) -> list[QueueMessage]:
        """Receive what is there, up to a number; where nothing is there, wait for it."""
        reader = self._connected()
        left = self._turns.seconds_left()
        if len(self._postponed) >= _MOST_POSTPONED or left < 1:
            await asyncio.sleep(1.0)
            return []
        wait = 1 if len(self._postponed) or len(self._deletions) else int(min(_WAIT, left))
        received: list[QueueMessage] = []
        loop, until = asyncio.get_running_loop(), float("inf")
        # What is received when a triggerer is killed comes back late, and counts for the dead-letter policy.
        most = min(_MOST_A_ROUND, self._window.size)
        while len(received) < most and loop.time() < until:
            some = await self._in_thread(self._queue_threads, self._received, reader, 0 if received else wait)
            received += some
            until = min(until, loop.time() + _SECONDS_A_ROUND)
            if len(some) < 10:  # less than a request asks for
                break
        return [each for each in received if self._is_new(each)]

    def _received(self, reader: QueueReader, wait: int) -> list[QueueMessage]:
        """Receive, in a thread; messages that come after the end go back."""
        messages = reader.receive(wait=wait, visibility=VISIBILITY)
        if self._closed and messages:
            reader.release([each.receipt for each in messages])
            return []
        return messages

    def _is_new(self, message: QueueMessage) -> bool:
        """Return whether a message is not on its way already; only its newest receipt deletes it for sure."""
        if (delivery := self._in_flight.get(message.message_id)) is not None:
            delivery.receipt = message.receipt
            return False
        names = frozenset(self._present())
        if self._turns.has_dealt_with(message.message_id, names):
            self._deletions.add(Dealt(message.message_id, message.receipt, names))
            return False
        return not self._postponed.renew(message)

    def _present(self) -> dict[str, str]:
        """The names of the watchers in this process, and their services' client types."""
        return {each.name: each.trigger.service.client_type for each in self._watchers()}

    async def _observe(
        self, messages: Sequence[QueueMessage]
    ) -> tuple[list[Observation], AwsCallError | None]:
        """List the versions of messages; hold those for which AWS refused, and return the last error."""
        reader = self._connected()
        groups = reader.groups(messages)
        answers = await asyncio.gather(
            *(self._in_thread(self._threads, reader.observe_all, group) for group in groups),
            return_exceptions=True,
        )
        seen: list[Observation] = []
        failure: AwsCallError | None = None
        for group, answer in zip(groups, answers, strict=True):
            if isinstance(answer, AwsCallError):
                failure = answer
                for message in group:
                    self._postponed.postpone(message)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                seen += answer
        return seen, failure

    def _sort(self, seen: Observation) -> Delivery | None:
        """Decide what becomes of a message; returns it where the watchers must see it."""
        message = seen.message
        if seen.outcome is Outcome.LATER and self._postponed.postpone(message):
            self._log.info("%s It is listed again later.", seen.why)
            return None
        self._postponed.drop(message)
        if seen.outcome is Outcome.REJECTED:
            # Not deleted: the queue's own policy decides, and it comes back until then.
            if self._rejected.add(message.message_id):
                self._log.warning(
                    "A message is left to the queue's dead-letter policy: %s Message %s.",
                    one_line(seen.why),
                    one_line(message.message_id),
                )
            return None
        if not seen.facts:
            self._log.info("A message needs no event: %s Message %s.", seen.why, message.message_id)
            self._deletions.add_unneeded(message.receipt)
            return None
        return Delivery(seen, message.receipt)

    # --- messages that stay ---

    async def _keep_hidden(self) -> None:
        """Keep hidden what is listed, handed over or waits; what comes back all the same is recognised."""
        before: set[str] = set()
        while True:
            await asyncio.sleep(VISIBILITY / 3)
            here = self._here()
            # What has just come is hidden for longer than until the next time.
            receipts = [receipt for message_id, receipt in here.items() if message_id in before]
            before = set(here)
            try:
                if receipts and self._reader is not None:
                    await self._in_thread(self._queue_threads, self._reader.hide, receipts, VISIBILITY)
            except Exception as error:  # noqa: BLE001  # nothing may end a watcher
                self._log.debug("Messages could not be kept hidden: %s", error)

    def _here(self) -> dict[str, str]:
        """The receipts of all messages that are listed, handed over or wait, by their ids."""
        in_flight = {message_id: each.receipt for message_id, each in self._in_flight.items()}
        return self._listing | in_flight | self._postponed.receipts()

    def _log_now_and_then(self, error: AwsCallError) -> None:
        """Log an error of one call, and each kind once a minute: many messages may meet it."""
        now, kind = asyncio.get_running_loop().time(), f"{error.code} {error.operation}"
        if now - self._logged_at.get(kind, float("-inf")) >= _SECONDS_BETWEEN_ERRORS:
            self._logged_at[kind] = now
            self._log.error(
                "%s Its message stays in the queue and is tried again, %d wait so.",
                error,
                len(self._postponed),
            )

    def _forget(self, delivery: Delivery, *, stored: bool) -> None:
        self._in_flight.pop(delivery.seen.message.message_id, None)
        self._window.leave(stored=stored)

    # --- threads ---

    @property
    def _threads(self) -> ThreadPoolExecutor:
        """The threads that call AWS; made late, so that an option that cannot be read is an error to log."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS.whole(), thread_name_prefix="imgver-events")
        return self._pool

    def _connected(self) -> QueueReader:
        if self._reader is None:
            raise RuntimeError("The queue is not connected.")
        return self._reader

    @staticmethod
    async def _in_thread(threads: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, call, *arguments)


def _oldest(delivery: Delivery) -> Any:
    return delivery.seen.facts[-1].order


def _import_hooks() -> None:
    from importlib import import_module

    import_module("airflow_imgver.hooks.event_queue")
    for service in SERVICES:
        service.hook_class()
