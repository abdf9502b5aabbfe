"""The errors that SageMaker's image operations answer with, all of them HTTP 400."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ResourceNotFound(ServiceException):
    """The image, or the image version, does not exist."""

    code = "ResourceNotFound"


class ResourceInUse(ServiceException):
    """The name is taken, or something else is changing the resource."""

    code = "ResourceInUse"


class InvalidState(ServiceException):
    """The resource is not in a state that allows the call."""

    code = "ValidationException"


class InvalidArguments(ServiceException):
    """The arguments are well formed each, and wrong together."""

    code = "ValidationException"
