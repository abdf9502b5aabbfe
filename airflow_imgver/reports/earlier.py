"""
The reports before this one, in a JSON file beside the page: what needed attention, by id, and counts.

The file has no messages and no patient data. A report without one, or with one that cannot be read, is
complete but for the comparison.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from airflow_imgver.reports.contents import KINDS, Contents
from airflow_imgver.reports.findings import Key
from airflow_imgver.reports.rows import Scope
from airflow_imgver.services.description import Service
from airflow_imgver.text import as_plain

FORMAT = 1
REPORTS_KEPT = 30
# The last, and the one before it: with which a retry of the last compares.
WITH_FINDINGS = 2
LARGEST_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """
    What is kept of a report.

    :param after: the beginning of its interval.
    :param before: the end of its interval.
    :param run: the id of the Dag run.
    :param made_at: when it was made.
    :param counts: how many of each kind needed attention.
    :param findings: the keys of each kind; a kind that had too many is missing, and all of an old report.
    """

    after: datetime | None
    before: datetime | None
    run: str | None
    made_at: datetime
    counts: Mapping[str, int]
    findings: Mapping[str, frozenset[Key]]

    @property
    def end(self) -> datetime:
        """The time up to which it reports."""
        return self.before or self.made_at

    def is_repeated_by(self, other: EarlierReport) -> bool:
        """Whether another report is the same again: of the same interval, or of one run without an end."""
        if (self.after, self.before) != (other.after, other.before):
            return False
        return self.before is not None or (self.run is not None and self.run == other.run)


class Change(NamedTuple):
    """The findings of one kind, compared with an earlier report's."""

    new: frozenset[Key]
    still: frozenset[Key]
    gone: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Since:
    """
    A report beside the one before it.

    :param last: the one before it.
    :param changes: by kind; one with too many findings to compare is missing.
    :param trend: the latest reports, oldest first, this one last.
    """

    last: EarlierReport
    changes: Mapping[str, Change]
    trend: list[EarlierReport]

    def is_new(self, kind: str, name: str, number: int | None = None) -> bool:
        """Whether a finding was not in the report before."""
        return kind in self.changes and (name, number) in self.changes[kind].new


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    The earlier reports on one scope, oldest first.

    :param subject: the scope: service, region, and data store or choice of images.
    """

    subject: str
    reports: tuple[EarlierReport, ...] = ()

    @classmethod
    def read(cls, text: str, subject: str) -> Earlier:
        """
        Read the file.

        :raises ValueError: it is not of this format, or on another scope; says which.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        if not isinstance(value, dict) or not isinstance(value.get("format"), int):
            raise ValueError("it is not the summary of a report")  # noqa: TRY004
        if value["format"] != FORMAT:
            raise ValueError(f"its format is {value['format']}, and this version reads {FORMAT}")
        if value.get("subject") != subject:
            raise ValueError(f"it is about {value.get('subject')!r}, and this report is about {subject!r}")
        try:
            reports = [_report(each) for each in value["reports"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"an earlier report in it is incomplete ({type(error).__name__})") from None
        return cls(subject, tuple(sorted(reports, key=lambda report: report.end)[-REPORTS_KEPT:]))

    def last_before(self, scope: Scope, run: str | None) -> EarlierReport | None:
        """Return the report before one of this scope; never the same report again, nor a later one."""
        this = _this(scope, run, {}, {})
        before = [each for each in self.reports if each.end <= this.end and not each.is_repeated_by(this)]
        return before[-1] if before else None

    def since(self, contents: Contents, run: str | None) -> Since | None:
        """Compare a report with the one before it; None without one."""
        last = self.last_before(contents.scope, run)
        if last is None:
            return None
        this = _of(contents, run)
        changes = {
            kind: Change(now - last.findings[kind], now & last.findings[kind], last.findings[kind] - now)
            for kind, now in this.findings.items()
            if kind in last.findings
        }
        before = [each for each in self.reports if each.end <= last.end]
        return Since(last, changes, [*before, this][-REPORTS_KEPT:])

    def including(self, contents: Contents, run: str | None) -> str:
        """Return the file with this report in it, in place of an earlier try."""
        this = _of(contents, run)
        others = [each for each in self.reports if not each.is_repeated_by(this)]
        kept = sorted([*others, this], key=lambda report: report.end)[-REPORTS_KEPT:]
        bare = [replace(each, findings={}) for each in kept[:-WITH_FINDINGS]]
        return _text(self.subject, [*bare, *kept[-WITH_FINDINGS:]])


def subject_of(service: Service, scope: Scope) -> str:
    """Return what all reports of one file have in common."""
    return f"{service.name}, {scope.region}, {scope.where}"


def names_in(report: EarlierReport | None, service: Service) -> frozenset[str]:
    """Return the image sets or images that needed attention, and whose ids or names are valid."""
    if report is None:
        return frozenset()
    names = {name for keys in report.findings.values() for name, _ in keys}
    return frozenset(name for name in names if re.fullmatch(service.key.pattern, name))


def _of(contents: Contents, run: str | None) -> EarlierReport:
    findings = {kind: frozenset(found.keys) for kind, found in contents.keys.items() if not found.too_many}
    return _this(contents.scope, run, contents.needs_attention, findings)


def _this(
    scope: Scope, run: str | None, counts: Mapping[str, int], findings: Mapping[str, frozenset[Key]]
) -> EarlierReport:
    return EarlierReport(scope.after, scope.before, run, scope.made_at, counts, findings)


def _report(value: Mapping[str, Any]) -> EarlierReport:
    return EarlierReport(
        after=_time(value["updated_after"]),
        before=_time(value["updated_before"]),
        run=None if value["run"] is None else str(value["run"]),
        made_at=_aware(value["made_at"]),
        counts={kind: _count(value["needs_attention"][kind]) for kind in KINDS},
        findings={kind: _keys(value["findings"][kind]) for kind in KINDS if kind in value["findings"]},
    )


def _time(value: Any) -> datetime | None:
    return None if value is None else _aware(value)


def _aware(value: Any) -> datetime:
    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        raise ValueError("a time without an offset")
    return when


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("a count that is not a number")
    return value


def _keys(value: Iterable[Any]) -> frozenset[Key]:
    return frozenset((str(name), None if number is None else _count(number)) for name, number in value)


def _text(subject: str, reports: Iterable[EarlierReport]) -> str:
    value = {
        "format": FORMAT,
        "subject": subject,
        "reports": [
            {
                "updated_after": each.after,
                "updated_before": each.before,
                "run": each.run,
                "made_at": each.made_at,
                "needs_attention": each.counts,
                "findings": {
                    kind: sorted(keys, key=lambda key: (key[0], key[1] or 0))
                    for kind, keys in each.findings.items()
                },
            }
            for each in reports
        ],
    }
    return json.dumps(as_plain(value), indent=1)
