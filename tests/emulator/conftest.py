"""Clients of the embedded AWS, and the wire below them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from answers import check_answer
from emulator_clients import client_of

Control = Callable[..., tuple[int, Any]]


@pytest.fixture
def sagemaker(emulator_url: str) -> Iterator[Any]:
    client = client_of("sagemaker", emulator_url)
    client.meta.events.register("before-parse", _check_success)
    yield client
    client.close()


@pytest.fixture
def healthimaging(emulator_url: str) -> Iterator[Any]:
    client = client_of("medical-imaging", emulator_url)
    yield client
    client.close()


@pytest.fixture
def control(emulator_url: str) -> Control:
    """Send a request to the emulator's own control, and give the status and the JSON that come back."""

    def send(method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = document if isinstance(document, bytes | None) else json.dumps(document).encode()
        request = urllib.request.Request(f"{emulator_url}/_imgver/{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    return send


@pytest.fixture
def reads() -> Iterator[Callable[[str, int], None]]:
    """Make a model's state change happen after a number of reads, until the test ends."""
    from moto.moto_api import state_manager

    changed: list[str] = []

    def after(model: str, times: int) -> None:
        changed.append(model)
        state_manager.set_transition(model, {"progression": "manual", "times": times})

    yield after
    for model in changed:
        state_manager.unset_transition(model)


def _check_success(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    # Successes alone: SageMaker's model declares few of the errors that the service answers.
    if response_dict["status_code"] < 300:
        service = operation_model.service_model.service_name
        check_answer(service, operation_model.name, json.loads(response_dict["body"] or b"{}"))
