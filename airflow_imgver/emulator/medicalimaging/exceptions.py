"""The errors of HealthImaging."""

from __future__ import annotations

from moto.core.exceptions import ServiceException

from airflow_imgver.emulator.contract import ValidationException

__all__ = ["ConflictException", "ResourceNotFoundException", "ValidationException"]


class ResourceNotFoundException(ServiceException):
    """The resource does not exist."""

    code = "ResourceNotFoundException"


class ConflictException(ServiceException):
    """The state of the resource does not allow the request."""

    code = "ConflictException"
