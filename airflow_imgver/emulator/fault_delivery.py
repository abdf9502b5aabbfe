"""Delivers faults to their callers: around the server's application, and around moto's stub in process."""

from __future__ import annotations

import functools
from http.client import responses as reason_phrases
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError, UnknownServiceError
from moto.backends import get_service_from_url
from moto.core.errors import ErrorLookupFactory
from moto.core.exceptions import ServiceException
from moto.core.model import ServiceModel
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_equivalent_url_in_aws_domain
from moto.core.utils import service_name_from_moto_package_name as service_of_moto_package
from moto.utilities.aws_headers import gen_amzn_requestid_long
from werkzeug.exceptions import NotFound

from airflow_imgver.emulator.contract import SerializationException, json_object, service_model
from airflow_imgver.emulator.fault_control import CONTROL_PATH, control
from airflow_imgver.emulator.fault_requests import COMMON_ERRORS, Fault
from airflow_imgver.emulator.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botocore.awsrequest import AWSPreparedRequest
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    from airflow_imgver.emulator.faults import FaultRegistry

    Answer = tuple[int, dict[str, str], bytes]

CALLED = "airflow_imgver.called"
"""Where the WSGI environment holds the name of the operation that a request calls."""


class InjectedError(ServiceException):
    """An error of any service. Its class is outside moto's modules, from which moto derives the service."""


class ConnectionDropped(ConnectionError):
    """The server must close the connection without an answer."""


class FaultLayer:
    """
    WSGI middleware around moto's application.

    It counts every call, delivers faults, and answers ``/_imgver/faults`` and ``/_imgver/calls``. The body
    under ``wsgi.input`` must be seekable, because the search for the operation may read it.

    :param application: moto's dispatcher.
    :param registry: The registry of faults and calls.
    """

    def __init__(self, application: DomainDispatcherApplication, registry: FaultRegistry) -> None:
        self._application = application
        self._registry = registry

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL_PATH):
            answer = control(self._registry, environ["REQUEST_METHOD"], path, environ["wsgi.input"].read())
            return respond(start_response, answer)
        if path.startswith("/moto-api"):
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        called = self._operation_of(environ)
        environ[CALLED] = called[1] if called else None
        met = self._registry.arrive(*called, lambda: image_named_in(_body_of(environ))) if called else None
        if met is None:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        if met.fault.kind == "delay":
            met.delay()
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        if met.fault.kind == "drop":
            raise ConnectionDropped(f"a fault closes the connection of {met.fault.operation}")
        if met.fault.kind == "truncate":
            return respond(start_response, self._cut_answer(environ))
        return respond(start_response, faulty_answer(met.fault, environ.get("CONTENT_TYPE")))

    def _operation_of(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        try:
            host = self._application.infer_service_region_host(environ, environ.get("PATH_INFO", ""))
            package = self._application.get_backend_for_host(host or "s3.us-east-1.amazonaws.com")
            return operation_of(package, Request(environ.copy()))
        except (LookupError, ValueError):
            # moto derives a few hosts from headers that this request lacks; moto then answers the request
            # itself.
            return None
        finally:
            environ["wsgi.input"].seek(0)

    def _cut_answer(self, environ: dict[str, Any]) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started.append((status, headers))

        answer = self._application(environ, start_response)
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        status, headers = started[-1]
        return int(status.split()[0]), dict(headers), cut(body)


def respond(start_response: Callable[..., Any], answer: Answer) -> Iterable[bytes]:
    """Send an answer as a WSGI application does."""
    status, headers, body = answer
    kept = [(name, value) for name, value in headers.items() if name.lower() != "content-length"]
    start_response(f"{status} {reason_phrases.get(status, '')}", [*kept, ("Content-Length", str(len(body)))])
    return [body]


def deliver_in_process(
    carry_out: Callable[[AWSPreparedRequest], Any], registry: FaultRegistry
) -> Callable[[AWSPreparedRequest], Any]:
    """
    Put the faults around moto's stub for botocore.

    A handler of botocore's before-send event could not keep moto from carrying out a call: botocore calls all
    handlers, and then takes the first answer.

    :param carry_out: ``moto.core.models.botocore_stubber.process_request``.
    :param registry: The registry of faults and calls.
    """

    @functools.wraps(carry_out)
    def process_request(request: AWSPreparedRequest) -> Any:
        aws_url, _ = get_equivalent_url_in_aws_domain(request.url)
        # Without a body that can be read only once: moto reads it, and it never names the operation.
        body = request.body if isinstance(request.body, str | bytes | bytearray) else None
        normalized = Request.from_primitives(request.method, request.url, request.headers, body)
        package = get_service_from_url(aws_url.geturl())
        called = operation_of(package, normalized)
        met = registry.arrive(*called, lambda: image_named_in(normalized.get_data())) if called else None
        if met is None or met.fault.kind == "delay":
            if met is not None:
                met.delay()
            refused = refusal(package, normalized, called=called and called[1], body=normalized.get_data())
            return refused or carry_out(request)
        if met.fault.kind == "drop":
            raise ConnectionClosedError(endpoint_url=request.url)
        if met.fault.kind == "truncate":
            return _cut(carry_out(request))
        return faulty_answer(met.fault, normalized.content_type)

    return process_request


def operation_of(moto_package: str | None, request: Request) -> tuple[str, str] | None:
    """
    Find the service, by botocore's name, and the operation that a request calls.

    :param moto_package: moto's name of the service, None if moto serves none at that address.
    :param request: The request.
    :return: None for a request that is not an operation of a service's model.
    """
    if moto_package is None:
        return None
    service = "lambda" if moto_package == "awslambda" else service_of_moto_package(moto_package)
    try:
        operation, _ = get_service_router(service).match(request)
    except (NotFound, NotImplementedError, UnknownServiceError):
        return None
    return service, str(operation.name)


def faulty_answer(fault: Fault, content_type: str | None) -> Answer:
    """
    Write a fault's error in its service's protocol, or the HTTP 500 without a body.

    :param fault: A fault of kind ``error`` or ``http-500``.
    :param content_type: The request's content type, which decides the protocol where a service has several.
    """
    if fault.kind == "http-500":
        return 500, {}, b""
    code = str(fault.code)
    model = _model_with_error(service_model(fault.service), code, fault.status)
    protocol = determine_request_protocol(model, content_type)
    serializer = get_serializer_class(fault.service, protocol)(
        operation_model=model.operation_model(fault.operation), pretty_print=False
    )
    message = fault.message if fault.message is not None else f"{code} was injected by a test"
    written = serializer.serialize(InjectedError(code, message))
    headers = {name: str(value) for name, value in written["headers"].items()}
    gen_amzn_requestid_long(headers)
    body = written["body"]
    return int(written["status_code"]), headers, body.encode() if isinstance(body, str) else body


def image_named_in(body: bytes) -> str | None:
    """Give the SageMaker image that a request names."""
    try:
        return str(json_object(body)["ImageName"])
    except (SerializationException, KeyError):
        return None


def _body_of(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"].seek(0)
    return body


def cut(body: bytes) -> bytes:
    """Give the first half of an answer."""
    return body[: len(body) // 2]


def _model_with_error(model: ServiceModel, code: str, status: int | None) -> ServiceModel:
    """Give a service's model, with an error added that it lacks or that has another status in it."""
    if status is None and ErrorLookupFactory().for_service(model).from_code(code) is not None:
        return model
    # botocore keeps the whole description under a private name, and has no method that adds to it.
    description: dict[str, Any] = vars(model)["_service_description"]
    members = {"message": {"shape": "__imgver_message"}}
    shapes = {
        **description["shapes"],
        "__imgver_message": {"type": "string"},
        code: {
            "type": "structure",
            "members": members,
            "exception": True,
            "error": {"code": code, "httpStatusCode": status or COMMON_ERRORS[code]},
        },
    }
    return ServiceModel({**description, "shapes": shapes}, model.service_name)


def _cut(answer: tuple[int, Any, str | bytes] | None) -> tuple[int, Any, bytes] | None:
    if answer is None:  # moto is configured to pass this call through to AWS.
        return None
    status, headers, body = answer
    return status, headers, cut(body.encode() if isinstance(body, str) else body)
