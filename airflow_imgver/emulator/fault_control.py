"""Controls the embedded AWS over HTTP: ``/_imgver/faults``, ``/_imgver/calls`` and ``/_imgver/events``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.event_sender import events, set_events
from airflow_imgver.emulator.fault_requests import fault_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_imgver.emulator.faults import FaultRegistry

    Answer = tuple[int, dict[str, str], bytes]

CONTROL_PATH = "/_imgver/"


def control(registry: FaultRegistry, method: str, path: str, body: bytes) -> Answer:
    """
    Answer a request to ``/_imgver/faults``, ``/_imgver/calls`` or ``/_imgver/events``.

    :param registry: The registry of faults and calls.
    :param method: The HTTP method.
    :param path: The request's path.
    :param body: The request's body; for a POST the arguments of ``inject_fault`` as a JSON object, for a PUT
        those of ``set_events``.
    :return: Status, headers and body; a bad request is a 400 whose ``message`` gives the reason.
    """
    routes: dict[tuple[str, str], Callable[[], object]] = {
        ("GET", "/_imgver/faults"): lambda: {"faults": registry.pending()},
        ("POST", "/_imgver/faults"): lambda: _inject(registry, body),
        ("DELETE", "/_imgver/faults"): registry.clear,
        ("GET", "/_imgver/calls"): registry.calls,
        ("DELETE", "/_imgver/calls"): registry.reset_calls,
        ("GET", "/_imgver/events"): events,
        ("PUT", "/_imgver/events"): lambda: _set_events(body),
        ("DELETE", "/_imgver/events"): set_events,
    }
    route = routes.get((method, path.rstrip("/")))
    if route is None:
        known = ", ".join(" ".join(each) for each in routes)
        return _json(404, {"message": f"{method} {path} does not exist; these exist: {known}."})
    try:
        answer = route()
    except ValueError as error:
        return _json(400, {"message": str(error)})
    return _json(200, answer if answer is not None else {})


def _inject(registry: FaultRegistry, body: bytes) -> object:
    registry.add(fault_from(_object_in(body)))
    return {"faults": registry.pending()}


def _set_events(body: bytes) -> object:
    set_events(**_object_in(body))
    return events()


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ValueError(f"the body is {request!r}; it must be a JSON object")  # noqa: TRY004 - a caller's fault
    return request


def _json(status: int, document: object) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()
