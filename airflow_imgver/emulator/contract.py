"""Requests, read and checked against botocore's service models."""

from __future__ import annotations

import base64
import functools
import json
import re
import sys
import unicodedata
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

# Coral, which writes these texts at AWS, quotes a value whole; a token of 9,000 characters helps nobody.
_LONGEST_QUOTE = 256


class ValidationException(ServiceException):
    """The request does not fit the service's contract."""

    code = "ValidationException"


def check_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """
    Check the parameters of a request against the service model.

    Checked are required members, types, enumerations, lengths, ranges, patterns and unions, at every depth.
    What the model marks as sensitive is never quoted. Unknown members are left alone, as AWS leaves them.

    :param service: botocore's name of the service, such as ``medical-imaging``.
    :param operation: The operation as the model spells it, such as ``ListImageSetVersions``.
    :param params: The request's members by their model names.
    :raises ValidationException: with every complaint, in AWS's words.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return
    complaints = list(_complaints(shape, params, "", sensitive=False))
    if complaints:
        errors = "error" if len(complaints) == 1 else "errors"
        raise ValidationException(f"{len(complaints)} validation {errors} detected: {'; '.join(complaints)}")


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Give botocore's model of a service, kept because building it for each request is slow."""
    return get_service_model(service)


def read_request(
    service: str, operation: str, request: Request, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Read the parameters of an HTTP request by the service's protocol, and check them.

    moto's own parsers let a number that is none end in an HTTP 500; here it is a ValidationException.

    :param service: botocore's name of the service.
    :param operation: The operation as the model spells it.
    :param request: The request as it came.
    :param labels: What the path says, by the names in the model's ``requestUri``.
    :return: The request's members by their model names; timestamps aware and in UTC, blobs as bytes.
    :raises ValidationException: the request does not fit the model.
    """
    model = service_model(service)
    parser = _PARSERS[model.protocol](
        model.operation_model(operation), timestamp_parser=_aware_timestamp, blob_parser=_strict_base64
    )
    params: dict[str, Any] = parser.parse(
        {
            "method": request.method,
            # Not request.values, which mixes what a form in the body says into the query.
            "values": request.args,
            "headers": request.headers,
            "body": request.get_data(),
            "url_path": request.path,
            "url_params": dict(labels or {}),
        }
    )
    check_request(service, operation, params)
    return params


def _complaints(shape: Shape, value: Any, path: str, *, sensitive: bool) -> Iterator[str]:
    sensitive = sensitive or bool(shape.metadata.get("sensitive"))
    wrong = _wrong_type(shape, value)
    if wrong:
        yield _complaint(value, path, wrong, sensitive)
        return
    broken = list(_broken_constraints(shape, value))
    for constraint in broken:
        yield _complaint(value, path, constraint, sensitive)
    if isinstance(shape, StructureShape):
        yield from _structure_complaints(shape, value, path, sensitive)
    elif isinstance(shape, ListShape):
        for position, item in enumerate(value, start=1):
            yield from _complaints(shape.member, item, f"{path}.{position}.member", sensitive=sensitive)
    elif isinstance(shape, MapShape):
        for name, item in value.items():
            yield from _complaints(shape.key, name, f"{path}.key", sensitive=sensitive)
            yield from _complaints(shape.value, item, f"{path}.{name}.member", sensitive=sensitive)


def _structure_complaints(shape: StructureShape, value: Any, path: str, sensitive: bool) -> Iterator[str]:
    inside = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield _complaint(None, inside + name, "Member must not be null", sensitive)
    given = {name: value[name] for name in shape.members if value.get(name) is not None}
    if shape.is_tagged_union and len(given) != 1:
        names = ", ".join(shape.members)
        yield _complaint(given, path, f"Member must have exactly one of: [{names}]", sensitive=True)
    for name, item in given.items():
        yield from _complaints(shape.members[name], item, inside + name, sensitive=sensitive)


def _complaint(value: Any, path: str, constraint: str, sensitive: bool) -> str:
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
    # Some of AWS's patterns take exponential time on a text that is longer than the service lets in.
    if pattern and in_bounds and not compiled_pattern(pattern).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


@functools.cache
def compiled_pattern(pattern: str) -> re.Pattern[str]:
    r"""
    Compile a pattern of a service model, which is written in Java's dialect.

    Python has no ``\p{...}``, writes characters beyond U+FFFF as one and not as a surrogate pair, and takes
    no quantifier after ``$``; and Java's ``\d``, ``\w`` and ``\s`` know ASCII alone.

    :param pattern: The pattern as the model has it.
    """
    translated: list[str] = []
    in_class = False
    for piece in _JAVA_PIECE.findall(pattern):
        if piece.startswith((r"\p", r"\P")):
            negated = "^" if piece[1] == "P" else ""
            characters = _characters_of_property(piece[3:-1])
            piece = characters if in_class and not negated else f"[{negated}{characters}]"
        elif len(piece) == len(r"\uD800\uDC00"):
            piece = f"\\U{_code_of_pair(int(piece[2:6], 16), int(piece[8:], 16)):08x}"
        elif piece.startswith("${"):
            piece = "$"
        elif piece == "[" and in_class:
            piece = r"\["
        elif piece in ("[", "]"):
            in_class = piece == "["
        translated.append(piece)
    return re.compile("".join(translated), re.ASCII)


_JAVA_PIECE = re.compile(
    r"\\[pP]\{\w+\}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\$\{\d+,\d*\}"
    r"|\\.|.",
    re.DOTALL,
)

_POSIX_PROPERTIES = {
    "ASCII": r"\x00-\x7F",
    "Alnum": "A-Za-z0-9",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
}


def _code_of_pair(high: int, low: int) -> int:
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)


@functools.cache
def _characters_of_property(name: str) -> str:
    if name in _POSIX_PROPERTIES:
        return _POSIX_PROPERTIES[name]
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if not unicodedata.category(chr(code)).startswith(name):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def _aware_timestamp(value: Any) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a timestamp is a number or a text")
    return parse_to_aware_datetime(value).astimezone(UTC)


def _strict_base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


class _Faithful:
    """A parser that keeps what does not fit its shape as it came, for the check to name it."""

    def _parse_shape(self, shape: Shape, node: Any) -> Any:
        try:
            return super()._parse_shape(shape, node)  # type: ignore[misc]
        except (AttributeError, ArithmeticError, RuntimeError, TypeError, ValueError):
            return node

    def _parse_structure(self, shape: StructureShape, value: Any) -> Any:
        # What belongs in the path, the query or a header is not to be had from the body.
        elsewhere = {
            member.serialization.get("name", name)
            for name, member in shape.members.items()
            if "location" in member.serialization
        }
        in_body = {name: item for name, item in value.items() if name not in elsewhere}
        return super()._parse_structure(shape, in_body)  # type: ignore[misc]

    def _parse_list(self, shape: ListShape, node: Any) -> Any:
        if not isinstance(node, list):
            raise TypeError("a text is no list, although it has parts")
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
        try:
            parsed = json.loads(body) if body else {}
        except ValueError as broken:
            raise ValidationException("The request body is not valid JSON") from broken
        if not isinstance(parsed, dict):
            raise ValidationException("The request body must be a JSON object")
        return parsed


class _FaithfulRestJSONParser(_Faithful, RestJSONParser):
    pass


class _FaithfulJSONParser(_Faithful, JSONParser):
    pass


_PARSERS = {"rest-json": _FaithfulRestJSONParser, "json": _FaithfulJSONParser}
