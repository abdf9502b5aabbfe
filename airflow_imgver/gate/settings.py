"""
What a gate watches, and its settings: made once, and passed on as one value.

Airflow imports this with a trigger's module on the triggerer's event loop, so it imports neither hooks nor
boto3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from airflow_imgver.services.waitable import Waitable

if TYPE_CHECKING:
    from airflow_imgver.gate.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """
    The settings of a gate, as its author gave them.

    :param version: the version to watch; None for the latest; with a list of ids one for all, or a list.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param allow_read_only: the source of a running copy counts as ready.
    :param not_found_retries: how many polls in a row AWS may answer that it does not exist.
    :param fail_on_failed_files: an import job that could not import some files counts as failed.
    :param fail_fast: with a list of ids, fail at the first failure; else when all are settled, naming each.
    :param silent_fail: raise a failure and poll again all the same, as Airflow's sensors do.
    """

    version: Any = None
    wait_until: str = "ready"
    allow_read_only: bool = False
    fail_on_failed_files: bool = False
    not_found_retries: int = 2
    fail_fast: bool = False
    silent_fail: bool = False

    @classmethod
    def names(cls, service: Waitable) -> tuple[str, ...]:
        """Return the settings that gates on a thing have."""
        of_some = {
            "version": service.has_versions,
            "wait_until": service.has_versions,
            "allow_read_only": bool(service.fields.read_only),
            "fail_on_failed_files": not service.has_versions,
        }
        return tuple(each.name for each in fields(cls) if of_some.get(each.name, True))

    @classmethod
    def of(cls, service: Waitable, holder: object) -> GateSettings:
        """Read the settings from the attributes of a sensor or from the options of a command."""
        return cls(**{name: getattr(holder, name) for name in cls.names(service) if hasattr(holder, name)})

    def stored(self, service: Waitable) -> dict[str, Any]:
        """Return the settings as a trigger's keyword arguments store them."""
        return {name: getattr(self, name) for name in self.names(service)}


@dataclass(frozen=True, slots=True)
class Watch:
    """
    What one gate watches, and how.

    :param service: what it watches.
    :param identity: field to value; the last field may be a list of ids, or the text of one.
    :param settings: the settings.
    :param not_found_answers: how many polls in a row have already found nothing, for each that is missing.
    """

    service: Waitable
    identity: Mapping[str, Any]
    settings: GateSettings
    not_found_answers: Mapping[str, int] = field(default_factory=dict)

    def gate(self) -> Gate:
        """
        Return the gate.

        :raises InvalidIdentityError: an id, a name or a version cannot be valid; names its position.
        :raises ValueError: ``wait_until`` or ``not_found_retries`` cannot be valid.
        """
        from airflow_imgver.gate.gate import Gate

        return Gate(self)

    def stored(self) -> dict[str, Any]:
        """Return identity and settings as a trigger's keyword arguments store them."""
        answers = {"not_found_answers": dict(self.not_found_answers)} if self.not_found_answers else {}
        return {**self.identity, **self.settings.stored(self.service), **answers}
