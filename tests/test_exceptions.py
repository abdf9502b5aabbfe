"""Named errors: what they are, and what they are not."""

from __future__ import annotations

import inspect
import pickle
from copy import copy

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_imgver import exceptions
from airflow_imgver.exceptions import AwsCallError, ResourceMissingError

NAMED = [
    found for _, found in inspect.getmembers(exceptions, inspect.isclass) if issubclass(found, Exception)
]


@pytest.mark.parametrize("error", NAMED)
def test_an_error_is_no_airflow_exception_which_soft_fail_would_make_a_skip(error: type[Exception]) -> None:
    assert not issubclass(error, AirflowException)
    assert issubclass(error, RuntimeError | ValueError)


@pytest.mark.parametrize("error", NAMED)
def test_an_error_carries_its_message_and_survives_pickling(error: type[Exception]) -> None:
    made = error("what was asked")
    for again in (copy(made), pickle.loads(pickle.dumps(made))):
        assert type(again) is error
        assert str(again) == "what was asked"


def test_a_call_error_keeps_what_it_knows_of_the_call() -> None:
    made = ResourceMissingError(
        "gone", about="image a", operation="ListImageVersions", code="ResourceNotFound", expired=True
    )
    again = pickle.loads(pickle.dumps(made))
    assert isinstance(again, AwsCallError)
    assert vars(again) == {
        "message": "gone",
        "about": "image a",
        "operation": "ListImageVersions",
        "code": "ResourceNotFound",
        "transient": False,
        "expired": True,
        "answered": False,
        "throttled": False,
    }
