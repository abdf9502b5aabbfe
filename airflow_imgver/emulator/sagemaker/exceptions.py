"""The errors of SageMaker's image operations, all of them HTTP 400."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ResourceNotFound(ServiceException):
    """The image, or the image version, does not exist."""

    code = "ResourceNotFound"


class ResourceInUse(ServiceException):
    """The name is in use, or another call is changing the resource."""

    code = "ResourceInUse"


class InvalidState(ServiceException):
    """The resource is not in a state that allows the call."""

    code = "ValidationException"


class InvalidArguments(ServiceException):
    """Each argument is well formed, and they contradict each other."""

    code = "ValidationException"
