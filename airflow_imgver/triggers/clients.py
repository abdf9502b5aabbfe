"""
One client for all waits of a process on the same connection, region and service.

boto3 clients are thread-safe, and cost a megabyte and milliseconds each. Waits share one where their
connections resolve to the same, the connection's id included, so that an edited connection, or another
team's, never uses this client.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.triggers.poller import Poller
from airflow_imgver.triggers.shared import SharedFuture

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

# A thousand gates that start together ask Airflow for their connection once, and an edited one is soon seen.
SECONDS_A_CONNECTION_IS_CACHED = 10.0


class Resolved(NamedTuple):
    """A resolved connection, and its digest, which decides who shares a client."""

    key: str
    connection: AwsConnectionWrapper


class SharedPoller:
    """A poller, or one that is still being built, and how many waits use it."""

    __slots__ = ("_expired_at", "_key", "_loop", "_poller", "_users")

    def __init__(self, loop: _LoopState, key: str, poller: asyncio.Future[Poller]) -> None:
        self._loop = loop
        self._key = key
        self._poller = SharedFuture(poller)
        self._users = 0
        self._expired_at: float | None = None

    def expire(self) -> float:
        """Mark its credentials as expired; returns, in the loop's time, when the first of its users did."""
        if self._expired_at is None:
            self._expired_at = asyncio.get_running_loop().time()
        return self._expired_at

    async def acquire(self) -> Poller:
        """Wait until the poller is built; released again where that fails."""
        self._users += 1
        try:
            return await self._poller.get()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Stop using it; the last one to do so closes it."""
        self._users -= 1
        if self._users:
            return
        if self._loop.pollers.get(self._key) is self:
            del self._loop.pollers[self._key]
        if (poller := self._poller.future).done():
            _close(poller)
        else:
            poller.add_done_callback(_close)


class _LoopState:
    """What is shared on one event loop; a triggerer has one, tests have many."""

    def __init__(self) -> None:
        self.pollers: dict[str, SharedPoller] = {}
        # A future only until it is done: it would keep its loop alive.
        self.resolved: dict[str, tuple[float, Resolved | SharedFuture[Resolved]]] = {}

    def settle(
        self, asked: str, begun: float, shared: SharedFuture[Resolved], resolved: asyncio.Future[Resolved]
    ) -> None:
        """Cache a resolved connection, or forget that it did not resolve."""
        failed = resolved.cancelled() or resolved.exception() is not None
        if self.resolved.get(asked) != (begun, shared):
            return
        if failed:
            del self.resolved[asked]
        else:
            self.resolved[asked] = (begun, resolved.result())


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopState] = WeakKeyDictionary()


async def acquire_poller(
    hook: ImageVersionHook, *, instead_of: SharedPoller | None = None
) -> tuple[Poller, SharedPoller]:
    """
    Return the poller of a hook's resolved connection, and build it where there is none yet.

    :param hook: a hook that has not been used; its connection is resolved here, off the loop.
    :param instead_of: a poller whose credentials expired: the connection is resolved again, and no further
        wait gets that poller.
    :return: the poller, and what to release.
    """
    state = _loops.setdefault(asyncio.get_running_loop(), _LoopState())
    since = instead_of.expire() if instead_of else float("-inf")
    key, connection = await _resolved(state, hook, since=since)
    shared = state.pollers.get(key)
    if shared is None or shared is instead_of:
        # Airflow answers a trigger's requests only in the thread that asgiref keeps for them.
        poller = asyncio.ensure_future(sync_to_async(_build)(hook, connection))
        shared = state.pollers[key] = SharedPoller(state, key, poller)
    return await shared.acquire(), shared


async def key_of(hook: ImageVersionHook) -> str:
    """Return the digest of a hook's resolved connection, which decides who shares a client and budgets."""
    state = _loops.setdefault(asyncio.get_running_loop(), _LoopState())
    return (await _resolved(state, hook, since=float("-inf"))).key


async def _resolved(state: _LoopState, hook: ImageVersionHook, *, since: float) -> Resolved:
    """
    Resolve the connection, once for all waits that need it within seconds, and digest it.

    :param since: a connection that was resolved earlier is resolved again.
    """
    asked = repr(
        (hook.service.client_type, hook.aws_conn_id, hook._region_name, hook._verify, _options(hook))
    )
    now = asyncio.get_running_loop().time()
    oldest = now - SECONDS_A_CONNECTION_IS_CACHED
    for old in [name for name, (begun, _) in state.resolved.items() if begun < oldest]:
        del state.resolved[old]
    begun, known = state.resolved.get(asked, (since, None))
    if known is None or begun < since:
        known = SharedFuture(asyncio.ensure_future(sync_to_async(_resolve)(hook)))
        state.resolved[asked] = (now, known)
        known.future.add_done_callback(partial(state.settle, asked, now, known))
    return known if isinstance(known, Resolved) else await known.get()


def _options(hook: ImageVersionHook) -> Any:
    return getattr(hook._config, "_user_provided_options", None)


def _resolve(hook: ImageVersionHook) -> Resolved:
    return Resolved(hook.client_key(), hook.conn_config)


def _build(hook: ImageVersionHook, connection: AwsConnectionWrapper) -> Poller:
    # The client is built from the connection that was digested; resolved again, it might be another one.
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
