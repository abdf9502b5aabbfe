"""Reads requests, and checks them against botocore's service models."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import parse_to_aware_datetime
from moto.core.exceptions import ServiceException
from moto.core.parse import JSONParser, RestJSONParser
from moto.core.utils import get_service_model

if TYPE_CHECKING:
    from moto.core.model import ServiceModel
    from moto.core.request import Request

# AWS quotes a value whole, which for a token of 9,000 characters hides the rest of the message.
_LONGEST_QUOTE = 256


class ValidationException(ServiceException):
    """The request does not fit the service's contract."""

    code = "ValidationException"


class SerializationException(ServiceException):
    """The body of the request is not what the protocol carries."""

    code = "SerializationException"


def json_object(body: bytes) -> dict[str, Any]:
    """
    Read the body of a request; none is an empty object.

    :raises SerializationException: it is not a JSON object in UTF-8, or it is nested too deeply.
    """
    try:
        parsed = json.loads(body.decode("utf-8")) if body else {}
    except (ValueError, RecursionError) as broken:
        wrong = "not valid JSON" if isinstance(broken, ValueError) else "nested too deeply"
        raise SerializationException(f"The request body is {wrong}") from broken
    if not isinstance(parsed, dict):
        raise SerializationException("The request body must be a JSON object")
    return parsed


def check_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """
    Check the parameters of a request against the service model.

    The check covers required members, types, enumerations, lengths, ranges, patterns and unions, at every
    depth. It never quotes a value that the model marks as sensitive, and ignores unknown members, as AWS
    does.

    :param service: botocore's name of the service, such as ``medical-imaging``.
    :param operation: The operation as the model spells it, such as ``ListImageSetVersions``.
    :param params: The request's members by their model names.
    :raises ValidationException: the parameters do not fit; the message names all reasons in AWS's words.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return
    violations = list(_violations(shape, params, "", sensitive=False))
    if violations:
        errors = "error" if len(violations) == 1 else "errors"
        raise ValidationException(f"{len(violations)} validation {errors} detected: {'; '.join(violations)}")


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Give botocore's model of a service, from a cache because it is slow to build."""
    return get_service_model(service)


def read_request(
    service: str, operation: str, request: Request, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Read the parameters of an HTTP request by the service's protocol, and check them.

    moto's own parsers answer HTTP 500 to a text in the place of a number; this one a ValidationException.

    :param service: botocore's name of the service.
    :param operation: The operation as the model spells it.
    :param request: The request as it came.
    :param labels: The parts of the path, by the names in the model's ``requestUri``.
    :return: The request's members by their model names; timestamps aware and in UTC, blobs as bytes.
    :raises SerializationException: the body is not a JSON object, or it is nested too deeply.
    :raises ValidationException: the request does not fit the model.
    """
    model = service_model(service)
    parser = _PARSERS[model.protocol](
        model.operation_model(operation), timestamp_parser=_aware_timestamp, blob_parser=_strict_base64
    )
    parts: Any = {
        "method": request.method,
        # Not request.values, which adds the members of a form in the body to the query.
        "values": request.args,
        "headers": request.headers,
        "body": request.get_data(),
        "url_path": request.path,
        "url_params": dict(labels or {}),
    }
    try:
        params: dict[str, Any] = parser.parse(parts)
        check_request(service, operation, params)
    except RecursionError as deep:
        raise SerializationException("The request body is nested too deeply") from deep
    return params


def _violations(shape: Shape, value: Any, path: str, *, sensitive: bool) -> Iterator[str]:
    sensitive = sensitive or bool(shape.metadata.get("sensitive"))
    wrong = _wrong_type(shape, value)
    if wrong:
        yield _violation(value, path, wrong, sensitive)
        return
    broken = list(_broken_constraints(shape, value))
    for constraint in broken:
        yield _violation(value, path, constraint, sensitive)
    if isinstance(shape, StructureShape):
        yield from _structure_violations(shape, value, path, sensitive)
    elif isinstance(shape, ListShape):
        for position, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{position}.member", sensitive=sensitive)
    elif isinstance(shape, MapShape):
        for name, item in value.items():
            yield from _violations(shape.key, name, f"{path}.key", sensitive=sensitive)
            yield from _violations(shape.value, item, f"{path}.{name}.member", sensitive=sensitive)


def _structure_violations(shape: StructureShape, value: Any, path: str, sensitive: bool) -> Iterator[str]:
    inside = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield _violation(None, inside + name, "Member must not be null", sensitive)
    given = {name: value[name] for name in shape.members if value.get(name) is not None}
    if shape.is_tagged_union and len(given) != 1:
        names = ", ".join(shape.members)
        yield _violation(given, path, f"Member must have exactly one of: [{names}]", sensitive=True)
    for name, item in given.items():
        yield from _violations(shape.members[name], item, inside + name, sensitive=sensitive)


def _violation(value: Any, path: str, constraint: str, sensitive: bool) -> str:
    if value is None:
        subject = "Value null"
    elif sensitive or isinstance(value, bytes):
        subject = "Value"
    else:
        text = str(value)
        subject = f"Value '{text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + '...'}'"
    return f"{subject} at '{path}' failed to satisfy constraint: {constraint}"


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "structure": ((Mapping,), "a structure"),
    "map": ((Mapping,), "a map"),
    "list": ((list, tuple), "a list"),
    "string": ((str,), "a string"),
    "character": ((str,), "a string"),
    "blob": ((bytes, bytearray), "base64 encoded"),
    "timestamp": ((datetime,), "a timestamp"),
    "boolean": ((bool,), "a boolean"),
    "integer": ((int,), "an integer"),
    "long": ((int,), "an integer"),
    "float": ((int, float), "a number"),
    "double": ((int, float), "a number"),
}


def _wrong_type(shape: Shape, value: Any) -> str | None:
    types, name = _TYPES[shape.type_name]
    fits = isinstance(value, types) and (shape.type_name == "boolean" or not isinstance(value, bool))
    return None if fits else f"Member must be {name}"


def _broken_constraints(shape: Shape, value: Any) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in ("integer", "long", "float", "double"):
        measured, noun = value, "value"
    elif shape.type_name in ("string", "blob", "list", "map"):
        measured, noun = len(value), "length"
    else:
        return
    in_bounds = True
    if least is not None and measured < least:
        in_bounds = False
        yield f"Member must have {noun} greater than or equal to {least}"
    if most is not None and measured > most:
        in_bounds = False
        yield f"Member must have {noun} less than or equal to {most}"
    if shape.type_name != "string":
        return
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield f"Member must satisfy enum value set: [{', '.join(allowed)}]"
    pattern = shape.metadata.get("pattern")
    # Some of AWS's patterns take exponential time on a text that is longer than the service accepts.
    if pattern and in_bounds and not compiled_pattern(pattern).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


# The patterns that Python cannot compile, of all that the served operations have: Java knows the categories
# of Unicode by name. Python's \w is every letter (L) and number (N), and the underscore; the rest is Z.
_PYTHON_PATTERNS = {
    r"\p{ASCII}{0,8192}": r"[\x00-\x7F]{0,8192}",
    r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)": (
        r"(?u:[\w.:/=+\-@ \xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]*)"
    ),
}


@functools.cache
def compiled_pattern(pattern: str) -> re.Pattern[str]:
    r"""
    Compile a pattern of a service model, in which ``\d``, ``\w`` and ``\s`` mean ASCII alone, as in Java.

    :param pattern: The pattern as the model has it.
    """
    try:
        return re.compile(_PYTHON_PATTERNS.get(pattern, pattern), re.ASCII)
    except re.error:
        # A pattern of an operation of moto's own, which moto does not check either.
        return re.compile("(?s:.*)")


def _aware_timestamp(value: Any) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a timestamp is a number or a text")
    return parse_to_aware_datetime(value).astimezone(UTC)


def _strict_base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


class _Lenient:
    """A parser that keeps a value that does not fit its shape, so that the check names it."""

    def _parse_shape(self, shape: Shape, node: Any) -> Any:
        try:
            return super()._parse_shape(shape, node)  # type: ignore[misc]
        except (AttributeError, ArithmeticError, RuntimeError, TypeError, ValueError):
            return node

    def _parse_structure(self, shape: StructureShape, value: Any) -> Any:
        # A member that belongs in the path, the query or a header is not read from the body.
        elsewhere = {
            member.serialization.get("name", name)
            for name, member in shape.members.items()
            if "location" in member.serialization
        }
        in_body = {name: item for name, item in value.items() if name not in elsewhere}
        return super()._parse_structure(shape, in_body)  # type: ignore[misc]

    def _parse_list(self, shape: ListShape, node: Any) -> Any:
        if not isinstance(node, list):
            raise TypeError("a list is not a text")
        if not node and shape.serialization.get("location") == "querystring":
            return None
        return super()._parse_list(shape, node)  # type: ignore[misc]

    def _parse_integer(self, shape: Shape, value: Any) -> Any:
        if shape.serialization.get("location") and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            return int(value)
        return value

    _parse_long = _parse_integer

    def _parse_float(self, shape: Shape, value: Any) -> Any:
        return float(value) if shape.serialization.get("location") else value

    _parse_double = _parse_float

    def _parse_boolean(self, shape: Shape, value: Any) -> Any:
        return {"true": True, "false": False}[value] if value in ("true", "false") else value

    def _parse_body_as_json(self, body: bytes) -> Any:
        return json_object(body)


class _LenientRestJSONParser(_Lenient, RestJSONParser):
    pass


class _LenientJSONParser(_Lenient, JSONParser):
    pass


_PARSERS = {"rest-json": _LenientRestJSONParser, "json": _LenientJSONParser}
