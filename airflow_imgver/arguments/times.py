"""Readers of times and durations."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pendulum


def time_value(value: datetime | str | None, name: str) -> datetime | None:
    """
    Read a time; boto3 would take a text without an offset for the machine's own time zone.

    :param value: a datetime or an ISO 8601 text, in UTC unless it has an offset; None and "" mean no time.
    :param name: the argument's name, for the error.
    :raises ValueError: it is neither.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = pendulum.parse(value, tz="UTC")  # type: ignore[assignment]  # checked below
        except ValueError as error:
            raise ValueError(f"{name} must be a datetime or an ISO 8601 text, not {value!r}.") from error
    if not isinstance(value, datetime):
        raise ValueError(f"{name} must be a datetime or an ISO 8601 text, not {value!r}.")  # noqa: TRY004
    return value if value.tzinfo else value.replace(tzinfo=pendulum.UTC)


def duration_value(value: timedelta | float | str, name: str) -> timedelta:
    """
    Read a duration.

    :param value: a timedelta, seconds, an ISO 8601 text, for example ``PT1H``, or the text that a template
        makes of a timedelta, for example ``1 day, 2:00:00``, or of pendulum's duration: ``1 day 2 hours``.
    :param name: the argument's name, for the error.
    :raises ValueError: it is none of these, or below 0.
    """
    found: object = value
    try:
        if isinstance(value, str):
            found = _duration_of(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = timedelta(seconds=value)
    except (ValueError, OverflowError):
        found = None  # refused below, by name
    if not isinstance(found, timedelta) or found < timedelta(0):
        raise ValueError(
            f"{name} must be a timedelta, a number of seconds or an ISO 8601 duration, not {value!r}."
        )
    return found


_TIMEDELTA = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_UNITS = r"(\d+(?:\.\d+)?) (week|day|hour|minute|second)s?"


def _duration_of(text: str) -> object:
    if found := _TIMEDELTA.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if re.fullmatch(rf"{_UNITS}(?: {_UNITS})*", text):
        return timedelta(**{f"{unit}s": float(count) for count, unit in re.findall(_UNITS, text)})
    return timedelta(seconds=float(text)) if text[:1].isdigit() else pendulum.parse(text)
