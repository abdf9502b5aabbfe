"""No request for the two services gets a server error that AWS would not send: a bounded search for one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from moto.core.utils import get_service_model
from odd_requests import (
    DATASTORE,
    IMAGE_OPERATIONS,
    IMAGE_SET,
    TAGS,
    OddRequest,
    of_healthimaging,
    of_sagemaker,
    raw,
)

from airflow_imgver.emulator import serve

ENTRY = {
    "imageSetId": IMAGE_SET,
    "versionId": "1",
    "imageSetState": "ACTIVE",
    "ImageSetWorkflowStatus": "CREATED",
    "createdAt": 1680027126.436,
}
STATE = {"healthimaging": {DATASTORE: {IMAGE_SET: [ENTRY]}}, "sagemaker": {"analysis": []}}
bounded = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

Send = http.client.HTTPConnection


@pytest.fixture(scope="module")
def connection() -> Iterator[Send]:
    with serve(state=STATE) as url:
        one = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        yield one
        one.close()


def answer(connection: Send, request: OddRequest) -> tuple[int, str | None]:
    """The status of the answer, and the name of its error; an error is JSON and has one."""
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        answered = connection.getresponse()
        body = answered.read()
    except Exception:
        connection.close()  # The next request opens it anew.
        raise
    if answered.status < 400 or request.method == "HEAD":
        return answered.status, None
    return answered.status, str(json.loads(body)["__type"])


@settings(bounded, max_examples=400)
@given(of_healthimaging())
def test_no_call_of_healthimaging_ends_in_a_server_error(connection: Send, request: OddRequest) -> None:
    status, error = answer(connection, request)
    assert status < 500, error


@settings(bounded, max_examples=300)
@given(of_sagemaker([*IMAGE_OPERATIONS, *TAGS]))
def test_no_call_of_the_image_operations_ends_in_a_server_error(
    connection: Send, request: OddRequest
) -> None:
    status, error = answer(connection, request)
    assert status < 500, error


# Not random: these are moto's own operations, and its defects must not turn up in any run of these tests.
@settings(bounded, max_examples=300, derandomize=True)
@given(of_sagemaker(get_service_model("sagemaker").operation_names))
def test_a_call_of_sagemaker_that_moto_lacks_is_not_a_server_error_that_clients_repeat(
    connection: Send, request: OddRequest
) -> None:
    status, error = answer(connection, request)
    assert status < 500 or (status, error) == (501, "NotImplemented"), error


@settings(bounded, max_examples=700)
@given(raw())
def test_nothing_over_raw_http_ends_in_a_server_error(connection: Send, request: OddRequest) -> None:
    status, error = answer(connection, request)
    assert status < 500 or (status, error) == (501, "NotImplemented"), error
