"""Image sets, their versions, and the workflows that change them."""

from __future__ import annotations

import bisect
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel

from airflow_imgver.emulator.medicalimaging.exceptions import ConflictException, ResourceNotFoundException
from airflow_imgver.emulator.transitions import Changing, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_imgver.emulator.medicalimaging.contents import Contents
    from airflow_imgver.emulator.transitions import Timeline

# The members of ImageSetProperties, spelled as ListImageSetVersions answers them.
Properties = dict[str, Any]

# How each running status ends well. AWS documents no end for the last two: the source of a copy returns to
# its earlier status (see `ImageSet.lock_as_copy_source`), and COPIED is for a source that was loaded while
# busy; UPDATED for the sets of one study is an inference.
_SUCCEEDS_AS = {
    "COPYING": "COPIED",
    "UPDATING": "UPDATED",
    "IMPORTING": "IMPORTED",
    "DELETING": "DELETED",
    "COPYING_WITH_READ_ONLY_ACCESS": "COPIED",
    "UPDATING_FOR_STUDY_CONSISTENCY": "UPDATED",
}

_FAILS_AS = {
    "COPYING": "COPY_FAILED",
    "UPDATING": "UPDATE_FAILED",
    "UPDATING_FOR_STUDY_CONSISTENCY": "UPDATE_FAILED",
    "IMPORTING": "IMPORT_FAILED",
}


class Version(Changing):
    """
    One entry in the history of an image set.

    :param image_set: The image set.
    :param properties: The members of the entry.
    :param contents: The DICOM metadata.
    :param outcome: The members of a locked version once its workflow is over; None where no workflow runs.
    :param stamp: The member that the end of the workflow sets to its time, if any.
    """

    model = "medical-imaging::image-set"
    source_arn: str | None = None

    def __init__(
        self,
        image_set: ImageSet,
        properties: Properties,
        contents: Contents,
        *,
        outcome: Properties | None = None,
        stamp: str | None = None,
    ) -> None:
        self.image_set = image_set
        self.properties = properties
        self.contents = contents
        self.status = _status_of(properties)
        self.outcome = outcome
        self.stamp = stamp

    @property
    def number(self) -> int:
        """The version id as a number: as texts, "10" comes before "9"."""
        return int(self.properties["versionId"])

    @property
    def state(self) -> str:
        """ACTIVE, LOCKED or DELETED; an old version keeps its own."""
        return str(self.properties["imageSetState"])

    @property
    def is_consistent(self) -> bool:
        """Whether the metadata can be read; while a version is copied, updated or imported, it cannot."""
        return self.outcome is None or self.status in ("COPYING_WITH_READ_ONLY_ACCESS", "DELETING")

    @property
    def changed_at(self) -> datetime:
        """The time of the version, which is the creation of its image set until an update."""
        time = self.properties.get("updatedAt") or self.properties.get("createdAt")
        return time or datetime.fromtimestamp(0, UTC)

    def next_status(self) -> str | None:
        """Give the status in which the workflow ends, None where no workflow runs."""
        return None if self.outcome is None else _status_of(self.outcome)

    def enter(self, status: str, time: datetime) -> None:
        """Take a workflow status; the end of a workflow applies its outcome."""
        super().enter(status, time)
        if self.outcome is not None and status == self.next_status():
            self.properties = self.outcome | ({self.stamp: time} if self.stamp else {})
            self.outcome = None
        self.image_set.changed(self.image_set)


def _status_of(properties: Properties) -> str:
    # AWS does not promise a workflow status.
    return str(properties.get("ImageSetWorkflowStatus", ""))


class ImageSet(BaseModel):
    """
    An image set with all its versions, oldest first.

    Every version is kept for as long as the data store, also those of a deleted image set: AWS does not
    document for how long a deleted image set can be listed.

    :param timeline: Where the changes of the versions happen.
    :param changed: Called with the image set after each change.
    """

    def __init__(
        self, timeline: Timeline, arn: str, image_set_id: str, changed: Callable[[ImageSet], None]
    ) -> None:
        self.timeline = timeline
        self.changed = changed
        self.arn = arn
        self.image_set_id = image_set_id
        self.versions: list[Version] = []
        self.resource_tags: dict[str, str] = {}
        self._busy: list[Version] = []

    @property
    def latest(self) -> Version:
        """The version with the greatest number."""
        return self.versions[-1]

    @property
    def is_deleted(self) -> bool:
        """Whether the deletion is over."""
        return self.latest.state == "DELETED"

    @property
    def is_primary(self) -> bool:
        """Whether it is the primary one for its DICOM instances; a loaded one may not say."""
        return bool(self.latest.properties.get("isPrimary"))

    @property
    def created_at(self) -> datetime | None:
        """The creation of the image set, which all its versions share."""
        return self.latest.properties.get("createdAt")

    def read(self) -> None:
        """Count one read that shows this image set: a workflow may end after a number of reads."""
        for version in self._busy:
            self.timeline.read(version)
        self._busy = [version for version in self._busy if version.outcome is not None]

    def version(self, version_id: str | None) -> Version:
        """
        Give one version.

        :param version_id: Its id; None for the latest.
        :raises ResourceNotFoundException: the version does not exist.
        """
        if version_id is None:
            return self.latest
        number = int(version_id)
        place = bisect.bisect_left(self.versions, number, key=lambda version: version.number)
        if place < len(self.versions) and self.versions[place].number == number:
            return self.versions[place]
        raise ResourceNotFoundException(
            f"The requested version {version_id} of ImageSet {self.image_set_id} does not exist."
        )

    def check_writable(self) -> None:
        """Refuse to write to an image set that is locked or deleted."""
        if self.is_deleted:
            raise ResourceNotFoundException(f"The requested ImageSet {self.image_set_id} has been deleted.")
        if self.latest.state == "LOCKED":
            status = self.latest.properties.get("ImageSetWorkflowStatus", "LOCKED")
            raise ConflictException(f"ImageSet {self.image_set_id} is LOCKED with workflow status {status}.")

    def check_latest(self, version_id: str) -> None:
        """Refuse a version that is not the latest."""
        if int(version_id) != self.latest.number:
            raise ResourceNotFoundException("Requested version(s) of ImageSet(s) is not the latest.")

    def load(self, entries: list[Properties], contents: list[Contents]) -> None:
        """
        Take a history as it is; a version whose status is a running one settles like any other.

        :param entries: Its versions, as ListImageSetVersions answers them.
        :param contents: The DICOM metadata of each version.
        """
        by_number = sorted(zip(entries, contents, strict=True), key=lambda pair: int(pair[0]["versionId"]))
        for entry, of_entry in by_number:
            # moto writes an aware time as if it were in UTC.
            properties = {
                name: value.astimezone(UTC) if isinstance(value, datetime) else value
                for name, value in entry.items()
            }
            version = Version(self, {"imageSetId": self.image_set_id} | properties, of_entry)
            self.versions.append(version)
            succeeds_as = _SUCCEEDS_AS.get(version.status)
            if succeeds_as is None:
                continue
            state = "DELETED" if succeeds_as == "DELETED" else "ACTIVE"
            version.outcome = version.properties | {
                "imageSetState": state,
                "ImageSetWorkflowStatus": succeeds_as,
            }
            version.stamp = "deletedAt" if state == "DELETED" else "updatedAt"
            self._busy.append(version)
            self.timeline.add(version)
        self.changed(self)

    def add_version(self, properties: Properties, contents: Contents, time: datetime) -> Version:
        """Add a version that is settled from the start, such as the result of an import."""
        members = {"imageSetId": self.image_set_id, "imageSetState": "ACTIVE", **properties}
        version = Version(self, members, contents)
        self.versions.append(version)
        self.timeline.create(version, version.status, time)
        return version

    def begin_version(
        self,
        running: str,
        contents: Contents,
        *,
        failure: str | None = None,
        forced: bool = False,
        primary: bool | None = None,
        source_arn: str | None = None,
    ) -> Version:
        """
        Lock the image set with a new version on top of the latest, or with its first one.

        :param running: The workflow status until the end, such as UPDATING.
        :param contents: The DICOM metadata of the new version, if it ends well.
        :param failure: The message of a version that fails, which AWS shows as ACTIVE; None where it ends
            well.
        :param forced: The request overrode a check, which the version then shows.
        :param primary: Whether a first version is primary; a later one is primary if the one before is.
        :param source_arn: The image set that is copied, for the event of the copy.
        """
        time, before = now(), self.versions[-1] if self.versions else None
        properties = {
            "imageSetId": self.image_set_id,
            "versionId": str(before.number + 1 if before else 1),
            "createdAt": before.properties.get("createdAt") if before else time,
            # AWS shows the first version of a copied image set without updatedAt.
            "updatedAt": time if before else None,
            "isPrimary": before.properties.get("isPrimary") if before else primary,
            "overrides": {"forced": True} if forced else None,
        }
        properties = {name: value for name, value in properties.items() if value is not None}
        ended = {"imageSetState": "ACTIVE", "ImageSetWorkflowStatus": _SUCCEEDS_AS[running]}
        if failure:
            ended |= {"ImageSetWorkflowStatus": _FAILS_AS[running], "message": failure}
        version = Version(
            self,
            properties | {"imageSetState": "LOCKED", "ImageSetWorkflowStatus": running},
            before.contents if failure and before else contents,
            outcome=properties | ended,
            stamp="updatedAt" if before else None,
        )
        version.source_arn = source_arn
        self.versions.append(version)
        self._busy.append(version)
        self.timeline.create(version, running, time)
        return version

    def lock_as_copy_source(self) -> None:
        """
        Lock the latest version while it is the source of a copy; a source gets no new version.

        AWS does not document the source's status after the copy: here it is the status before.
        """
        self._lock_latest("COPYING_WITH_READ_ONLY_ACCESS", self.latest.properties, updatedAt=now())

    def delete(self) -> None:
        """Lock the latest version until it is deleted; a deletion adds no version."""
        ended = {"imageSetState": "DELETED", "ImageSetWorkflowStatus": "DELETED"}
        self._lock_latest("DELETING", self.latest.properties | ended, stamp="deletedAt")

    def _lock_latest(
        self, running: str, outcome: Properties, *, stamp: str | None = None, **members: Any
    ) -> None:
        version = self.latest
        version.properties = version.properties | {
            "imageSetState": "LOCKED",
            "ImageSetWorkflowStatus": running,
            **members,
        }
        version.outcome, version.stamp = outcome, stamp
        self._busy.append(version)
        self.timeline.change(version, running)
