"""
One client for all waits of a process on the same connection, region and service.

boto3 clients are thread-safe, and cost a megabyte and milliseconds each. Sharing goes by what a connection
resolved to, its name included, so that an edited connection, or another team's, never borrows a client.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.triggers.poller import Poller
from airflow_imgver.triggers.shared import Shared

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

# A thousand gates that start together ask Airflow for their connection once, and an edited one is soon seen.
SECONDS_A_CONNECTION_IS_REMEMBERED = 10.0


class Resolved(NamedTuple):
    """What a connection resolved to, and the digest of it that says who shares a client."""

    key: str
    connection: AwsConnectionWrapper


class Loan:
    """A poller that is lent, or still being built, and how many hold it."""

    __slots__ = ("_here", "_holders", "_key", "_poller", "_retired_at")

    def __init__(self, here: _Loop, key: str, poller: asyncio.Future[Poller]) -> None:
        self._here = here
        self._key = key
        self._poller = Shared(poller)
        self._holders = 0
        self._retired_at: float | None = None

    def retire(self) -> float:
        """Take its credentials for expired; tells, in the loop's time, when the first of its holders did."""
        if self._retired_at is None:
            self._retired_at = asyncio.get_running_loop().time()
        return self._retired_at

    async def hold(self) -> Poller:
        """Wait until the poller is built; give back what was held, whatever comes of it."""
        self._holders += 1
        try:
            return await self._poller.get()
        except BaseException:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Hold it no more; the last one to do so closes it."""
        self._holders -= 1
        if self._holders:
            return
        if self._here.loans.get(self._key) is self:
            del self._here.loans[self._key]
        if (poller := self._poller.future).done():
            _close(poller)
        else:
            poller.add_done_callback(_close)


class _Loop:
    """What is shared on one event loop; a triggerer has one, tests have many."""

    def __init__(self) -> None:
        self.loans: dict[str, Loan] = {}
        # A future only until it is done: it would keep its loop alive.
        self.resolved: dict[str, tuple[float, Resolved | Shared[Resolved]]] = {}

    def settle(
        self, asked: str, begun: float, shared: Shared[Resolved], resolved: asyncio.Future[Resolved]
    ) -> None:
        """Remember what a connection resolved to, or forget that it did not."""
        failed = resolved.cancelled() or resolved.exception() is not None
        if self.resolved.get(asked) != (begun, shared):
            return
        if failed:
            del self.resolved[asked]
        else:
            self.resolved[asked] = (begun, resolved.result())


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


async def borrow(hook: ImageVersionHook, *, instead_of: Loan | None = None) -> tuple[Poller, Loan]:
    """
    Lend the poller of what a hook's connection resolves to, building it where nobody has it yet.

    :param hook: a hook that has not been used; its connection is resolved here, off the loop.
    :param instead_of: a loan whose credentials expired: the connection is looked up anew, and that poller
        is lent no more.
    :return: the poller, and the loan to give back.
    """
    here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    since = instead_of.retire() if instead_of else float("-inf")
    key, connection = await _resolved(here, hook, since=since)
    loan = here.loans.get(key)
    if loan is None or loan is instead_of:
        # Airflow answers a trigger's questions only in the thread that asgiref keeps for them.
        poller = asyncio.ensure_future(sync_to_async(_build)(hook, connection))
        loan = here.loans[key] = Loan(here, key, poller)
    return await loan.hold(), loan


async def _resolved(here: _Loop, hook: ImageVersionHook, *, since: float) -> Resolved:
    """
    Resolve the connection, once for all who ask within seconds, and digest it.

    :param since: an answer that was asked for before will not do.
    """
    asked = repr((hook.service, hook.aws_conn_id, hook._region_name, hook._verify, _options(hook)))
    now = asyncio.get_running_loop().time()
    oldest = now - SECONDS_A_CONNECTION_IS_REMEMBERED
    for old in [name for name, (begun, _) in here.resolved.items() if begun < oldest]:
        del here.resolved[old]
    begun, known = here.resolved.get(asked, (since, None))
    if known is None or begun < since:
        known = Shared(asyncio.ensure_future(sync_to_async(_resolve)(hook)))
        here.resolved[asked] = (now, known)
        known.future.add_done_callback(partial(here.settle, asked, now, known))
    return known if isinstance(known, Resolved) else await known.get()


def _options(hook: ImageVersionHook) -> Any:
    return getattr(hook._config, "_user_provided_options", None)


def _resolve(hook: ImageVersionHook) -> Resolved:
    return Resolved(hook.client_key(), hook.conn_config)


def _build(hook: ImageVersionHook, connection: AwsConnectionWrapper) -> Poller:
    # What was digested is what is built; to ask for the connection again might tell of another one.
    hook.conn_config = connection
    # The wait is the retry.
    hook.attempts = 1
    # A role that is assumed is a request of its own, and can fail like one.
    with hook.named_errors(f"the connection {hook.aws_conn_id!r}"):
        _ = hook.conn
    return Poller(hook)


def _close(poller: asyncio.Future[Poller]) -> None:
    if not poller.cancelled() and poller.exception() is None:
        poller.result().close()
