"""Reads how events are delivered, for tests of a program that receives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from airflow_imgver.emulator.event_forms import FORMS

LONGEST_DELAY = 3600
MIXED = "mixed"


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """
    How events are delivered; by default each once, in order and at once.

    EventBridge delivers the events of both services with "best effort", and SageMaker AI "may send multiple
    events for each state change".

    :param lost: The share of the events that never arrive, from 0 to 1.
    :param doubled: The share that arrives twice, with one id.
    :param delayed: The share that arrives late.
    :param delay_seconds: How late they arrive.
    :param out_of_order: The share that arrives after the event that follows.
    :param form: ``guide``, ``schema`` or ``mixed``: whose spelling an event has, of AWS's contradicting
        pages.
    :param seed: The seed of the choice; the same seed chooses the same events.
    """

    lost: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    delay_seconds: float = 5.0
    out_of_order: float = 0.0
    form: str = "guide"
    seed: int = 0

    def as_document(self) -> dict[str, Any]:
        """Give the options by their names."""
        return asdict(self)


SHARES = ("lost", "doubled", "delayed", "out_of_order")
NAMES = tuple(field.name for field in fields(EventOptions))


def event_options(given: Mapping[str, Any] | None) -> EventOptions:
    """
    Read options; an option that is not given has its default.

    :param given: The options by their names.
    :raises ValueError: an option is unknown, or its value is out of range; the message gives the reason.
    """
    options = dict(given or {})
    for name in options:
        _expect(name in NAMES, f"{name!r} is unknown; the options of events are {', '.join(NAMES)}")
    for name in SHARES:
        value = options.get(name, 0)
        _expect(_is_number(value) and 0 <= value <= 1, f"{name} is {value!r}; it must be a share from 0 to 1")
    seconds = options.get("delay_seconds", 1)
    _expect(
        _is_number(seconds) and 0 < seconds <= LONGEST_DELAY,
        f"delay_seconds is {seconds!r}; it must be more than 0, and {LONGEST_DELAY} at most",
    )
    forms = (*FORMS, MIXED)
    form = options.get("form", FORMS[0])
    _expect(form in forms, f"form is {form!r}; it must be one of {', '.join(forms)}")
    seed = options.get("seed", 0)
    _expect(isinstance(seed, int) and not isinstance(seed, bool), f"seed is {seed!r}; it must be an integer")
    return EventOptions(**options)


def event_options_from_words(words: list[str]) -> dict[str, Any]:
    """
    Read the options of a command line.

    :param words: Such as ``lost=0.1`` and ``form=schema``.
    :raises ValueError: a word is not an option, or its value is out of range.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        given[name] = value if name == "form" else _parsed(value)
    return event_options(given).as_document()


def _parsed(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)
