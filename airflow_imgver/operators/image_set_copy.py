"""Copying image sets of AWS HealthImaging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.arguments.attributes import attributes_text, check_copy_size
from airflow_imgver.arguments.literals import bool_value
from airflow_imgver.exceptions import UnexpectedAnswerError, UnknownOutcomeError
from airflow_imgver.gate.settings import Watch
from airflow_imgver.operators.image_set import CLOCK_SKEW, ImageSetOperator, started, version_argument
from airflow_imgver.operators.started import NotYet, Started
from airflow_imgver.text import timestamp
from airflow_imgver.versions import Phase

LONGEST_CALL = timedelta(minutes=1)
"""How long after a call is sent AWS may still begin to carry it out, and a search not show it."""


class HealthImagingCopyImageSetOperator(ImageSetOperator):
    """
    Copies an image set into another, or into a new one, and waits for the copy.

    Returns the entry of the destination's version, as ``ListImageSetVersions`` shows it. Without
    ``destination_image_set_id`` its ``imageSetId`` is the new one. Further arguments are those of
    :class:`~airflow_imgver.operators.acting.ActingOperator` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_CopyImageSet.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param source_image_set_id: the image set to copy, likewise.
    :param source_version: its latest version; None looks it up.
    :param destination_image_set_id: the image set to copy into; None makes a new one.
    :param destination_version: its latest version; None looks it up.
    :param copiable_attributes: the instances to copy, as a dictionary in AWS's form:
        ``{"Study": {"Series": {<series UID>: {"Instances": {<SOP instance UID>: {}}}}}}``; None copies all.
    :param force: copy even if Patient, Study or Series attributes of the two differ.
    :param promote_to_primary: make the new image set the primary one; AWS gives it a new id.
    :param wait_for_source: wait until the source, which is locked meanwhile, is ready too.
    """

    operation = "CopyImageSet"
    makes = frozenset({"COPYING", "COPIED", "COPY_FAILED"})
    template_fields = aws_template_fields(
        "datastore_id",
        "source_image_set_id",
        "source_version",
        "destination_image_set_id",
        "destination_version",
        "copiable_attributes",
        "force",
        "promote_to_primary",
    )

    def __init__(
        self,
        *,
        datastore_id: str,
        source_image_set_id: str,
        source_version: int | str | None = None,
        destination_image_set_id: str | None = None,
        destination_version: int | str | None = None,
        copiable_attributes: Mapping[str, Any] | str | None = None,
        force: bool | str = False,
        promote_to_primary: bool | str = False,
        wait_for_source: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.source_image_set_id = source_image_set_id
        self.source_version = source_version
        self.destination_image_set_id = destination_image_set_id
        self.destination_version = destination_version
        self.copiable_attributes = copiable_attributes
        self.force = force
        self.promote_to_primary = promote_to_primary
        self.wait_for_source = wait_for_source

    def _read(self) -> dict[str, Any]:
        identity = {"datastore_id": self.datastore_id}
        source = self.service.check({**identity, "image_set_id": self.source_image_set_id})
        into = self.destination_image_set_id
        destination = None
        if into is not None and into not in ("", "None"):
            destination = self.service.check({**identity, "image_set_id": into})["image_set_id"]
        request: dict[str, Any] = {
            "datastore_id": source["datastore_id"],
            "source_image_set_id": source["image_set_id"],
            "source_version": version_argument(self.source_version, source["image_set_id"]),
            "destination_image_set_id": destination,
            "destination_version": version_argument(self.destination_version, destination),
            "copiable_attributes": attributes_text(self.copiable_attributes, "copiable_attributes"),
            "force": bool_value(self.force, "force"),
            "promote_to_primary": bool_value(self.promote_to_primary, "promote_to_primary"),
        }
        check_copy_size(request["copiable_attributes"])
        if destination == source["image_set_id"]:
            raise ValueError("destination_image_set_id is the source. Leave it out for a new image set.")
        if destination is None and request["destination_version"] is not None:
            raise ValueError("destination_version needs destination_image_set_id, which is not given.")
        if destination is not None and request["promote_to_primary"]:
            raise ValueError(
                "promote_to_primary makes a new image set. Leave out it or destination_image_set_id."
            )
        return request

    def _versions(self) -> dict[str, Any]:
        request = self._request
        source, destination = request["source_version"], request["destination_version"]
        if source is None:
            source = self._latest(self._identity(request["source_image_set_id"])).number
        if request["destination_image_set_id"] is not None and destination is None:
            destination = self._latest(self._identity(request["destination_image_set_id"])).number
        return {"source_version": source, "destination_version": destination}

    def _call(self, versions: Mapping[str, Any]) -> Started:
        answer = self.hook.copy_image_set(**{**self._request, **versions})
        into = answer.get("destinationImageSetProperties") or {}
        known = self._request["destination_image_set_id"]
        found = into.get("imageSetId") if known is None else known
        if not isinstance(found, str):
            raise UnexpectedAnswerError("AWS's answer to CopyImageSet has no imageSetId of the destination.")
        # Of a new image set AWS's examples disagree whether the answer names version 1 or 2.
        return started(self._identity(found), into, watch=known is not None)

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        if (into := self._request["destination_image_set_id"]) is not None:
            return self._made_after(self._identity(into), int(versions["destination_version"]))
        return self._find_new()

    def _find_new(self) -> Started | None:
        """Find the new image set by its series and the time of its creation: AWS names no source."""
        source, asked_at = self._request["source_image_set_id"], self._record.asked_at
        until = asked_at + LONGEST_CALL + CLOCK_SKEW
        made = self.hook.find_copies(
            self._request["datastore_id"],
            source,
            created_after=asked_at - CLOCK_SKEW,
            created_before=min(until, datetime.now(UTC) + CLOCK_SKEW),
        )
        candidates = [found for found in map(self._first_version, made) if found is not None]
        if len(candidates) > 1:
            ids = ", ".join(found.identity["image_set_id"] for found in candidates)
            raise UnknownOutcomeError(
                f"The answer to CopyImageSet was lost, and {len(candidates)} copies of this series were made "
                f"around {timestamp(asked_at)}: it cannot be known which is this task's. Delete the copies "
                "that are not needed, then clear this task so that it searches again.",
                about=f"The copies are {ids}.",
            )
        if candidates:
            return candidates[0]
        latest = self.hook.observe(self._identity(source))
        if latest is not None and latest.phase is Phase.BUSY:
            raise NotYet(f"{latest}, perhaps for the copy whose answer was lost.", self._identity(source))
        if datetime.now(UTC) < until:
            raise NotYet(f"No copy is found yet. If there is none by {timestamp(until)}, it is made again.")
        self.log.warning("No copy that was made around %s is found; copying again.", timestamp(asked_at))
        return None

    def _first_version(self, image_set_id: str) -> Started | None:
        identity = self._identity(image_set_id)
        found = [self.hook.read(entry) for entry in self.hook.stream(identity)]
        first = min(found, key=lambda each: each.number, default=None)
        latest = max(found, key=lambda each: each.number, default=None)
        if first is None or latest is None or first.status not in self.makes or latest.phase is Phase.DELETED:
            return None
        return Started(identity, first.number, dict(first.entry))

    @property
    def watch(self) -> Watch:
        """What the gate watches: the destination's version, and the source where that is wanted."""
        watch = super().watch
        if not self.wait_for_source:
            return watch
        both = [watch.identity["image_set_id"], self._request["source_image_set_id"]]
        settings = replace(watch.settings, version=[watch.settings.version, None])
        return replace(watch, identity={**watch.identity, "image_set_id": both}, settings=settings)

    @property
    def _waits_for_many(self) -> bool:
        return self.wait_for_source

    def _result(self, found: Any) -> Any:
        return found[0] if isinstance(found, list) else found
