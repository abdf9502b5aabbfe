"""Image sets, their versions, and the workflows that change them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.common_models import BaseModel
from moto.moto_api import state_manager
from moto.moto_api._internal.managed_state_model import ManagedState

from .exceptions import ConflictException, ResourceNotFoundException

# The members of ImageSetProperties, spelled as ListImageSetVersions answers them.
Properties = dict[str, Any]
# The members of DICOMTags, spelled as SearchImageSets answers them.
DICOMTags = dict[str, Any]

IMAGE_SET_MODEL = "medical-imaging::image-set"

# How each running status ends well. AWS names no end for the two that stand below the others: a source goes
# back to what it was (see `ImageSet.lock_as_copy_source`), and COPIED is for one that was loaded while busy;
# UPDATED for the sets of one study is an inference.
ENDS_WELL_AS = {
    "COPYING": "COPIED",
    "UPDATING": "UPDATED",
    "IMPORTING": "IMPORTED",
    "DELETING": "DELETED",
    "COPYING_WITH_READ_ONLY_ACCESS": "COPIED",
    "UPDATING_FOR_STUDY_CONSISTENCY": "UPDATED",
}


def now() -> datetime:
    """Tell the time to the millisecond, all that an answer carries, so that what was told can be searched."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class Workflow(ManagedState):
    """
    What is going on in a locked version, and what the version will be afterwards.

    :param outcome: All members of the version once the workflow is over.
    :param stamp: The member that the end of the workflow sets to its time, if any.
    """

    def __init__(self, outcome: Properties, stamp: str | None):
        super().__init__(IMAGE_SET_MODEL, [("RUNNING", "OVER")])
        self._outcome = outcome
        self._stamp = stamp
        self._started = now()

    def result(self) -> Properties | None:
        """Give the version's members once the workflow is over, None while it runs."""
        if self.status == "RUNNING":
            return None
        return self._outcome | ({self._stamp: self._ended()} if self._stamp else {})

    def _ended(self) -> datetime:
        # Nobody may have looked when the time was up.
        transition = state_manager.get_transition(IMAGE_SET_MODEL)
        if transition["progression"] != "time":
            return now()
        return min(now(), self._started + timedelta(seconds=transition["seconds"]))


class Version:
    """One entry in the history of an image set."""

    def __init__(self, properties: Properties, tags: DICOMTags, workflow: Workflow | None = None):
        self.properties = properties
        self.tags = tags
        self.workflow = workflow

    @property
    def number(self) -> int:
        """The version id, to compare: as texts, "10" comes before "9"."""
        return int(self.properties["versionId"])

    @property
    def state(self) -> str:
        """ACTIVE, LOCKED or DELETED; an old version keeps its own."""
        return str(self.properties["imageSetState"])

    @property
    def changed_at(self) -> datetime:
        """The time of the version, which is the creation of its image set until something updates it."""
        time = self.properties.get("updatedAt") or self.properties.get("createdAt")
        return time or datetime.fromtimestamp(0, UTC)

    def settle(self) -> None:
        """Take over the result of a workflow that is over."""
        result = self.workflow.result() if self.workflow else None
        if result is not None:
            self.properties, self.workflow = result, None


class ImageSet(BaseModel):
    """
    An image set with all its versions, oldest first.

    Every version is kept for as long as the data store, those of a deleted image set too: AWS does not
    document for how long a deleted image set can be listed.
    """

    def __init__(self, arn: str, image_set_id: str, versions: list[Version]):
        self.arn = arn
        self.image_set_id = image_set_id
        self.versions = sorted(versions, key=lambda version: version.number)
        self.resource_tags: dict[str, str] = {}
        # A history may be long, and is settled whenever it is read.
        self._in_flight = [version for version in self.versions if version.workflow]

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

    def settle(self) -> None:
        """Take over the results of the workflows that are over."""
        for version in self._in_flight:
            version.settle()
        self._in_flight = [version for version in self._in_flight if version.workflow]

    def look(self) -> None:
        """Count one read that shows this image set: a workflow may be told to take that many."""
        for version in self._in_flight:
            if version.workflow:
                version.workflow.advance()
        self.settle()

    def version(self, version_id: str | None) -> Version:
        """
        Give one version.

        :param version_id: Its id; None for the latest.
        :raises ResourceNotFoundException: there is no such version.
        """
        if version_id is None:
            return self.latest
        for version in self.versions:
            if version.number == int(version_id):
                return version
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
        """Refuse a version that somebody has gone past."""
        if int(version_id) != self.latest.number:
            raise ResourceNotFoundException("Requested version(s) of ImageSet(s) is not the latest.")

    def begin_version(
        self, running: str, tags: DICOMTags, *, failure: str | None = None, forced: bool = False
    ) -> Version:
        """
        Lock the image set with a new version on top of the latest.

        :param running: The workflow status until the end, such as UPDATING.
        :param tags: The DICOM attributes of the new version, if it ends well.
        :param failure: The message it fails with; None where it ends well.
        :param forced: The request overrode a check, which the version then shows.
        """
        properties = {
            "imageSetId": self.image_set_id,
            "versionId": str(self.latest.number + 1),
            "createdAt": self.created_at,
            "updatedAt": now(),
            "isPrimary": self.latest.properties.get("isPrimary"),
            "overrides": {"forced": True} if forced else None,
        }
        version = begin(properties, running, self.latest.tags if failure else tags, failure=failure)
        self.versions.append(version)
        self._in_flight.append(version)
        return version

    def lock_as_copy_source(self) -> None:
        """
        Lock the latest version while it is being copied; a source gets no new version.

        AWS does not document what the source shows after the copy: here it is what it was before.
        """
        running = {"ImageSetWorkflowStatus": "COPYING_WITH_READ_ONLY_ACCESS", "updatedAt": now()}
        self._lock_latest(running, Workflow(self.latest.properties, stamp=None))

    def delete(self) -> None:
        """Lock the latest version until it is deleted; a deletion adds no version."""
        settled = {"imageSetState": "DELETED", "ImageSetWorkflowStatus": "DELETED"}
        workflow = Workflow(self.latest.properties | settled, stamp="deletedAt")
        self._lock_latest({"ImageSetWorkflowStatus": "DELETING"}, workflow)

    def _lock_latest(self, running: Properties, workflow: Workflow) -> None:
        version = self.latest
        version.properties = version.properties | running | {"imageSetState": "LOCKED"}
        version.workflow = workflow
        self._in_flight.append(version)


def begin(
    properties: Properties,
    running: str,
    tags: DICOMTags,
    *,
    failure: str | None = None,
    stamp: str | None = "updatedAt",
) -> Version:
    """
    Make a locked version whose workflow has just begun.

    :param properties: Its members, without state and status; those that are None are left out.
    :param running: The workflow status until the end.
    :param tags: Its DICOM attributes.
    :param failure: The message it fails with; None where it ends well. AWS shows a failed version as ACTIVE.
    :param stamp: The member that the end of the workflow sets to its time, if any.
    """
    properties = {name: value for name, value in properties.items() if value is not None}
    if failure:
        settled = {"ImageSetWorkflowStatus": _FAILS_AS[running], "message": failure}
    else:
        settled = {"ImageSetWorkflowStatus": ENDS_WELL_AS[running]}
    return Version(
        properties | {"imageSetState": "LOCKED", "ImageSetWorkflowStatus": running},
        tags,
        Workflow(properties | {"imageSetState": "ACTIVE"} | settled, stamp),
    )


_FAILS_AS = {
    "COPYING": "COPY_FAILED",
    "UPDATING": "UPDATE_FAILED",
    "UPDATING_FOR_STUDY_CONSISTENCY": "UPDATE_FAILED",
    "IMPORTING": "IMPORT_FAILED",
}


def loaded(properties: Properties, tags: DICOMTags) -> Version:
    """
    Take a version as it stands; one whose status is a running one settles like any other.

    :param properties: Its members, as ListImageSetVersions answers them.
    :param tags: Its DICOM attributes.
    """
    # moto writes an aware time as if it were in UTC.
    properties = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in properties.items()
    }
    settled = ENDS_WELL_AS.get(properties.get("ImageSetWorkflowStatus", ""))
    if settled is None:
        return Version(properties, tags)
    deleted = settled == "DELETED"
    outcome = properties | {
        "imageSetState": "DELETED" if deleted else "ACTIVE",
        "ImageSetWorkflowStatus": settled,
    }
    return Version(properties, tags, Workflow(outcome, "deletedAt" if deleted else "updatedAt"))
