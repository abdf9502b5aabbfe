"""What the author of a Dag gives: an id or many, a version, what to wait for; literal or from a template."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.versions import VERSION_DIGITS, WaitUntil

_VERSION = rf"(?:arn:\S+:image-version/\S+/)?({VERSION_DIGITS})"


def version_number(value: object) -> int | None:
    """
    Read a ``version`` argument, which may be a number, digits, or a SageMaker ``ImageVersionArn``.

    :param value: None stands for the latest. A template that rendered to nothing does not: it would make a
        gate on one version a gate on whatever is newest.
    :raises InvalidIdentityError: anything else.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := re.fullmatch(_VERSION, value)):
        return int(found[1])
    raise InvalidIdentityError(
        f"version must be a version number such as 4 or '4', or a SageMaker ImageVersionArn, not {value!r}; "
        "leave it out to gate on the latest version"
    )


def names_a_list(value: Any, field: str) -> bool:
    """Tell whether a field's value is a list of ids, or the text of one, rather than one id."""
    return listed(value, field) is not None


def listed(value: Any, field: str) -> list[Any] | None:
    """
    Read an argument that may be a list, literal, from XCom, or as the text that a template makes of one.

    :param value: what was given.
    :param field: what it is called, for the error.
    :return: the items; None where one text was given.
    :raises InvalidIdentityError: it is neither.
    """
    # "None" could name a SageMaker image, and is far more often what a template makes of nothing.
    if isinstance(value, str) and value != "None":
        if not value.lstrip().startswith("["):
            return None
        try:
            value = literal_eval(value)
        except (ValueError, SyntaxError):
            raise InvalidIdentityError(
                f"{field} looks like a list and cannot be read as one: {value[:80]!r}"
            ) from None
    if value is None or isinstance(value, str):
        raise InvalidIdentityError(f"{field} is None; the XCom or template that it comes from was empty")
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise InvalidIdentityError(f"{field} must be an id or a list of ids, not {value!r}")
    return list(value)


def listed_versions(version: Any) -> list[Any] | None:
    """Return the versions where a list was given; None where one was, or none."""
    if isinstance(version, str):
        return listed(version, "version") if version.lstrip().startswith("[") else None
    if isinstance(version, bytes | Mapping) or not isinstance(version, Iterable):
        return None
    return list(version)


def wait_until_value(value: object) -> WaitUntil:
    """
    Read a ``wait_until`` argument.

    :raises ValueError: it is none of ``ready``, ``settled`` and ``deleted``.
    """
    for known in get_args(WaitUntil):
        if value == known:
            return known  # type: ignore[no-any-return]  # get_args answers Any
    raise ValueError(f"wait_until must be one of {', '.join(get_args(WaitUntil))}, not {value!r}")
