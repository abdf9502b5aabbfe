"""One event: plain JSON of at most 8 KB, with a key that is equal for the same fact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_imgver.services.description import Service
from airflow_imgver.text import as_plain
from airflow_imgver.versions import VersionStatus

LARGEST_EVENT = 8 * 1024
"""Bytes of an event as JSON; Airflow keeps each in its database, and hands it to tasks of the Dag run."""

LONGEST_REASON = 2_048
_LONGEST_TEXT = 256
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Fact:
    """
    A version of an image set or image, and the status that AWS says it has.

    :param service: the service.
    :param identity: field to value, for example ``{"image_name": "analysis"}``.
    :param status: the status of the version.
    """

    service: Service
    identity: Mapping[str, str]
    status: VersionStatus

    @property
    def key(self) -> str:
        """The same for the same fact: service, identity, version and status."""
        parts = (self.service.client_type, *(self.identity[name] for name in self.service.identity_names))
        return "/".join((*parts, str(self.status.number), as_plain(self.status.status)[:64]))

    @property
    def changed_at(self) -> datetime:
        """When the version last changed; the beginning of time where AWS does not say it."""
        return self.status.changed_at or datetime.min.replace(tzinfo=UTC)

    @property
    def order(self) -> tuple[datetime, int]:
        """Sorts facts, the oldest first."""
        return self.changed_at, self.status.number

    def __str__(self) -> str:
        return f"{self.status}: {self.service.describe(dict(self.identity))}"


def event_of(fact: Fact, observed_at: datetime) -> dict[str, Any]:
    """
    Write the event of a fact.

    :param fact: the version and its status.
    :param observed_at: when AWS was asked.
    :return: ``key``, ``service`` (boto3's name), the fields of the identity, ``version``, ``phase``,
        ``status``, ``reason``, ``entry`` (AWS's names, as in an XCom), ``changed_at`` and ``observed_at``
        (ISO 8601, UTC). At most 8 KB as JSON: where it would be more, long texts are cut and then members of
        ``entry`` left out, and ``cut`` names what was.
    """
    found = fact.status
    reason = found.reason.strip() if found.reason else None
    event = as_plain(
        {
            "key": fact.key,
            "service": fact.service.client_type,
            **fact.identity,
            "version": found.number,
            "phase": found.phase.value,
            "status": found.status,
            "reason": reason or None,
            "entry": dict(found.entry),
            "changed_at": found.changed_at,
            "observed_at": observed_at,
        }
    )
    return event if _size(event) <= LARGEST_EVENT else _cut(event)


def _size(value: Any) -> int:
    return len(json.dumps(value))


def _cut(event: dict[str, Any]) -> dict[str, Any]:
    """Cut the entry's long texts, then the reason, then leave out the entry's largest members."""
    cut: list[str] = []
    event = {**event, "entry": dict(event["entry"]), "cut": cut}
    entry = event["entry"]
    for name in _largest_first(entry):
        if (
            _size(event) > LARGEST_EVENT
            and isinstance(entry[name], str)
            and _size(entry[name]) > _LONGEST_TEXT
        ):
            entry[name] = _shortened(entry[name], _LONGEST_TEXT)
            cut.append(_named(f"entry.{name}"))
    for name in ("reason", "status"):
        if _size(event) > LARGEST_EVENT and event[name] and _size(event[name]) > LONGEST_REASON:
            event[name] = _shortened(event[name], LONGEST_REASON)
            cut.append(name)
    for name in _largest_first(entry):
        if _size(event) > LARGEST_EVENT:
            del entry[name]
            if (named := _named(f"entry.{name}")) not in cut:
                cut.append(named)
    if _size(event) > LARGEST_EVENT:
        event["cut"] = ["entry", "reason", "status"]
    return event


def _largest_first(entry: Mapping[str, Any]) -> list[str]:
    return sorted(entry, key=lambda name: -_size({name: entry[name]}))


def _named(member: str) -> str:
    return member if len(member) <= 64 else member[:63] + _ELLIPSIS


def _shortened(text: str, size: int) -> str:
    """Shorten a text to so many bytes as JSON, in which a character may take twelve."""
    kept = text[:size]
    while _size(kept) > size - 8:
        kept = kept[: len(kept) * 3 // 4]
    return kept + _ELLIPSIS


def now() -> datetime:
    """Return the time, for ``observed_at``."""
    return datetime.now(UTC)
