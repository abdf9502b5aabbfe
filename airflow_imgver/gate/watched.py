"""One image set, image or job of a gate: what the last poll showed, and whether it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_imgver.arguments.identities import WantedVersion
from airflow_imgver.exceptions import InvalidIdentityError, ResourceMissingError
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.text import as_plain, one_line
from airflow_imgver.versions import VersionStatus, WaitUntil, gate_opens

if TYPE_CHECKING:
    from airflow_imgver.gate.settings import GateSettings

Answer = VersionStatus | Exception | None
"""The outcome of a poll: a status, None where the listing shows none, or the error of the poll."""


class Watched:
    """
    One image set, image or job.

    :param service: what it is.
    :param identity: field to value, checked.
    :param wanted: the version to watch.
    :param retries: how many polls in a row AWS may answer that it does not exist.
    """

    __slots__ = (
        "_retries",
        "_service",
        "_wanted",
        "error",
        "identity",
        "missing",
        "open",
        "retries_left",
        "seen",
    )

    def __init__(
        self, service: Waitable, identity: Mapping[str, str], wanted: WantedVersion, retries: int
    ) -> None:
        self._service = service
        self._wanted = wanted
        self.identity = identity
        self._retries = self.retries_left = retries
        self.seen: VersionStatus | None = None
        self.missing = ""
        self.open = False
        self.error: Exception | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return self._service.describe(self.identity)

    @property
    def version(self) -> int | None:
        """The version to watch; None for the latest."""
        return self._wanted.number

    @property
    def key(self) -> tuple[Any, ...]:
        """What distinguishes it from every other: its identity, and the version or what has none."""
        last = self.version if self._service.has_versions else self._service.thing
        return (*self.identity.values(), last)

    @property
    def polled_by(self) -> str:
        """The hook's method that polls it."""
        return self._service.poll.method

    @property
    def operation(self) -> str:
        """The API operation that polls it."""
        return self._service.poll.operation

    @property
    def searched_in(self) -> tuple[str, ...] | None:
        """Where a search can show that it has changed, for example its data store; None if none can."""
        if self._service.changed_by is None:
            return None
        return tuple(self.identity[name] for name in self._service.identity_names[:-1])

    @property
    def id(self) -> str:
        """What distinguishes it from its neighbours."""
        return self.identity[self._service.key.name]

    @property
    def label(self) -> str:
        """The same as a text."""
        if not self._service.has_versions:
            return self.name
        return f"{self.name}, version {'latest' if self.version is None else self.version}"

    @property
    def retries_spent(self) -> int:
        """How many polls in a row AWS has answered that it does not exist."""
        return self._retries - self.retries_left

    def spend_retries(self, count: int) -> None:
        """Go on after such answers to an earlier object."""
        self.missing = ResourceMissingError.news if count > 0 else ""
        self.retries_left = max(0, self._retries - count)

    @property
    def settled(self) -> bool:
        """Whether no further poll can change anything."""
        return self.open or self.error is not None

    @property
    def entry(self) -> dict[str, Any] | None:
        """The entry last seen, with times as ISO 8601 text; None where AWS showed none."""
        return as_plain(self.seen.entry) if self.seen else None

    def check_region(self, region: str) -> None:
        """
        Check the region of the version's ARN.

        :raises InvalidIdentityError: it is another region.
        """
        if self._wanted.region not in (None, region):
            raise InvalidIdentityError(
                f"version is an ARN of {self._wanted.region}, and the gate polls {region}. "
                "Set region_name, or give a version of this region.",
                about=f"The gate is on {self.name}.",
            )

    def _check_arn(self, found: VersionStatus) -> None:
        """Compare the ARN that the author gave with AWS's: the account may be another."""
        arn = self._service.arn
        theirs = found.entry.get(arn.member) if arn and self._wanted.arn else None
        if isinstance(theirs, str) and theirs.lower() != str(self._wanted.arn).lower():
            raise InvalidIdentityError(
                f"version is {self._wanted.arn}, and AWS lists {one_line(theirs)} under this number. "
                "Check the account and the region of the connection.",
                about=f"The gate is on {self.name}.",
            )

    def judge(self, answer: Answer, wait_until: WaitUntil, settings: GateSettings) -> None:
        """
        Apply the rule of the gate to the outcome of a poll.

        :raises Exception: the outcome fails the gate.
        """
        if isinstance(answer, ResourceMissingError):
            self.seen, self.missing = None, answer.news
            if wait_until == "deleted":
                self.open = True
            elif self.retries_left == 0:
                raise answer
            else:
                self.retries_left -= 1
        elif isinstance(answer, Exception):
            raise answer
        else:
            if answer is not None:
                self._check_arn(answer)
            self.seen, self.missing, self.retries_left = answer, "", self._retries
            self.open = gate_opens(
                answer,
                wait_until,
                of=self.name,
                allow_read_only=settings.allow_read_only,
                fail_on_shortfall=settings.fail_on_failed_files,
                failure=self._service.failure,
            )

    @property
    def news(self) -> str:
        """What the last poll showed: status, state and version."""
        if self.missing:
            return self.missing
        if self.seen is not None:
            return str(self.seen)
        return "no version listed yet" if self.version is None else f"version {self.version} not listed yet"

    def __str__(self) -> str:
        return f"{self.news}: {self.name}"
