"""The embedded AWS for boto3 clients of the same process, without a server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto import mock_aws
from moto.core.models import botocore_stubber

from airflow_imgver.emulator.fault_delivery import deliver_in_process
from airflow_imgver.emulator.faults import REGISTRY
from airflow_imgver.emulator.session import embedded_aws
from airflow_imgver.emulator.state import load

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping


@contextmanager
def mock_image_versions(
    *,
    state: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    transition_seconds: float | None = None,
    events: Mapping[str, Any] | None = None,
    index_lag: float | None = None,
) -> Iterator[None]:
    """
    Answer boto3 as moto's ``mock_aws`` does, with HealthImaging and the SageMaker image operations too.

    ::

        with mock_image_versions():
            client = boto3.client("medical-imaging", region_name="us-east-1")
            client.create_datastore(datastoreName="clinic")

    It replaces ``mock_aws``, serves everything that moto serves, and delivers injected faults. Create clients
    inside it. It also works as a decorator, with its parentheses.

    :param state: A state file, or the document that it would hold, to start with.
    :param transition_seconds: How long a state change takes, such as COPYING to COPIED; None means zero.
    :param events: How events are delivered, by the arguments of ``set_events``; by default each once and in
        order.
    :param index_lag: How long after a change SearchImageSets shows it, in seconds; None means zero.
    :raises RuntimeError: an embedded AWS, or a ``mock_aws``, is already open in this process.
    :raises StateError: the state is malformed; nothing is loaded.
    :raises ValueError: a time is negative, or an option of the events is unknown or out of range.
    """
    faulty = deliver_in_process(botocore_stubber.process_request, REGISTRY)
    with (
        embedded_aws(transition_seconds=transition_seconds, events=events, index_lag=index_lag),
        mock_aws(),
        patch.object(botocore_stubber, "process_request", faulty),
    ):
        if state is not None:
            load(state)
        yield
