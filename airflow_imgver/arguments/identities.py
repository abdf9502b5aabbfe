"""Readers of ids and versions, one or many, and of ``wait_until``."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.versions import VERSION_DIGITS, WaitUntil

_VERSION = rf"(?:arn:\S+:image-version/\S+/)?({VERSION_DIGITS})"


def version_number(value: object) -> int | None:
    """
    Read a ``version`` argument: a number, digits, or a SageMaker ``ImageVersionArn``.

    :param value: None means the latest. A template that rendered to nothing does not: it would turn a gate on
        one version into a gate on whichever version is the newest.
    :raises InvalidIdentityError: anything else.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := re.fullmatch(_VERSION, value)):
        return int(found[1])
    raise InvalidIdentityError(
        f"version must be a version number such as 4 or '4', or a SageMaker ImageVersionArn, not {value!r}. "
        "Leave it out to gate on the latest version."
    )


def is_list(value: Any, field: str) -> bool:
    """Return whether a field's value is a list of ids, or the text of one, rather than one id."""
    return as_list(value, field) is not None


def as_list(value: Any, field: str) -> list[Any] | None:
    """
    Read an argument that may be a list: literal, from XCom, or the text that a template makes of one.

    :param value: the argument.
    :param field: its name, for the error.
    :return: the items; None where the argument is one text.
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
                f"{field} begins like a list and cannot be read as one: {value[:80]!r}."
            ) from None
    if value is None or isinstance(value, str):
        raise InvalidIdentityError(f"{field} is None: the XCom or template that it comes from was empty.")
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise InvalidIdentityError(f"{field} must be an id or a list of ids, not {value!r}.")
    return list(value)


def version_list(version: Any) -> list[Any] | None:
    """Return the versions where the argument is a list; None where it is one version, or None."""
    if isinstance(version, str):
        return as_list(version, "version") if version.lstrip().startswith("[") else None
    if isinstance(version, bytes | Mapping) or not isinstance(version, Iterable):
        return None
    return list(version)


def checked_names(value: Any, field: str, check: Callable[[str], object]) -> list[str]:
    """
    Read a list of ids or names, literal, from XCom, or the text that a template makes of one; each once.

    :param value: the list, or one id or name.
    :param field: its name, for the error.
    :param check: raises where an id or name breaks AWS's pattern.
    :raises InvalidIdentityError: it is not a list, or one breaks the pattern; names its position.
    """
    names = as_list(value, field)
    if names is None:
        names = [value]
    for position, name in enumerate(names):
        try:
            check(name)
        except InvalidIdentityError as error:
            raise InvalidIdentityError(f"At position {position} of {field}: {error}") from None
    return list(dict.fromkeys(names))


def wait_until_value(value: object) -> WaitUntil:
    """
    Read a ``wait_until`` argument.

    :raises ValueError: it is not ``ready``, ``settled`` or ``deleted``.
    """
    for known in get_args(WaitUntil):
        if value == known:
            return known  # type: ignore[no-any-return]  # get_args answers Any
    raise ValueError(f"wait_until must be one of {', '.join(get_args(WaitUntil))}, not {value!r}.")
