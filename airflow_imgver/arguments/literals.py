"""Readers of booleans, numbers and TLS settings, which a template may have rendered to text."""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import Mapping
from typing import Any

_TRUTH = {"true": True, "false": False}
_NOTHING = ("", "None")
"""The texts that a template makes of nothing and of None."""


def bool_value(value: Any, name: str) -> bool:
    """
    Read a boolean.

    :param value: a boolean, or its text in any case; as any text, "False" itself would count as true.
    :param name: the argument's name, for the error.
    :raises ValueError: it is neither.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (truth := _TRUTH.get(value.strip().lower())) is not None:
        return truth
    raise ValueError(f"{name} must be True or False, not {value!r}.")


def whole_number(value: Any, name: str) -> int | None:
    """
    Read a whole number; None, "" and "None" mean no number.

    :param value: a number or its text.
    :param name: the argument's name, for the error.
    :raises ValueError: it is not a whole number.
    """
    if value is None or value in _NOTHING:
        return None
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {value!r}.") from None


def verify_value(value: Any) -> bool | str | None:
    """
    Read ``verify``: a boolean or its text, or the path of a CA bundle; None, "" and "None" mean the default.

    :raises ValueError: it is neither a boolean nor a path.
    """
    if value is None or value in _NOTHING:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _TRUTH.get(value.strip().lower(), value)
    raise ValueError(f"verify must be True, False or the path of a CA bundle, not {value!r}.")


def json_value(value: Any, name: str) -> dict[str, Any] | None:
    """
    Read a dictionary, its JSON, or the text that a template makes of one; None, "" and "None" mean none.

    :param value: the argument.
    :param name: the argument's name, for the error, which does not quote the value.
    :raises ValueError: it is not a dictionary.
    """
    if value is None or value in _NOTHING:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            try:
                value = literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                raise ValueError(f"{name} is a text that is not JSON. Give a dictionary, or JSON.") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a dictionary, not a {type(value).__name__}.")  # noqa: TRY004
    return dict(value)
