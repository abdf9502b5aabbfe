"""
Registers the two backends with moto.

moto finds a backend by importing ``moto.<name>`` for a name in ``moto.backend_index``. It finds a backend
from another package if ``sys.modules`` holds its modules under moto's names and the index holds its URL
pattern. moto has SageMaker already, without the image operations: its response class finds an operation by
the name of a method, so the operations become methods of that class.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import moto
from moto.backend_index import backend_url_patterns
from moto.core.errors import COMMON_ERROR_CODES
from moto.moto_api import state_manager
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from airflow_imgver.emulator.contract import SerializationException
from airflow_imgver.emulator.event_sender import EVENTS
from airflow_imgver.emulator.sagemaker.exceptions import InvalidArguments, ResourceNotFound
from airflow_imgver.emulator.sagemaker.responses import IMAGE_OPERATIONS, is_image_operation
from airflow_imgver.emulator.sagemaker.store import MISSING_IMAGE, images_of

if TYPE_CHECKING:
    from moto.core.request import Request

MANAGED_MODELS = (
    "medical-imaging::datastore",
    "medical-imaging::image-set",
    "medical-imaging::import-job",
    "sagemaker::image",
    "sagemaker::image-version",
)
"""The names under which moto's state manager keeps how long the changes of these backends take."""

_BACKEND = "medicalimaging"
_PACKAGE = "airflow_imgver.emulator.medicalimaging"
_REGISTERING = threading.Lock()


def register() -> None:
    """
    Make moto serve HealthImaging and the SageMaker image operations, in process and over HTTP.

    It is safe to call again. It changes only moto in this process, and nothing calls AWS.
    """
    with _REGISTERING:
        _add_healthimaging()
        _add_image_operations()
        for model in MANAGED_MODELS:
            if model not in state_manager.get_registered_models():
                state_manager.register_default_transition(model, {"progression": "immediate"})


def _add_healthimaging() -> None:
    package = importlib.import_module(_PACKAGE)
    sys.modules[f"moto.{_BACKEND}"] = package
    setattr(moto, _BACKEND, package)
    for part in ("exceptions", "models", "responses", "urls"):
        sys.modules[f"moto.{_BACKEND}.{part}"] = importlib.import_module(f"{_PACKAGE}.{part}")
    if _BACKEND in (name for name, _ in backend_url_patterns):
        return
    # First in the list: moto takes the first pattern that matches a host.
    url_bases = sys.modules[f"moto.{_BACKEND}.urls"].url_bases
    backend_url_patterns[:0] = [(_BACKEND, re.compile(base)) for base in url_bases]


def _add_image_operations() -> None:
    # Without it, moto warns of an error that no service's model holds.
    if SerializationException.code not in COMMON_ERROR_CODES:
        COMMON_ERROR_CODES.append(SerializationException.code)
    for method, implementation in IMAGE_OPERATIONS.items():
        setattr(SageMakerResponse, method, implementation)
    # setattr, because a type checker refuses the assignment of a method.
    setattr(SageMakerResponse, "call_action", _call_action)  # noqa: B010
    setattr(SageMakerResponse, "_get_action", _get_action)  # noqa: B010
    setattr(SageMakerResponse, "parse_parameters", _parse_parameters)  # noqa: B010
    setattr(SageMakerModelBackend, "_get_resource_from_arn", _resource_from_arn)  # noqa: B010


_MOTO_CALL_ACTION = SageMakerResponse.call_action
_MOTO_PARSE_PARAMETERS = SageMakerResponse.parse_parameters
_MOTO_RESOURCE_FROM_ARN = SageMakerModelBackend._get_resource_from_arn


def _get_action(response: SageMakerResponse) -> str:
    # moto prefers an Action in the query, which AWS ignores.
    return str(response.headers.get("X-Amz-Target", "")).partition(".")[2]


def _call_action(response: SageMakerResponse) -> Any:
    if not is_image_operation(response):
        return _MOTO_CALL_ACTION(response)
    store = images_of(response.sagemaker_backend)
    with store.lock:
        store.timeline.settle()
        answer = _MOTO_CALL_ACTION(response)
        # What takes no time is over now, so that its events leave without another request.
        store.timeline.settle()
    EVENTS.deliver()
    return answer


def _parse_parameters(response: SageMakerResponse, request: Request) -> None:
    if is_image_operation(response):
        response.params = {}
    else:
        _MOTO_PARSE_PARAMETERS(response, request)


def _resource_from_arn(backend: SageMakerModelBackend, arn: str) -> Any:
    if ":image/" not in arn:
        try:
            resource = _MOTO_RESOURCE_FROM_ARN(backend, arn)
        except (AttributeError, ValueError):
            # moto knows no resources of this kind, or the ARN has another form than that of SageMaker.
            resource = None
        if resource is None:
            raise InvalidArguments(f"Could not find the resource with ARN {arn}.")
        return resource
    image = images_of(backend).image_by_arn(arn)
    if image is None:
        raise ResourceNotFound(MISSING_IMAGE.format(arn))
    return image
