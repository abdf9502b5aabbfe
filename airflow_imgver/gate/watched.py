"""One image set or image of a gate: what the last poll showed, and whether it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_imgver.exceptions import ResourceMissingError
from airflow_imgver.text import as_plain
from airflow_imgver.versions import VersionStatus, WaitUntil, gate_opens

Answer = VersionStatus | Exception | None
"""The outcome of a poll: a status, None where the listing shows none, or the error of the poll."""


class Watched:
    """
    One image set or image.

    :param name: how messages name it.
    :param identity: field to value.
    :param version: the version to watch; None for the latest.
    :param retries: how many polls in a row AWS may answer that it does not exist.
    """

    __slots__ = (
        "_retries",
        "error",
        "identity",
        "missing",
        "name",
        "open",
        "retries_left",
        "seen",
        "version",
    )

    def __init__(self, name: str, identity: Mapping[str, str], version: int | None, retries: int) -> None:
        self.name = name
        self.identity = identity
        self.version = version
        self._retries = self.retries_left = retries
        self.seen: VersionStatus | None = None
        self.missing = False
        self.open = False
        self.error: Exception | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from every other: its identity and the version."""
        return (*self.identity.values(), self.version)

    @property
    def settled(self) -> bool:
        """Whether no further poll can change anything."""
        return self.open or self.error is not None

    @property
    def entry(self) -> dict[str, Any] | None:
        """The entry last seen, with times as ISO 8601 text; None where AWS showed none."""
        return as_plain(self.seen.entry) if self.seen else None

    def judge(self, answer: Answer, wait_until: WaitUntil, *, allow_read_only: bool) -> None:
        """
        Apply the rule of the gate to the outcome of a poll.

        :raises Exception: the outcome fails the gate.
        """
        if isinstance(answer, ResourceMissingError):
            self.seen, self.missing = None, True
            if wait_until == "deleted":
                self.open = True
            elif self.retries_left == 0:
                raise answer
            else:
                self.retries_left -= 1
        elif isinstance(answer, Exception):
            raise answer
        else:
            self.seen, self.missing, self.retries_left = answer, False, self._retries
            self.open = gate_opens(answer, wait_until, of=self.name, allow_read_only=allow_read_only)

    @property
    def news(self) -> str:
        """What the last poll showed: status, state and version."""
        if self.missing:
            return "AWS says that it does not exist"
        if self.seen is not None:
            return str(self.seen)
        return "no version listed yet" if self.version is None else f"version {self.version} not listed yet"

    def __str__(self) -> str:
        return f"{self.news}: {self.name}"
