"""
The errors that AWS gives to a request before any operation sees it.

moto checks none of this: it answers HTTP 500, or with the answer of another service. The names and statuses
are those of "Common Error Types" in the SageMaker API Reference, where the page has them; the three others
are those that AWS sends (MissingAuthenticationTokenException, InvalidSignatureException,
UnsupportedMediaTypeException of the protocol restJson1).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.model import OperationNotFoundError
from moto.backends import get_backend
from moto.core.responses import BaseResponse
from moto.utilities.aws_headers import gen_amzn_requestid_long

from airflow_imgver.emulator.contract import (
    SerializationException,
    ValidationException,
    check_request,
    json_object,
    service_model,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.core.request import Request

    Answer = tuple[int, dict[str, str], bytes]

HEALTHIMAGING, SAGEMAKER = "medicalimaging", "sagemaker"
PACKAGES = (HEALTHIMAGING, SAGEMAKER)
"""moto's names of the two services."""

_JSON_TYPES = ("application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1")
_SCOPE = re.compile(r"(?P<key>[^/]+)/[0-9]{8}/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request")
_HOSTS = {
    HEALTHIMAGING: re.compile(r"(runtime-)?medical-imaging(-fips)?\.([^.:]+)\.amazonaws\.com"),
    SAGEMAKER: re.compile(r"api(-fips)?\.sagemaker\.([^.:]+)\.amazonaws\.com"),
}
_SERVICES = {"medical-imaging": HEALTHIMAGING, "sagemaker": SAGEMAKER}


class Refused(Exception):
    """AWS refuses the request with this error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def credential_of(headers: Mapping[str, str], query: str) -> re.Match[str] | None:
    """
    Find the credential scope of a signed request, or of a presigned URL.

    :param headers: The request's headers.
    :param query: The request's query string.
    :return: The scope's ``key``, ``region`` and ``service``; None where the request is not signed.
    :raises Refused: there is a signature, and it is malformed.
    """
    authorization = headers.get("Authorization")
    if authorization:
        scope = re.match(r"AWS4-[A-Z0-9-]+\s+(?:.*?,\s*)?Credential=([^,\s]+)", authorization)
        text = scope[1] if scope else ""
    elif "X-Amz-Credential=" in query:
        text = parse_qs(query)["X-Amz-Credential"][0] if parse_qs(query).get("X-Amz-Credential") else ""
    else:
        return None
    credential = _SCOPE.fullmatch(text)
    if credential is None:
        raise Refused(
            403,
            "IncompleteSignatureException",
            "Credential must have the form <access key>/<date>/<region>/<service>/aws4_request.",
        )
    return credential


def addressee(headers: Mapping[str, str], path: str, query: str) -> tuple[str, str] | None:
    """
    Find which of the two services a request is for that moto cannot route by an ``Authorization`` header.

    :return: moto's name of the service, and the region; None for any other request.
    """
    try:
        credential = credential_of(headers, query)
    except Refused:
        credential = None
    if credential is not None:
        package = _SERVICES.get(credential["service"])
        return None if package is None else (package, credential["region"])
    for package, pattern in _HOSTS.items():
        if host := pattern.match(headers.get("Host", "")):
            return package, host[host.lastindex or 0]
    if headers.get("X-Amz-Target", "").partition(".")[0] == "SageMaker":
        return SAGEMAKER, BaseResponse.default_region
    if _healthimaging_paths().fullmatch(path):
        return HEALTHIMAGING, BaseResponse.default_region
    return None


def refusal(package: str | None, request: Request, *, called: str | None, body: bytes) -> Answer | None:
    """
    Give AWS's error for a request that it refuses before any operation sees it.

    :param package: moto's name of the service; requests for others are never refused here.
    :param request: The request.
    :param called: The operation that the request calls, if that is known.
    :param body: The body as it came.
    :return: Status, headers and body of the error; None for a request that an operation may answer.
    """
    if package not in PACKAGES:
        return None
    try:
        _check_signature(package, request)
        _check_operation(package, request, called)
        _check_body(package, request, body)
    except (Refused, SerializationException) as refused:
        return error_answer(package, refused)
    return None


def explanation(package: str | None, request: Request, error: Exception, body: bytes) -> Answer | None:
    """
    Give the error that AWS gives to a request at which moto failed.

    :param package: moto's name of the service.
    :param request: The request.
    :param error: The failure.
    :param body: The body as it came.
    :return: None where the request is one that AWS accepts.
    """
    if isinstance(error, NotImplementedError):
        # Not a 500, which clients retry.
        return error_answer(package, Refused(501, "NotImplemented", str(error)))
    if package != SAGEMAKER:
        return None
    try:
        check_request("sagemaker", _target_of(request), json_object(_decompressed(request, body)))
    except ValidationException as invalid:
        return error_answer(package, invalid)
    if isinstance(error, LookupError | AttributeError):
        # In moto's own operations, a resource that does not exist.
        return error_answer(package, Refused(400, "ResourceNotFound", f"moto could not find {error}."))
    return None


def malformed_signature(headers: Mapping[str, str]) -> Answer | None:
    """Give the error for a signature that names no service, at which moto fails; None for other requests."""
    if headers.get("Authorization", "").startswith("AWS4-"):
        try:
            credential_of(headers, "")
        except Refused as refused:
            return error_answer(None, refused)
    return None


def not_served(host: str) -> Refused:
    """Give the error for a request to a service that moto does not serve."""
    return Refused(501, "NotImplemented", f"The embedded AWS does not serve {host}.")


def error_answer(
    package: str | None, error: Refused | ValidationException | SerializationException
) -> Answer:
    """Write an error in JSON, with its name where the clients of all protocols find it."""
    status, code, message = (
        (error.status, error.code, str(error))
        if isinstance(error, Refused)
        else (400, error.code, error.message)
    )
    headers = {
        "Content-Type": "application/x-amz-json-1.1" if package == SAGEMAKER else "application/json",
        "x-amzn-errortype": code,
    }
    gen_amzn_requestid_long(headers)
    return status, headers, json.dumps({"__type": code, "message": message}).encode()


def _check_signature(package: str, request: Request) -> None:
    credential = credential_of(dict(request.headers), request.query_string.decode("latin-1"))
    if credential is None:
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    region = BaseResponse().get_region_from_url(request, request.raw_url)
    try:
        get_backend(package)["123456789012"][region]  # type: ignore[call-overload]
    except KeyError:
        raise Refused(
            403,
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region, not '{region}'.",
        ) from None


def _check_operation(package: str, request: Request, called: str | None) -> None:
    if package == SAGEMAKER:
        known = request.method == "POST" and request.path == "/" and _has_target(request)
    else:
        # Not at the top: the package is imported once moto needs it.
        from airflow_imgver.emulator.medicalimaging.responses import HealthImagingResponse

        known = bool(called or HealthImagingResponse()._get_action_from_method_and_request_uri(request))
    if not known:
        raise Refused(
            404,
            "UnknownOperationException",
            "The action or operation requested is invalid. Verify that the action is typed correctly.",
        )


def _check_body(package: str, request: Request, body: bytes) -> None:
    if not body:
        return
    content_type = request.mimetype
    if content_type and content_type not in _JSON_TYPES:
        wanted = _JSON_TYPES[0] if package == HEALTHIMAGING else _JSON_TYPES[2]
        message = f"The content type {content_type} is not supported, use {wanted}."
        if package == HEALTHIMAGING:
            raise Refused(415, "UnsupportedMediaTypeException", message)
        raise Refused(404, "UnknownOperationException", message)
    decompressed = _decompressed(request, body)
    if package == SAGEMAKER:
        json_object(decompressed)


def _decompressed(request: Request, body: bytes) -> bytes:
    if request.content_encoding != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise Refused(
            400, "MalformedHttpRequestException", "The request body could not be decompressed as gzip."
        ) from None


def _target_of(request: Request) -> str:
    return str(request.headers.get("X-Amz-Target", "")).removeprefix("SageMaker.")


def _has_target(request: Request) -> bool:
    try:
        service_model("sagemaker").operation_model(_target_of(request))
    except OperationNotFoundError:
        return False
    return True


@cache
def _healthimaging_paths() -> re.Pattern[str]:
    model = service_model("medical-imaging")
    paths = {
        str(model.operation_model(name).http["requestUri"]).split("?")[0] for name in model.operation_names
    }
    # A tag call names its service in the ARN; without one it may be any service's.
    patterns = [
        re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in paths if not path.startswith("/tags/")
    ]
    return re.compile(
        "|".join([*patterns, r"/tags/arn:aws[^:/]*(:|%3A)medical-imaging(:|%3A).+"]), re.IGNORECASE
    )


def as_mapping(environ: Mapping[str, Any]) -> dict[str, str]:
    """Give the headers of a WSGI environment that say for whom a request is."""
    names = {"Authorization": "HTTP_AUTHORIZATION", "Host": "HTTP_HOST", "X-Amz-Target": "HTTP_X_AMZ_TARGET"}
    return {name: environ[key] for name, key in names.items() if key in environ}
