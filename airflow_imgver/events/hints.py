"""
Reads a message of a queue: which version it is about.

A message is a hint. AWS's pages contradict each other about its members, it may arrive late, twice, out of
order or not at all, and it has no reason of a failure. So only the identity, the version and the time are
read; the version is then listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.services import HEALTHIMAGING, SAGEMAKER_IMAGE
from airflow_imgver.services.description import Service
from airflow_imgver.text import one_line
from airflow_imgver.versions import VERSIONS

LARGEST_MESSAGE = 1024 * 1024
"""Bytes of a message; more than SQS carries."""

_LONGEST_REASON = 300
_IMAGE_SET_ARN = re.compile(r"arn:aws[a-z-]*:medical-imaging:[^:]*:[^:]*:datastore/([^/]+)/imageset/([^/]+)")
_IMAGE_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]*:[^:]*:image/([^/]+)")
_IMAGE_VERSION_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]*:[^:]*:image-version/([^/]+)/([0-9]{1,18})")
_SAGEMAKER_TYPES = ("SageMaker Image Version State Change", "SageMaker AI Image Version State Change")


class MessageError(ValueError):
    """A message that cannot be used; its text says why, and quotes no more than a few characters of it."""


class ForeignMessageError(MessageError):
    """A message about something else, or from somebody else."""


class UnreadableMessageError(MessageError):
    """A message from which no version can be read."""


@dataclass(frozen=True, slots=True)
class Hint:
    """
    What a message says.

    :param service: the service.
    :param identity: field to value, checked against AWS's patterns.
    :param version: the version's number; None where the message has none.
    :param status: the status, as AWS's API spells it; None where the message has none.
    :param time: when the event happened, to the second.
    """

    service: Service
    identity: Mapping[str, str]
    version: int | None
    status: str | None
    time: datetime | None


def read_hint(body: str) -> Hint:
    """
    Read a message, in every shape that AWS's pages show.

    :param body: an event of EventBridge as JSON, or a notification of SNS with one inside.
    :raises ForeignMessageError: it is about something else.
    :raises UnreadableMessageError: it is not JSON, or the ids, the name or the version are missing or
        malformed.
    """
    event = _event(body)
    source, kind = event.get("source"), event.get("detail-type")
    detail = event.get("detail")
    if source == "aws.medical-imaging" and isinstance(kind, str) and kind.startswith("Image Set "):
        return _image_set(event, _members(detail))
    if source == "aws.sagemaker" and kind in _SAGEMAKER_TYPES:
        return _image_version(event, _members(detail))
    raise ForeignMessageError(
        f"It is not an event of an image set or image version: source {_shown(source)}, "
        f"detail-type {_shown(kind)}."
    )


def _event(body: str) -> Mapping[str, Any]:
    event = _json(body)
    # SNS puts the event into a text, unless its subscription asks for raw messages.
    if event.get("Type") == "Notification" and isinstance(event.get("Message"), str):
        event = _json(event["Message"])
    return event


def _json(text: str) -> Mapping[str, Any]:
    if len(text) > LARGEST_MESSAGE:
        raise UnreadableMessageError(f"It has {len(text):,} characters.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableMessageError(f"It is not JSON: {type(error).__name__}.") from None
    if not isinstance(value, dict):
        raise UnreadableMessageError("It is JSON, and not an object.")
    return value


def _members(detail: Any) -> dict[str, Any]:
    """Return the members of a detail by their names in lower case: AWS writes imagesetId and imageSetId."""
    if not isinstance(detail, dict):
        raise UnreadableMessageError("Its detail is not an object.")
    return {str(name).lower(): value for name, value in detail.items()}


def _image_set(event: Mapping[str, Any], detail: Mapping[str, Any]) -> Hint:
    arn = _first_match(_IMAGE_SET_ARN, event.get("resources"))
    identity = {
        "datastore_id": detail.get("datastoreid") or (arn[1] if arn else None),
        "image_set_id": detail.get("imagesetid") or (arn[2] if arn else None),
    }
    return _hint(
        HEALTHIMAGING, event, identity, detail.get("imagesetversion"), detail.get("imagesetworkflowstatus")
    )


def _image_version(event: Mapping[str, Any], detail: Mapping[str, Any]) -> Hint:
    version_arn = _first_match(
        _IMAGE_VERSION_ARN, [detail.get("imageversionarn"), *_list(event.get("resources"))]
    )
    image_arn = _first_match(_IMAGE_ARN, [detail.get("imagearn"), *_list(event.get("resources"))])
    named = version_arn or image_arn
    name = detail.get("imagename") or (named[1] if named else None)
    version = detail.get("version")
    if version is None and version_arn:
        version = version_arn[2]
    return _hint(SAGEMAKER_IMAGE, event, {"image_name": name}, version, detail.get("imageversionstatus"))


def _hint(
    service: Service, event: Mapping[str, Any], identity: Mapping[str, Any], version: Any, status: Any
) -> Hint:
    missing = [name for name, value in identity.items() if value is None]
    if missing:
        raise UnreadableMessageError(f"It names no {' and no '.join(missing)}.")
    try:
        checked = service.check(identity)
    except InvalidIdentityError as error:
        raise UnreadableMessageError(str(error)[:_LONGEST_REASON]) from None
    return Hint(service, checked, _version(version), _status(status), _time(event.get("time")))


def _version(value: Any) -> int | None:
    """Read 1, 1.0, "1" and "1.0"; None where there is none."""
    if value is None or value == "":
        return None
    try:
        number = (
            float(value)
            if isinstance(value, float) or (isinstance(value, str) and "." in value)
            else int(value)
        )
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole, number = -1, 0
    if isinstance(value, bool) or whole != number or whole not in VERSIONS:
        raise UnreadableMessageError(f"Its version is {_shown(value)}, which is not a version number.")
    return whole


def _status(value: Any) -> str | None:
    """Spell a status as the API does: CreateFailed as CREATE_FAILED."""
    if not isinstance(value, str) or not value:
        return None
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value[:100]).upper()


def _time(value: Any) -> datetime | None:
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _first_match(pattern: re.Pattern[str], texts: Any) -> re.Match[str] | None:
    matches = (pattern.fullmatch(text) for text in _list(texts) if isinstance(text, str))
    return next((match for match in matches if match), None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> str:
    return repr(
        one_line(value[:60])
        if isinstance(value, str)
        else type(value).__name__
        if value is not None
        else None
    )
