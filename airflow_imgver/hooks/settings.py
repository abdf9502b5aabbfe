"""Reading the ``[imgver]`` options of Airflow's configuration."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

from airflow_imgver.defaults import DEFAULTS, SECTION


def positive(option: str) -> float:
    """
    Read an option that must be a number above 0.

    :raises ValueError: it is not; names the option and the value.
    """
    value = conf.get(SECTION, option, fallback=str(DEFAULTS[option]))
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"[{SECTION}] {option} must be a number above 0, not {value!r}")
    return number


def whole(option: str) -> int:
    """
    Read an option that must be a whole number of 1 or more.

    :raises ValueError: it is not; names the option and the value.
    """
    number = positive(option)
    if number != int(number):
        raise ValueError(f"[{SECTION}] {option} must be a whole number of 1 or more, not {number:g}")
    return int(number)
