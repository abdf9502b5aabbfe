"""Which events a watcher wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from airflow_imgver.events.event import Fact
from airflow_imgver.services.description import Service
from airflow_imgver.versions import Phase

DEFAULT_PHASES = (Phase.READY.value, Phase.FAILED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """
    Which events a watcher wants; make one with :meth:`of`.

    :param service: the service.
    :param phases: the phases of the versions.
    :param ids: field of the identity to the values that are wanted; a field that is missing may be any.
    :param patterns: field of the identity to shell patterns, of which one must match.
    :param primary_only: only primary image sets.
    """

    service: Service
    phases: frozenset[str] = frozenset(DEFAULT_PHASES)
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    primary_only: bool = False

    @classmethod
    def of(
        cls,
        service: Service,
        *,
        phases: Sequence[str] = DEFAULT_PHASES,
        ids: Mapping[str, str | Sequence[str] | None] | None = None,
        patterns: Mapping[str, str | Sequence[str] | None] | None = None,
        primary_only: bool = False,
    ) -> EventFilter:
        """
        Check the arguments of a watcher, and make its filter.

        :param phases: ``ready``, ``failed``, ``deleted`` and ``busy``, or one of them.
        :param ids: field to one id or several; None for any.
        :param patterns: field to one shell pattern or several, such as ``studio-*``; None for any.
        :raises ValueError: a phase does not exist, or a list is empty.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        """
        wanted = _texts(phases, "phases")
        known = [phase.value for phase in Phase]
        for phase in wanted:
            if phase not in known:
                raise ValueError(f"phases must be of {', '.join(known)}, not {phase!r}.")
        fields = {each.name: each for each in service.identity}
        return cls(
            service=service,
            phases=frozenset(wanted),
            ids={
                name: frozenset(fields[name].check(value) for value in _texts(values, f"{name}s"))
                for name, values in (ids or {}).items()
                if values is not None
            },
            patterns={
                name: _texts(values, f"{name}s")
                for name, values in (patterns or {}).items()
                if values is not None
            },
            primary_only=primary_only,
        )

    def wants_identity(self, identity: Mapping[str, str]) -> bool:
        """Return whether events of an image set or image are wanted at all; decided before it is listed."""
        return all(identity[name] in values for name, values in self.ids.items()) and all(
            any(fnmatchcase(identity[name], pattern) for pattern in patterns)
            for name, patterns in self.patterns.items()
        )

    def wants(self, fact: Fact) -> bool:
        """Return whether the event of a fact is wanted."""
        return (
            fact.service is self.service
            and fact.status.phase.value in self.phases
            and self.wants_identity(fact.identity)
            and not (self.primary_only and fact.status.entry.get("isPrimary") is not True)
        )


def _texts(values: Any, name: str) -> tuple[str, ...]:
    listed = (values,) if isinstance(values, str) else tuple(values)
    if not listed:
        raise ValueError(f"{name} is empty, so that no event would be sent. Leave it out for any.")
    return listed
