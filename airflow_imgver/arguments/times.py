"""Readers of times and durations."""

from __future__ import annotations

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

    :param value: a timedelta, seconds, or an ISO 8601 text, for example ``PT1H``.
    :param name: the argument's name, for the error.
    :raises ValueError: it is none of these, or below 0.
    """
    found: object = value
    try:
        if isinstance(value, str):
            found = timedelta(seconds=float(value)) if value[:1].isdigit() else pendulum.parse(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = timedelta(seconds=value)
    except (ValueError, OverflowError):
        found = None
    if not isinstance(found, timedelta) or found < timedelta(0):
        raise ValueError(
            f"{name} must be a timedelta, a number of seconds or an ISO 8601 duration, not {value!r}."
        )
    return found
