"""
The ``[imgver]`` options of Airflow's configuration: names, defaults, descriptions, and how they are read.

The options of a service, its request budgets, are in its description. Airflow is imported only to read one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SECTION = "imgver"


@dataclass(frozen=True, slots=True)
class Option:
    """
    An option: a number above 0; a whole one where its default is whole.

    :param name: its name in the section ``[imgver]``.
    :param default: its value where nothing is configured.
    :param description: what it does, for ``airflow config`` and the reference.
    """

    name: str
    default: float
    description: str

    def __str__(self) -> str:
        return f"[{SECTION}] {self.name}"

    def number(self) -> float:
        """
        Read the option.

        :raises ValueError: it is not a number above 0; names the option and the value.
        """
        from airflow.providers.common.compat.sdk import conf

        value = conf.get(SECTION, self.name, fallback=str(self.default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise ValueError(f"{self} must be a number above 0, not {value!r}.")
        return number

    def whole(self) -> int:
        """
        Read the option as a whole number.

        :raises ValueError: it is not a whole number of 1 or more; names the option and the value.
        """
        number = self.number()
        if number != int(number):
            raise ValueError(f"{self} must be a whole number of 1 or more, not {number:g}.")
        return int(number)


@dataclass(frozen=True, slots=True)
class Switch:
    """
    An option that is True or False.

    :param name: its name in the section ``[imgver]``.
    :param default: its value where nothing is configured.
    :param description: what it does, for ``airflow config`` and the reference.
    """

    name: str
    default: bool
    description: str

    def __str__(self) -> str:
        return f"[{SECTION}] {self.name}"

    def is_on(self) -> bool:
        """
        Read the option.

        :raises ValueError: it is neither true nor false; names the option and the value.
        """
        from airflow.providers.common.compat.sdk import conf

        value = str(conf.get(SECTION, self.name, fallback=str(self.default))).strip().lower()
        if value not in _TRUE | _FALSE:
            raise ValueError(f"{self} must be True or False, not {value!r}.")
        return value in _TRUE


# As Airflow's own options are read.
_TRUE, _FALSE = frozenset({"t", "true", "1"}), frozenset({"f", "false", "0"})

THREADS = Option(
    "threads",
    8,
    "How many threads call AWS for all waits on one connection, region and service of a process, and for "
    "one report.",
)
CONNECT_TIMEOUT = Option("connect_timeout", 5.0, "Seconds to wait for a connection to AWS.")
READ_TIMEOUT = Option("read_timeout", 20.0, "Seconds to wait for AWS to answer.")
CHANGE_SEARCH = Switch(
    "change_search",
    True,
    "Whether a process with many waits on one HealthImaging data store searches for what has changed "
    "(SearchImageSets, every few seconds), and polls those image sets first and the others less often.",
)
UNCHANGED_POLL_INTERVAL = Option(
    "unchanged_poll_interval",
    2400.0,
    "Seconds between two polls of an image set that is not busy, while searches show what changes. A change "
    "that no search shows is seen so late at most, where the budget allows.",
)
COMMON = (THREADS, CONNECT_TIMEOUT, READ_TIMEOUT, CHANGE_SEARCH, UNCHANGED_POLL_INTERVAL)


_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "float"}


def provider_config(options: Iterable[Option | Switch]) -> dict[str, Any]:
    """Return the options as ``config`` in the provider's metadata describes them."""
    return {
        SECTION: {
            "description": "Settings of the gates, lists and reports on AWS image versions.",
            "options": {
                option.name: {
                    "description": option.description,
                    "version_added": "0.1.0",
                    "type": _TYPES[type(option.default)],
                    "example": None,
                    "default": str(option.default),
                }
                for option in options
            },
        }
    }
