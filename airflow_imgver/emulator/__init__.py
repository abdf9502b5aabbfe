"""
An embedded AWS for HealthImaging image sets and SageMaker images, built on moto.

``serve()`` answers over HTTP, ``mock_image_versions()`` inside the process, ``inject_fault()`` makes calls of
either fail, and ``set_events()`` makes events late, lost or doubled. Importing this package imports nothing
else; the first name that is used imports moto.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_imgver.emulator.event_sender import events, set_events
    from airflow_imgver.emulator.faults import calls, clear_faults, inject_fault, reset_calls
    from airflow_imgver.emulator.in_process import mock_image_versions
    from airflow_imgver.emulator.registration import register
    from airflow_imgver.emulator.server import serve
    from airflow_imgver.emulator.state_document import StateError

__all__ = [
    "StateError",
    "calls",
    "clear_faults",
    "events",
    "inject_fault",
    "mock_image_versions",
    "register",
    "reset_calls",
    "serve",
    "set_events",
]

_MODULES = {
    "StateError": "state_document",
    "calls": "faults",
    "clear_faults": "faults",
    "events": "event_sender",
    "inject_fault": "faults",
    "mock_image_versions": "in_process",
    "register": "registration",
    "reset_calls": "faults",
    "serve": "server",
    "set_events": "event_sender",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("airflow_imgver", "airflow"):
            raise
        raise ModuleNotFoundError(
            f"The embedded AWS needs {error.name!r}: pip install 'airflow-provider-imgver[emulator]'.",
            name=error.name,
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
