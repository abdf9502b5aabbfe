"""Where a watcher keeps what it must know after a restart: its asset's state, or a Variable before 3.3."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from airflow_imgver.triggers.event_base import ImageVersionEventTrigger

T = TypeVar("T")

UNREADABLE = ".unreadable"
"""What is added to the name under which a value that cannot be read is kept aside."""


def digest(text: str) -> str:
    """Return what stands for a text in the name of a place, in twelve characters."""
    return blake2b(text.encode(), digest_size=6).hexdigest()


class Place(Protocol):
    """Keeps one JSON value under a name."""

    async def get(self, name: str) -> Any:
        """Return the value; None where there is none. A text that is not JSON is returned as it is."""

    async def set(self, name: str, value: Any) -> None:
        """Keep a value, in place of what was there."""


class AssetState:
    """
    The state of the asset that a trigger watches, in Airflow 3.3 or newer.

    :param accessor: Airflow's accessor of one asset's state.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    async def get(self, name: str) -> Any:
        """Return the value; None where there is none."""
        # Airflow 3.3.0 and 3.3.1 have the blocking methods only.
        if hasattr(self._accessor, "aget"):
            return await self._accessor.aget(name)
        return await sync_to_async(self._accessor.get)(name)

    async def set(self, name: str, value: Any) -> None:
        """Keep a value, in place of what was there."""
        if hasattr(self._accessor, "aset"):
            await self._accessor.aset(name, value)
        else:
            await sync_to_async(self._accessor.set)(name, value)


class Variables:
    """Airflow's Variables, which a trigger may read and write since 3.1."""

    async def get(self, name: str) -> Any:
        """Return the value; None where there is none."""
        from airflow.sdk import Variable

        text = await sync_to_async(Variable.get)(name, default=None)
        try:
            return None if text is None else json.loads(text)
        except (TypeError, ValueError):
            return text

    async def set(self, name: str, value: Any) -> None:
        """Keep a value, in place of what was there."""
        from airflow.sdk import Variable

        about = "How far a watcher of airflow-provider-imgver has come"
        await sync_to_async(Variable.set)(name, json.dumps(value), description=about)


_unfinished: set[asyncio.Future[Any]] = set()


async def within(seconds: float, asked: Awaitable[T]) -> T:
    """
    Wait for Airflow's answer, and not for ever: a triggerer that stops gives none any more.

    What was asked goes on, because an answer that nobody takes would be taken for that of the next request.

    :raises TimeoutError: there is no answer yet.
    """
    answer = asyncio.ensure_future(asked)
    _unfinished.add(answer)
    answer.add_done_callback(_unfinished.discard)
    done, _ = await asyncio.wait([answer], timeout=seconds)
    if not done:
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise TimeoutError("Airflow has not answered yet")
    return answer.result()


def asset_state_of(trigger: ImageVersionEventTrigger) -> AssetState | None:
    """
    Return the state of the asset that a trigger watches; None before Airflow 3.3.

    Airflow has one trigger for several assets whose watchers have equal arguments. Then the first by name
    keeps the state; Airflow offers no way to list them, so its own attributes are read.
    """
    accessors = getattr(trigger, "asset_state_store", None)
    if accessors is None:
        return None
    assets: dict[str, Any] = {}
    for attribute in ("_by_name", "_by_uri"):
        assets |= getattr(accessors, attribute, None) or {}
    return AssetState(assets[min(assets)] if assets else accessors)
