"""Reads a request to inject a fault, and refuses a request that cannot be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from moto.core.errors import ErrorLookupFactory

from airflow_imgver.emulator.contract import service_model

if TYPE_CHECKING:
    from moto.core.model import ServiceModel

KINDS = ("error", "http-500", "drop", "truncate", "delay", "concurrent", "quota")
LONGEST_DELAY = 3600
CONCURRENT = ("ResourceInUse", "Resource was modified concurrently")
"""The error of SageMaker where two calls change one image at a time, in its words."""
THROTTLED = ("ThrottlingException", "Rate exceeded")
BURST_SECONDS = 2
"""AWS's bursts are those of two seconds of the rate, or one call."""

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html: every service may answer these,
# and the model of a service does not hold them.
COMMON_ERRORS = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "MalformedHttpRequestException": 400,
    "NotAuthorized": 401,
    "OptInRequired": 403,
    "RequestAbortedException": 400,
    "RequestEntityTooLargeException": 413,
    "RequestExpired": 400,
    "RequestTimeoutException": 408,
    "ServiceUnavailable": 503,
    "ThrottlingException": 400,
    "UnrecognizedClientException": 403,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}


_MEMBERS = ("service", "operation", "error", "kind", "seconds", "per_second", "burst", "times", "every")
_ERROR_MEMBERS = ("code", "message", "status")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An effect on the next calls of one operation; ``inject_fault`` explains the fields."""

    service: str
    operation: str
    kind: str
    code: str | None
    message: str | None
    status: int | None
    seconds: float | None
    per_second: float | None
    burst: int | None
    times: int | None
    every: int

    def as_request(self) -> dict[str, Any]:
        """Give the fault in the form of the request that injects it."""
        error = {"code": self.code, "message": self.message, "status": self.status}
        if self.kind in ("concurrent", "quota"):
            error = {}
        request = {
            "service": self.service,
            "operation": self.operation,
            "kind": self.kind,
            "error": {name: value for name, value in error.items() if value is not None} or None,
            "seconds": self.seconds,
            "per_second": self.per_second,
            "burst": self.burst,
            "every": self.every,
        }
        return {name: value for name, value in request.items() if value is not None} | {"times": self.times}


def fault_from(request: Mapping[str, Any]) -> Fault:
    """
    Read a request to inject a fault.

    :param request: The arguments of ``inject_fault`` by their names.
    :raises ValueError: the request cannot be carried out; the message gives the reason.
    """
    for name in request:
        _expect(name in _MEMBERS, f"{name!r} is unknown; a fault has {', '.join(_MEMBERS)}")
    service, operation = (_name(request, member) for member in ("service", "operation"))
    model = _model_with(service, operation)
    kind = _kind(request)
    code, message, status = _error_of(kind, request.get("error"), model, operation)
    seconds = request.get("seconds")
    _expect(
        (seconds is not None) == (kind in ("delay", "concurrent")),
        "kind 'delay' needs seconds, and so does 'concurrent'; no other kind takes them",
    )
    _expect(
        seconds is None or (_is_number(seconds) and 0 < seconds <= LONGEST_DELAY),
        f"seconds is {seconds!r}; it must be more than 0, and {LONGEST_DELAY} at most",
    )
    per_second, burst = _rate_of(kind, request)
    times, every = request.get("times", 1), request.get("every", 1)
    for name, value in (("times", times), ("every", every)):
        _expect(
            _is_positive_integer(value) or (name == "times" and value is None),
            f"{name} is {value!r}; it must be a whole number of at least 1",
        )
    return Fault(
        service=service,
        operation=operation,
        kind=kind,
        code=code,
        message=message,
        status=status,
        seconds=seconds,
        per_second=per_second,
        burst=burst,
        times=times,
        every=every,
    )


def _name(request: Mapping[str, Any], member: str) -> str:
    value = request.get(member)
    _expect(isinstance(value, str), f"{member} is {value!r}; it must be a name")
    return str(value)


def _model_with(service: str, operation: str) -> ServiceModel:
    try:
        model = service_model(service)
        model.operation_model(operation)
    except UnknownServiceError:
        raise ValueError(f"{service!r} is not a service; use botocore's name, such as 'sagemaker'") from None
    except OperationNotFoundError:
        raise ValueError(f"{service} has no operation {operation!r}") from None
    return model


def _kind(request: Mapping[str, Any]) -> str:
    error, kind = request.get("error"), request.get("kind")
    if kind is None:
        _expect(error is not None, f"either an error or a kind is needed: {', '.join(KINDS[1:])}")
        return "error"
    _expect(kind in KINDS, f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    _expect((error is not None) == (kind == "error"), f"an error needs kind 'error'; kind is {kind!r}")
    return str(kind)


def _rate_of(kind: str, request: Mapping[str, Any]) -> tuple[float | None, int | None]:
    per_second, burst = request.get("per_second"), request.get("burst")
    _expect(
        (per_second is not None) == (kind == "quota") and (burst is None or kind == "quota"),
        "kind 'quota' needs per_second, and may have a burst; no other kind takes them",
    )
    if per_second is None:
        return None, None
    _expect(
        _is_number(per_second) and 0 < per_second < float("inf"),
        f"per_second is {per_second!r}; it must be a number above 0",
    )
    if burst is None:
        return per_second, max(1, int(BURST_SECONDS * per_second))
    _expect(_is_positive_integer(burst), f"burst is {burst!r}; it must be a whole number of at least 1")
    return per_second, burst


def _error_of(
    kind: str, error: Any, model: ServiceModel, operation: str
) -> tuple[str | None, str | None, int | None]:
    if kind == "error":
        return _error(error, model, operation)
    if kind == "quota":
        return *THROTTLED, None
    if kind != "concurrent":
        return None, None, None
    called = model.operation_model(operation)
    fits = "ImageName" in getattr(called.input_shape, "members", {}) and CONCURRENT[0] in {
        shape.name for shape in called.error_shapes
    }
    _expect(
        model.service_name == "sagemaker" and fits,
        f"{model.service_name} {operation} has no concurrent changes; kind 'concurrent' is for sagemaker and "
        "the operations that change an image or its versions",
    )
    return *CONCURRENT, None


def _error(error: Any, model: ServiceModel, operation: str) -> tuple[str, str | None, int | None]:
    _expect(
        isinstance(error, Mapping), f"the error is {error!r}; it must hold a code, and may hold a message"
    )
    for name in error:
        _expect(name in _ERROR_MEMBERS, f"the error has {name!r}; it takes {', '.join(_ERROR_MEMBERS)}")
    code, message, status = map(error.get, _ERROR_MEMBERS)
    _expect(isinstance(code, str) and bool(code), f"the error's code is {code!r}; it must be a name")
    _expect(isinstance(message, str | None), f"the error's message is {message!r}; it must be a text")
    if status is not None:
        fits = _is_positive_integer(status) and 400 <= status <= 599
        _expect(fits, f"the error's status is {status!r}; it must be an HTTP status from 400 to 599")
    elif code not in COMMON_ERRORS and ErrorLookupFactory().for_service(model).from_code(code) is None:
        names = sorted(shape.name for shape in model.operation_model(operation).error_shapes)
        raise ValueError(
            f"{code!r} is neither in the model of {model.service_name} nor common to all services; "
            f"{operation} answers {', '.join(names) or 'no error of its own'}. "
            "Any other code needs its HTTP status beside it"
        )
    return code, message, status


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)
