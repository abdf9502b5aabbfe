"""What the operators that change image sets share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_imgver.arguments.identities import wanted_version
from airflow_imgver.exceptions import NotLatestVersionError, UnexpectedAnswerError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.links.healthimaging import HealthImagingImageSetLink
from airflow_imgver.operators.acting import ActingOperator
from airflow_imgver.operators.started import NotYet, Started
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger

CLOCK_SKEW = timedelta(minutes=1)
"""How far this machine's clock may differ from AWS's."""

# The members of an answer, and the same as ListImageSetVersions names them.
_NAMES = {"latestVersionId": "versionId", "imageSetWorkflowStatus": "ImageSetWorkflowStatus"}
_OTHERS = ("imageSetId", "imageSetState", "createdAt", "updatedAt", "message")


class ImageSetOperator(ActingOperator[HealthImagingHook]):
    """The base of the operators that change an image set; arguments are those of its base."""

    service = HEALTHIMAGING
    aws_hook_class = HealthImagingHook
    trigger_class = HealthImagingImageSetVersionTrigger
    link_class = HealthImagingImageSetLink
    operator_extra_links = (HealthImagingImageSetLink(),)
    makes: frozenset[str] = frozenset()
    """The statuses of a version that the action makes."""

    def _identity(self, image_set_id: Any) -> dict[str, str]:
        return {"datastore_id": self._request["datastore_id"], "image_set_id": image_set_id}

    def _made_after(self, identity: dict[str, str], before: int) -> Started | None:
        """Find the version that follows another one, and check that this action may have made it."""
        found = self.hook.find_version(identity, before + 1)
        if found.latest is None or found.latest.number <= before:
            return None
        made = found.wanted
        if made is None:
            raise NotYet(f"Version {before + 1} is not listed yet: {self.service.describe(identity)}.")
        earliest = self._record.asked_at - CLOCK_SKEW
        if made.status in self.makes and (made.changed_at is None or made.changed_at >= earliest):
            return Started(identity, made.number, dict(made.entry))
        self._record.withdraw()
        raise NotLatestVersionError(
            f"{self.operation} was not carried out: version {before + 1} is {made.status}, from another "
            "writer, who was first. Check that version, and clear this task to act on it.",
            about=f"The call was for {self.service.describe(identity)}.",
            operation=self.operation,
        )


def version_argument(value: Any, key: Any) -> int | None:
    """
    Read an argument with the number of a version; None, "" and "None" leave it out.

    :raises InvalidIdentityError: it cannot be a version's number.
    """
    return None if value in ("", "None") else wanted_version(value, HEALTHIMAGING, str(key)).number


def started(identity: Mapping[str, str], answer: Mapping[str, Any], *, watch: bool = True) -> Started:
    """
    Read what AWS has started.

    :param identity: the image set.
    :param answer: the properties of the image set in AWS's answer.
    :param watch: wait for the version that the answer names; else for the latest.
    :raises UnexpectedAnswerError: the answer has no version.
    """
    number = answer.get("latestVersionId")
    if watch and not (isinstance(number, str) and number.isdecimal()):
        raise UnexpectedAnswerError("AWS's answer has no latestVersionId.")
    entry = {name: answer[name] for name in _OTHERS if name in answer}
    entry |= {ours: answer[theirs] for theirs, ours in _NAMES.items() if theirs in answer}
    return Started(dict(identity), int(str(number)) if watch else None, entry)
