"""Injects faults and gives call counts over HTTP: ``/_imgver/faults`` and ``/_imgver/calls``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_imgver.emulator.fault_requests import fault_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_imgver.emulator.faults import FaultRegistry

    Answer = tuple[int, dict[str, str], bytes]

CONTROL_PATH = "/_imgver/"


def control(registry: FaultRegistry, method: str, path: str, body: bytes) -> Answer:
    """
    Answer a request to ``/_imgver/faults`` or ``/_imgver/calls``.

    :param registry: The registry of faults and calls.
    :param method: The HTTP method.
    :param path: The request's path.
    :param body: The request's body; for a POST the arguments of ``inject_fault`` as a JSON object.
    :return: Status, headers and body; a bad request is a 400 whose ``message`` gives the reason.
    """
    routes: dict[tuple[str, str], Callable[[], object]] = {
        ("GET", "/_imgver/faults"): lambda: {"faults": registry.pending()},
        ("POST", "/_imgver/faults"): lambda: _inject(registry, body),
        ("DELETE", "/_imgver/faults"): registry.clear,
        ("GET", "/_imgver/calls"): registry.calls,
        ("DELETE", "/_imgver/calls"): registry.reset_calls,
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
    try:
        request = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ValueError(f"the body is {request!r}; it must be a JSON object")  # noqa: TRY004 - a caller's fault
    registry.add(fault_from(request))
    return {"faults": registry.pending()}


def _json(status: int, document: object) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()
