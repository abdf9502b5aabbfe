"""Answers as they come over the wire, held against botocore's own service models."""

from __future__ import annotations

import base64
import json
from typing import Any

from airflow_imgver.emulator.contract import compiled_pattern, service_model


def check_every_answer(client: Any) -> Any:
    """Make a client hold each answer against the model, before botocore drops what it does not know."""
    client.meta.events.register("before-parse", _check_before_parsing)
    return client


def _check_before_parsing(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    service = operation_model.service_model.service_name
    if operation_model.has_streaming_output and response_dict["status_code"] < 400:
        return  # The body is the blob itself, and the client has not read it yet.
    body = json.loads(response_dict["body"] or b"{}")
    if response_dict["status_code"] < 400:
        check_answer(service, operation_model.name, body)
    else:
        check_error(service, operation_model.name, response_dict["status_code"], response_dict["headers"])


def check_answer(service: str, operation: str, body: dict[str, Any]) -> None:
    """Fail where a JSON body has members, types or values that the operation's output does not have."""
    shape = service_model(service).operation_model(operation).output_shape
    if shape is None:
        assert body == {}, f"{operation} answers nothing, got {body}"
    else:
        _check(shape, body, operation)


def check_error(service: str, operation: str, status: int, headers: Any) -> None:
    """Fail where an error is none that the operation declares, or has another HTTP status."""
    declared = {error.name: error for error in service_model(service).operation_model(operation).error_shapes}
    code = headers["x-amzn-errortype"]
    assert code in declared, f"{operation} does not declare {code}"
    assert status == declared[code].metadata["error"]["httpStatusCode"]


def _check(shape: Any, value: Any, path: str) -> None:
    if shape.type_name == "structure":
        assert isinstance(value, dict), f"{path} is no structure: {value}"
        assert value.keys() <= shape.members.keys(), (
            f"{path} has unknown {value.keys() - shape.members.keys()}"
        )
        assert set(shape.required_members) <= value.keys(), f"{path} lacks a required member: {value}"
        for name, item in value.items():
            _check(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        for position, item in enumerate(value):
            _check(shape.member, item, f"{path}[{position}]")
    elif shape.type_name == "map":
        for name, item in value.items():
            _check(shape.value, item, f"{path}.{name}")
    else:
        _check_scalar(shape, value, path)


def _check_scalar(shape: Any, value: Any, path: str) -> None:
    types = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "long": int,
        "timestamp": int | float,
        "blob": str,
        "float": int | float,
        "double": int | float,
    }
    assert isinstance(value, types[shape.type_name]), f"{path} is no {shape.type_name}: {value!r}"
    if shape.type_name == "blob":
        base64.b64decode(value, validate=True)
    if shape.metadata.get("enum"):
        assert value in shape.metadata["enum"], f"{path} is none of the enumeration: {value}"
    if shape.metadata.get("pattern"):
        assert compiled_pattern(shape.metadata["pattern"]).fullmatch(value), f"{path} does not fit: {value!r}"
