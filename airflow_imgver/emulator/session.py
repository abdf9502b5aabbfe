"""One embedded AWS at a time: its set-up when it starts, and its clean-up when it ends."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import MockAWS
from moto.moto_api import state_manager

from airflow_imgver.emulator.event_options import event_options
from airflow_imgver.emulator.event_sender import EVENTS
from airflow_imgver.emulator.faults import REGISTRY
from airflow_imgver.emulator.medicalimaging.index import LAG
from airflow_imgver.emulator.registration import MANAGED_MODELS, register

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPEN = threading.Lock()


@contextmanager
def embedded_aws(
    *,
    transition_seconds: float | None,
    events: Mapping[str, Any] | None = None,
    index_lag: float | None = None,
) -> Iterator[None]:
    """
    Keep moto's state for one embedded AWS, empty at the start and at the end.

    :param transition_seconds: How long a state change takes; None means zero.
    :param events: How events are delivered, see ``set_events``.
    :param index_lag: How long after a change SearchImageSets shows it; None means zero.
    :raises ValueError: an option of the events is unknown or out of range, or a time is negative.
    :raises RuntimeError: another embedded AWS, or a ``mock_aws``, is open in this process.
    """
    if transition_seconds is not None and transition_seconds < 0:
        raise ValueError(f"transition_seconds is {transition_seconds}; it must not be negative")
    if index_lag is not None and index_lag < 0:
        raise ValueError(f"index_lag is {index_lag}; it must not be negative")
    options = event_options(events)
    if not _OPEN.acquire(blocking=False):
        raise RuntimeError(
            "An embedded AWS already runs in this process, and moto keeps one state per process. Leave its "
            "context first, or start a second one with `python -m airflow_imgver.emulator`."
        )
    try:
        if MockAWS._mocks_active:
            raise RuntimeError(
                "A mock_aws is open in this process, and its resources would be lost. Open it inside, or use "
                "mock_image_versions in its place."
            )
        register()
        _open_moto_session()
        _reset()
        LAG.seconds = index_lag or 0.0
        for model in MANAGED_MODELS if transition_seconds is not None else ():
            state_manager.set_transition(model, {"progression": "time", "seconds": transition_seconds})
        EVENTS.open(options, timed=bool(transition_seconds))
        try:
            yield
        finally:
            EVENTS.close()
            LAG.seconds = 0.0
            for model in MANAGED_MODELS:
                state_manager.unset_transition(model)
            _reset()
    finally:
        _OPEN.release()


def _reset() -> None:
    BackendDict.reset()
    reset_model_data()
    REGISTRY.clear()
    REGISTRY.reset_calls()


def _open_moto_session() -> None:
    """Have moto create the boto3 session that it keeps, without the user's profiles, which may be broken."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with patch.dict(os.environ, own, clear=True):
        AccountSpecificBackend.get_session()
