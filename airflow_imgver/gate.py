"""One gate: what it watches, what it waits for, what it last saw. Poke mode and deferrable mode share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_imgver.exceptions import (
    AwsCallError,
    ResourceMissingError,
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.versions import VersionStatus, as_plain, gate_opens, version_number, wait_until_value

GATE_ERRORS: tuple[type[Exception], ...] = (
    VersionFailedError,
    VersionDeletedError,
    ResourceMissingError,
    AwsCallError,
    UnexpectedAnswerError,
)
"""What a look may raise, besides opening the gate or not."""


class Gate:
    """
    A gate on one image set or image.

    :param hook_class: the service's hook.
    :param identity: field to value, checked here against AWS's patterns.
    :param version: the version to watch; None for the latest.
    :param wait_until: ``ready``, ``settled`` or ``deleted``.
    :param allow_read_only: take the source of a running copy for ready.
    :param not_found_retries: how many polls in a row AWS may answer that there is no such thing.
    :raises InvalidIdentityError: an id, a name or the version cannot be one.
    :raises ValueError: ``wait_until`` or ``not_found_retries`` cannot be one.
    """

    def __init__(
        self,
        hook_class: type[ImageVersionHook],
        identity: Mapping[str, Any],
        *,
        version: Any = None,
        wait_until: str = "ready",
        allow_read_only: bool = False,
        not_found_retries: int = 2,
    ) -> None:
        self._identity = hook_class.check(identity)
        self._version = version_number(version)
        self._wait_until = wait_until_value(wait_until)
        self._allow_read_only = allow_read_only
        if not isinstance(not_found_retries, int) or not_found_retries < 0:
            raise ValueError(f"not_found_retries must be a number of polls, not {not_found_retries!r}")
        self._retries_left = self._retries = not_found_retries
        self._of = hook_class.describe(self._identity)
        self._seen: VersionStatus | None = None
        self._missing = False

    def look(self, hook: ImageVersionHook) -> bool:
        """
        Look once and judge: True opens the gate, False lets it wait.

        :raises VersionFailedError: the version failed; with AWS's reason.
        :raises VersionDeletedError: the version is gone where the gate waits for it to be ready.
        :raises ResourceMissingError: AWS keeps saying that there is no such thing.
        :raises AwsCallError: the call failed; ``transient`` says whether another look may succeed.
        """
        try:
            self._seen = hook.observe(self._identity, self._version)
        except ResourceMissingError:
            self._seen, self._missing = None, True
            if self._wait_until == "deleted":
                return True
            if self._retries_left == 0:
                raise
            self._retries_left -= 1
            return False
        self._missing = False
        self._retries_left = self._retries
        return gate_opens(self._seen, self._wait_until, of=self._of, allow_read_only=self._allow_read_only)

    @property
    def retries_left(self) -> int:
        """How many more polls AWS may answer that there is no such thing."""
        return self._retries_left

    @property
    def entry(self) -> dict[str, Any] | None:
        """The entry last seen, with times as ISO 8601 text; None where AWS showed none."""
        return as_plain(self._seen.entry) if self._seen else None

    def __str__(self) -> str:
        if self._missing:
            return f"{self._of}: AWS says that it does not exist"
        if self._seen is not None:
            return f"{self._of}: {self._seen}"
        which = "no version" if self._version is None else f"no version {self._version}"
        return f"{self._of}: {which} listed yet"
