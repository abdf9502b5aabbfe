"""For the author of a Dag that starts on events: each event once, the oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def events_once(triggering_asset_events: Any) -> Iterator[dict[str, Any]]:
    """
    Yield each event of a Dag run once per ``key``, the oldest first.

    Events arrive at least once, so that a Dag run may have the same one twice. Use it in a task::

        @task
        def changes(triggering_asset_events=None):
            return list(events_once(triggering_asset_events))

    :param triggering_asset_events: Airflow's ``triggering_asset_events``: asset to its events. A list of
        events, or ``inlet_events[asset]``, is accepted too. What no trigger of this package sent is left out.
    """
    seen: dict[str, dict[str, Any]] = {}
    for payload in map(_payload, _asset_events(triggering_asset_events)):
        if payload is not None:
            seen.setdefault(payload["key"], payload)
    return iter(sorted(seen.values(), key=_order))


def _asset_events(events: Any) -> Iterator[Any]:
    if events is None:
        return
    for each in events.values() if isinstance(events, Mapping) or hasattr(events, "values") else [events]:
        yield from each if isinstance(each, Iterable) else iter(each)


def _payload(asset_event: Any) -> dict[str, Any] | None:
    extra = (
        asset_event.get("extra") if isinstance(asset_event, Mapping) else getattr(asset_event, "extra", None)
    )
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    ours = isinstance(payload, dict) and isinstance(payload.get("key"), str) and "phase" in payload
    return payload if ours else None


def _order(payload: Mapping[str, Any]) -> tuple[str, str, int]:
    # ISO 8601 in UTC sorts as text.
    return str(payload.get("changed_at") or ""), str(payload["key"]), int(payload.get("version") or 0)
