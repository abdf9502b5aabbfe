"""
One client and one small pool of threads for all waits on the same connection, region and service.

boto3 clients are thread-safe, and cost a megabyte and milliseconds each. Sharing goes by what a connection
resolved to, not by its name alone, so that an edited connection, or another team's, never borrows a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import fields
from functools import partial
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_imgver.hooks.base import ImageVersionHook

THREADS = 8

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SharedClient:
    """A hook whose client is built, and the threads to call it from; :func:`lease` hands it out."""

    def __init__(self, hook: ImageVersionHook) -> None:
        self.hook = hook
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"imgver-{hook.service}")

    async def call(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run a function that calls AWS in a thread of the pool: the one door to AWS of all that waits."""
        # The context tells Airflow whose log a line belongs to.
        run = partial(copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def close(self) -> None:
        """Let calls under way end, then close the connections and the threads, without waiting for it."""
        self._threads.submit(self.hook.conn.close)
        self._threads.shutdown(wait=False)


class _Share:
    """A client that is being built or in use, and how many hold it."""

    def __init__(self, client: asyncio.Future[SharedClient]) -> None:
        self.client = client
        self.holders = 0

    def lends(self, client: SharedClient) -> bool:
        built = self.client.done() and not self.client.cancelled() and self.client.exception() is None
        return built and self.client.result() is client


# By loop, because a client's threads answer to one loop; a triggerer has one, tests have many.
_shares: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Share]] = WeakKeyDictionary()


@asynccontextmanager
async def lease(hook: ImageVersionHook, *, stale: SharedClient | None = None) -> AsyncIterator[SharedClient]:
    """
    Lend the client of what a hook's connection resolves to, building it where nobody has it yet.

    :param hook: a hook that has not been used; its connection is resolved here, off the loop.
    :param stale: a client whose credentials expired; where it is still the one that is lent, a new one is
        built for this and later leases. Of many holders who find it stale only the first builds one.
    """
    shares = _shares.setdefault(asyncio.get_running_loop(), {})
    # Airflow answers a trigger's connection look-up only in the thread that asgiref keeps for this.
    key = await sync_to_async(_fingerprint)(hook)
    if key not in shares or (stale is not None and shares[key].lends(stale)):
        shares[key] = _Share(asyncio.ensure_future(sync_to_async(_build)(hook)))
    share = shares[key]
    share.holders += 1
    try:
        # Shielded, because one wait that is cancelled must not take the client from the others.
        yield await asyncio.shield(share.client)
    finally:
        share.holders -= 1
        if share.holders == 0:
            if shares.get(key) is share:
                del shares[key]
            if share.client.done():
                _close(share.client)
            else:
                share.client.add_done_callback(_close)


def _build(hook: ImageVersionHook) -> SharedClient:
    # A role that is assumed is a request of its own, and can fail like one.
    with hook.named_errors(f"the connection {hook.aws_conn_id!r}"):
        _ = hook.conn
    return SharedClient(hook)


def _close(client: asyncio.Future[SharedClient]) -> None:
    if not client.cancelled() and client.exception() is None:
        client.result().close()


def _fingerprint(hook: ImageVersionHook) -> str:
    """Digest everything that decides who a client is and where it goes; no secret is kept."""
    resolved = hook.conn_config
    told: dict[str, Any] = {field.name: getattr(resolved, field.name) for field in fields(resolved)}
    told["botocore_config"] = getattr(resolved.botocore_config, "_user_provided_options", None)
    return sha256(repr((hook.service, sorted(told.items()))).encode()).hexdigest()
