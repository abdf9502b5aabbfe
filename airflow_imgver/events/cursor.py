"""Where a watcher without a queue goes on after a restart: small, plain JSON, and readable for years."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

OVERLAP = timedelta(minutes=5)
"""
How much of the time before its cursor each scan covers again: AWS does not say how late its index is.

So it is also how far back a watcher begins that has no cursor, or one that cannot be read.
"""

REMEMBERED = 1_000
"""How many of the last reported facts a watcher remembers, to recognise them when they come again."""

MOST_BUSY = 500
"""How many busy image sets a cursor names; more of them hold its time back."""

_FORMAT = 1
_LONGEST_NAME = 256


class Remembered:
    """
    The keys of the facts that were reported last, as digests of eight bytes, the oldest first.

    :param digests: those that were stored.
    """

    __slots__ = ("_digests",)

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._digests: dict[str, None] = dict.fromkeys(digests)
        self._forget()

    def add(self, key: str) -> bool:
        """Remember a fact; returns whether that is news."""
        digest = _digest(key)
        news = self._digests.pop(digest, self) is self
        self._digests[digest] = None
        self._forget()
        return news

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and _digest(key) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def stored(self) -> list[str]:
        """Return what to store."""
        return list(self._digests)

    @classmethod
    def read(cls, stored: Any) -> Remembered:
        """
        Read what was stored.

        :raises ValueError: it is not a list of digests.
        """
        if not isinstance(stored, list) or not all(isinstance(each, str) for each in stored):
            raise ValueError("what is remembered is not a list of texts")
        return cls(each[:16] for each in stored)

    def _forget(self) -> None:
        while len(self._digests) > REMEMBERED:
            del self._digests[next(iter(self._digests))]


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "replace"), digest_size=8).hexdigest()


@dataclass(slots=True)
class Cursor:
    """
    How far a watcher without a queue has come.

    :param since: everything that changed before has been reported.
    :param busy: what was busy at the last scan, by its id or name, and the time since when it is scanned.
    :param remembered: the facts that were reported last.
    """

    since: datetime
    busy: dict[str, datetime] = field(default_factory=dict)
    remembered: Remembered = field(default_factory=Remembered)

    @classmethod
    def start(cls, now: datetime | None = None) -> Cursor:
        """Return the cursor of a watcher that has none: now, before which a scan covers five minutes."""
        return cls(now or datetime.now(UTC))

    @classmethod
    def read(cls, stored: Any) -> Cursor:
        """
        Read a cursor as it was stored.

        :param stored: what :meth:`stored` returned, after Airflow kept it as JSON.
        :raises ValueError: it is not a cursor, or one of a later release; says what is wrong.
        """
        fits = isinstance(stored, Mapping) and stored.get("format") == _FORMAT
        if not (fits and isinstance(stored.get("busy"), Mapping)):
            raise ValueError(f"it is not a cursor of format {_FORMAT}")
        return cls(
            since=_time(stored.get("since")),
            busy={str(name)[:_LONGEST_NAME]: _time(when) for name, when in stored["busy"].items()},
            remembered=Remembered.read(stored.get("remembered")),
        )

    def stored(self) -> dict[str, Any]:
        """Return the cursor as plain JSON, 40 to 60 KB at the most."""
        return {
            "format": _FORMAT,
            "since": self.since.isoformat(),
            "busy": {name: when.isoformat() for name, when in self.busy.items()},
            "remembered": self.remembered.stored(),
        }

    def move(self, mark: Mark) -> None:
        """Move to the end of a scan, all events of which are stored."""
        self.since, self.busy = mark.since, dict(mark.busy)


@dataclass(frozen=True, slots=True)
class Mark:
    """
    The end of a scan.

    :param since: everything that changed before has been reported.
    :param busy: what is to be scanned again, and since when.
    """

    since: datetime
    busy: Mapping[str, datetime]

    @classmethod
    def of(cls, since: datetime, busy: Mapping[str, datetime]) -> Mark:
        """Make the mark of a scan; more busy ones than a cursor names hold its time back."""
        kept = sorted(busy.items(), key=lambda each: each[1])
        named, rest = kept[:MOST_BUSY], kept[MOST_BUSY:]
        return cls(min([since, *(when for _, when in rest)]), dict(named))


def _time(value: Any) -> datetime:
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{str(value)[:40]!r} is not a time") from None
    if when.tzinfo is None:
        raise ValueError(f"{value!r} is a time without a zone")
    return when.astimezone(UTC)
