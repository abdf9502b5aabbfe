"""The one event that a trigger sends, and how a resumed gate reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_imgver.exceptions import (
    AwsCallError,
    GateError,
    ImportJobFailedError,
    InvalidIdentityError,
    ManifestMissingError,
    ResourceMissingError,
    TriggerFailedError,
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.text import as_plain

_ERRORS: dict[str, type[GateError]] = {
    error.__name__: error
    for error in (
        VersionFailedError,
        VersionDeletedError,
        ImportJobFailedError,
        ResourceMissingError,
        ManifestMissingError,
        AwsCallError,
        UnexpectedAnswerError,
        InvalidIdentityError,
        TriggerFailedError,
    )
}


def open_event(entry: Any, resume: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Return the event of an open gate, with the entry, or the entries of a list.

    :param entry: the entry or the entries.
    :param resume: what a sensor needs that searches again before it opens; None for all others.
    """
    event = {"status": "open", "entry": as_plain(entry)}
    return event if resume is None else {**event, "resume": as_plain(resume)}


def timeout_event(message: str) -> dict[str, Any]:
    """Return the event of a gate whose time is up."""
    return {"status": "timeout", "message": as_plain(message)}


def error_event(error: GateError) -> dict[str, Any]:
    """Return the event of a gate that failed."""
    name = type(error).__name__
    event = {"status": "error", "error": name, "message": str(error), "details": error.details()}
    return as_plain(event)  # type: ignore[no-any-return]  # a dictionary stays one


def error_of(name: str, message: str, details: object) -> GateError | None:
    """
    Return the error of an event, with its fields.

    :param name: the error's class.
    :param message: its whole text.
    :param details: its arguments; an earlier release sent none.
    :return: the error; None for a class that no trigger of this package sends.
    """
    error_class = _ERRORS.get(name)
    if error_class is None:
        return None
    try:
        return error_class(**details) if isinstance(details, Mapping) else error_class(message)
    except TypeError:
        return error_class(message)
