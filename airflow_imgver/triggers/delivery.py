"""A message of a queue on its way to the watchers, and into Airflow's database."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_imgver.events.queue import Observation
from airflow_imgver.triggers.watchers import Watcher


@dataclass(eq=False, slots=True)
class Delivery:
    """
    A message on its way to the watchers.

    :param seen: what AWS says about it.
    :param receipt: what deletes it.
    :param dealt_with: the watchers that have dealt with it. Airflow 3.3.2 may count one that has not.
    :param watchers: the names of the watchers to which it is handed over.
    :param reported: the facts that watchers handed to Airflow.
    """

    seen: Observation
    receipt: str
    dealt_with: list[Watcher] = field(default_factory=list)
    watchers: frozenset[str] = frozenset()
    reported: list[tuple[Watcher, str]] = field(default_factory=list)

    @property
    def handed(self) -> int:
        """How many watchers have dealt with it."""
        return len(self.dealt_with)

    def note(self, watcher: Watcher, key: str) -> None:
        """Note that a watcher has handed a fact to Airflow."""
        self.reported.append((watcher, key))
        watcher.hand(key)
