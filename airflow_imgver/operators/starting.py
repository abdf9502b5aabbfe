"""Starting an action once, whatever becomes of the task's tries and of AWS's answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from airflow_imgver.exceptions import (
    AwsCallError,
    NotLatestVersionError,
    ResourceMissingError,
    UnexpectedAnswerError,
)
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.operators.record import ActionRecord
from airflow_imgver.operators.started import (
    LOST_ANSWER,
    NOT_THE_LATEST,
    NotYet,
    Started,
    is_refusal,
    passing,
)
from airflow_imgver.sensors.base import GateSensor
from airflow_imgver.text import as_plain
from airflow_imgver.versions import Phase, VersionStatus

HookT = TypeVar("HookT", bound=ImageVersionHook)


class StartingTask(GateSensor[HookT]):
    """A gate that starts something first; an operator defines the call, and how to find what it started."""

    operation: ClassVar[str]
    takes_token: ClassVar[bool] = False
    waits_until: ClassVar[str] = "ready"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._request: dict[str, Any] = {}
        self._record: ActionRecord

    # --- what an operator defines ---

    @abstractmethod
    def _read(self) -> dict[str, Any]:
        """
        Read and check the arguments, before any request; the result is plain JSON.

        :raises InvalidIdentityError: an id or a version cannot be valid.
        :raises ValueError: another argument cannot.
        """

    @abstractmethod
    def _versions(self) -> dict[str, Any]:
        """
        Return the versions that the call has to name.

        :raises NotYet: one is busy.
        """

    @abstractmethod
    def _call(self, versions: Mapping[str, Any]) -> Started:
        """Send the call."""

    @abstractmethod
    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        """
        Find what an earlier call with these versions started, whose answer was lost.

        :return: None where AWS has not carried it out.
        :raises NotYet: that is not known yet.
        """

    # --- starting ---

    def _start_once(self) -> Started:
        """
        Start the action, or find what this task has started.

        :raises NotYet: a later attempt may succeed.
        """
        record = self._record
        earlier = self._started_earlier()
        started = earlier or self._start()
        # Where AWS takes a token, it may answer a new call with what an earlier try has started.
        repeats = record.repeats if earlier or self.takes_token else 0
        while repeats and (failure := self._failure_of(started)):
            self.log.warning("An earlier try of this task ended with %s. Acting again.", failure)
            record.fail()
            repeats -= 1
            started = self._start()
        record.start(as_plain(started._asdict()))
        return started

    def _started_earlier(self) -> Started | None:
        record = self._record
        if kept := record.started:
            self.log.info("An earlier try, or poke, of this task has started this; acting no second time.")
            return Started(**kept)
        versions = record.asked
        if versions is None:
            return None
        with passing():
            found = self._find(versions)
        if found is not None:
            self.log.info(
                "An earlier try of this task has asked for this, and AWS has started it: %s",
                self.service.describe(found.identity),
            )
        return found

    def _start(self) -> Started:
        record = self._record
        asked_before = record.asked
        with passing():
            versions = asked_before or self._versions()
        record.ask(versions)
        try:
            return self._call(versions)
        except UnexpectedAnswerError as error:
            raise NotYet(f"{error} {LOST_ANSWER}") from error
        except AwsCallError as error:
            if not is_refusal(error):
                raise NotYet(f"{error} {LOST_ANSWER}") from error
            if asked_before is None:
                record.withdraw()
            if NOT_THE_LATEST in error.message:
                raise self._not_the_latest(error, asked_before) from error
            if error.transient:
                raise NotYet(f"{error} This may pass.", throttled=error.throttled) from error
            raise

    def _not_the_latest(self, error: AwsCallError, asked_before: Mapping[str, Any] | None) -> Exception:
        if asked_before is not None:
            # A listing can be behind: the version that replaced it may be this task's own.
            found = self._find(asked_before)
            if found is not None:
                return NotYet("AWS has started it; the listing was behind.")
        return NotLatestVersionError(
            f"{error.message} Another writer was first: the image set has a newer version than this task "
            "read, or was given. Check the newer version, and clear this task to act on it.",
            about=error.about,
            operation=error.operation,
            code=error.code,
            answered=True,
        )

    def _failure_of(self, started: Started) -> str | None:
        """Return the status of what was started, where that has failed or is gone."""
        try:
            with passing():
                poll = getattr(self.hook, self.service.poll.method)
                found: VersionStatus | None = poll(started.identity, started.version)
        except ResourceMissingError:
            return None
        if found is None:
            return None
        if self.waits_until == "deleted":
            return str(found) if found.deletion_failed else None
        return str(found) if found.phase in (Phase.FAILED, Phase.DELETED) else None

    def _latest(self, identity: Mapping[str, str]) -> VersionStatus:
        """
        Return the latest version of an image set or image, which no other change holds.

        :raises NotYet: it is busy, or not listed yet.
        """
        found = self.hook.observe(identity)
        name = self.service.describe(identity)
        if found is None:
            raise NotYet(f"No version is listed yet: {name}.")
        if found.phase is Phase.BUSY:
            raise NotYet(f"{found}, so another change has to end first: {name}.", busy=identity)
        return found
