"""Readers of ids and versions, one or many, and of ``wait_until``."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.versions import VERSION_DIGITS, VERSIONS, WaitUntil


class WantedVersion(NamedTuple):
    """
    A ``version`` argument.

    :param number: the number; None for the latest.
    :param arn: the ARN, where the author gave one.
    :param region: the region in it.
    """

    number: int | None
    arn: str | None = None
    region: str | None = None


def wanted_version(value: object, service: Waitable, key: str) -> WantedVersion:
    """
    Read a ``version`` argument: a number, digits, or the ARN of a version of the same image.

    :param value: None means the latest. A template that rendered to nothing does not: it would turn a gate on
        one version into a gate on whichever version is the newest.
    :param service: the service.
    :param key: the id or name whose version it is.
    :raises InvalidIdentityError: anything else, or the ARN of something else.
    """
    if value is None:
        return WantedVersion(None)
    if isinstance(value, int) and not isinstance(value, bool) and value <= VERSIONS[-1]:
        return WantedVersion(_at_least_first(value, service))
    if isinstance(value, str) and re.fullmatch(VERSION_DIGITS, value):
        return WantedVersion(_at_least_first(int(value), service))
    if service.arn and isinstance(value, str) and (found := re.fullmatch(service.arn.pattern, value)):
        # SageMaker writes names in lower case in its ARNs.
        if found["name"].lower() != key.lower():
            raise InvalidIdentityError(
                f"version is the ARN of a version of {service.thing} {found['name']}, and the gate is on "
                f"{service.thing} {key}. Give a version of the same {service.thing}."
            )
        return WantedVersion(int(found["version"]), value, found["region"])
    arn = f", or its {service.arn.member}" if service.arn else ""
    raise InvalidIdentityError(
        f"version must be a version number such as 4 or '4'{arn}, not {value!r}. "
        f"Leave it out to gate on the latest version of the {service.thing}."
    )


def _at_least_first(number: int, service: Waitable) -> int:
    if number < service.first_version:
        raise InvalidIdentityError(
            f"version must be {service.first_version} or more, not {number}: {service.name} numbers the "
            f"versions of an {service.thing} from {service.first_version}."
        )
    return number


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
    if isinstance(value, Mapping) or (isinstance(value, int | float) and not isinstance(value, bool)):
        # One image set of an import; and a native template makes a number of an id of digits.
        return None
    if value is None or isinstance(value, str):
        raise InvalidIdentityError(f"{field} is None: the XCom or template that it comes from was empty.")
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise InvalidIdentityError(f"{field} must be an id or a list of ids, not {value!r}.")
    return list(value)


def from_import(one: Any, version: Any, identity: Mapping[str, Any], service: Waitable) -> tuple[Any, Any]:
    """
    Take the id and the version out of an image set as the gate on its import returns it.

    :param one: the image set; anything else is an id already.
    :param version: the version that the author gave, which comes first; None takes that of the import.
    :param identity: the other fields of the gate's identity.
    :param service: the service.
    :raises InvalidIdentityError: it is of another data store, or has no id.
    """
    if not isinstance(one, Mapping):
        return one, version
    *outer, key = service.identity
    for field in outer:
        if one.get(field.member, identity[field.name]) != identity[field.name]:
            raise InvalidIdentityError(
                f"{key.name} is of {field.thing} {one[field.member]!r}, and the gate is on {field.thing} "
                f"{identity[field.name]!r}. Give the {field.name} of the import."
            )
    if key.member not in one or service.made_version is None:
        raise InvalidIdentityError(
            f"{key.name} must be an id or a list of ids, or what the gate on an import returned, not an "
            f"object with {', '.join(map(repr, one)) or 'nothing'}."
        )
    return one[key.member], one.get(service.made_version) if version is None else version


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
