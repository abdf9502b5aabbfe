"""Exceptions raised by the medical-imaging service."""

from __future__ import annotations

from moto.core.exceptions import ServiceException

from ..contract import ValidationException

__all__ = ["ConflictException", "ResourceNotFoundException", "ValidationException"]


class ResourceNotFoundException(ServiceException):
    """The request references a resource which does not exist."""

    code = "ResourceNotFoundException"


class ConflictException(ServiceException):
    """The resource is in no state for the request."""

    code = "ConflictException"
