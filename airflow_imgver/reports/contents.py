"""Counts, findings and samples of a report, in the same memory for any number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import islice
from typing import NamedTuple

from airflow_imgver.reports.findings import Failures, Findings, KeysOfKind, by_age
from airflow_imgver.reports.rows import Attention, Row, Scope
from airflow_imgver.services.description import Service

# How much the page shows; it counts the rest, which is in the table files.
ROWS_SHOWN = 1_000
FINDINGS_SHOWN = 100
HISTORIES_SHOWN = 30
VERSIONS_OF_A_HISTORY = 50

KINDS = ("failed", "stuck", "unreadable")
"""What needs attention; superseded versions do not."""


class Unreadable(NamedTuple):
    """An image set or image whose versions could not be listed."""

    name: str
    reason: str


@dataclass
class Contents:
    """
    Counts, findings and samples of a report.

    ``by_status`` counts versions by AWS's status and by phase, because a status alone does not tell the phase
    (an UPDATED that is LOCKED is busy); ``by_day`` counts them by phase and by the day of their last change,
    in UTC. ``histories`` are the versions of the first image sets or images that need attention, by name:
    those with a version that needs attention before the others. ``keys`` are the findings that need
    attention, for the comparison with another report.
    """

    service: Service
    scope: Scope
    read: int = 0
    rows: int = 0
    by_status: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_phase: Counter[str] = field(default_factory=Counter)
    by_day: dict[date, Counter[str]] = field(default_factory=dict)
    failed: Failures = field(default_factory=lambda: Failures(FINDINGS_SHOWN))
    stuck: Findings = field(default_factory=lambda: Findings(FINDINGS_SHOWN, by_age))
    superseded: Findings = field(default_factory=lambda: Findings(FINDINGS_SHOWN))
    keys: dict[str, KeysOfKind] = field(default_factory=lambda: {kind: KeysOfKind() for kind in KINDS})
    unreadable_count: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    shown: list[Row] = field(default_factory=list)
    _urgent: dict[str, list[Row]] = field(default_factory=dict)
    _others: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def findings(self) -> dict[Attention, Findings]:
        """The findings of each kind."""
        return {
            Attention.FAILED: self.failed,
            Attention.STUCK: self.stuck,
            Attention.SUPERSEDED: self.superseded,
        }

    @property
    def needs_attention(self) -> dict[str, int]:
        """How many of each kind need attention: versions, and image sets or images that could not be read."""
        return {
            "failed": self.failed.open,
            "stuck": self.stuck.count,
            "unreadable": self.unreadable_count,
        }

    @property
    def histories(self) -> dict[str, list[Row]]:
        """The versions to draw a timeline of, by the name of their image set or image."""
        return dict(islice((self._urgent | self._others).items(), HISTORIES_SHOWN))

    def add(self, rows: Sequence[Row]) -> None:
        """Take in all rows of one image set or image."""
        self.read += 1
        self.rows += len(rows)
        for row in rows:
            self._count(row)
        for attention, findings in self.findings.items():
            findings.add([row for row in rows if row.attention is attention])
        for row in rows:
            if row.is_open and row.attention is not None:
                self.keys[row.attention.value].add((row.name, row.status.number))
        self.shown.extend(rows[: ROWS_SHOWN - len(self.shown)])
        if any(row.attention for row in rows):
            urgent = any(row.is_open for row in rows)
            kept = self._urgent if urgent else self._others
            if len(kept) < HISTORIES_SHOWN:
                kept[rows[0].name] = list(rows[:VERSIONS_OF_A_HISTORY])

    def add_unreadable(self, name: str, reason: str) -> None:
        """Take in one whose versions could not be listed."""
        self.unreadable_count += 1
        self.keys["unreadable"].add((name, None))
        if len(self.unreadable) < FINDINGS_SHOWN:
            self.unreadable.append(Unreadable(name, reason))

    def _count(self, row: Row) -> None:
        status = row.status
        self.by_status[status.status, status.phase] += 1
        self.by_phase[status.phase] += 1
        if status.changed_at is not None:
            day = status.changed_at.astimezone(UTC).date()
            self.by_day.setdefault(day, Counter())[status.phase] += 1
