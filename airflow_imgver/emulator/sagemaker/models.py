"""Images and image versions: their members, and their statuses."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.sagemaker.exceptions import InvalidArguments, ResourceInUse, ResourceNotFound
from airflow_imgver.emulator.sagemaker.history import History
from airflow_imgver.emulator.transitions import Changing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_imgver.emulator.transitions import Timeline

VERSION_PROPERTIES = (
    "BaseImage",
    "VendorGuidance",
    "JobType",
    "MLFramework",
    "ProgrammingLang",
    "Processor",
    "Horovod",
    "ReleaseNotes",
)
"""The members that CreateImageVersion takes and DescribeImageVersion shows."""

_ECR_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/"
    r"[a-z0-9]+([._/-][a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)

# AWS has no status for a deleted resource: it no longer exists.
_GONE = "DELETED"


class ImageResource(Changing):
    """An image or an image version, with the times at which it was created and last changed."""

    created_at: datetime
    modified_at: datetime
    failure_reason: str | None = None

    def enter(self, status: str, time: datetime) -> None:
        """Take a status; the first one is also the creation."""
        super().enter(status, time)
        self.modified_at = time
        if not hasattr(self, "created_at"):
            self.created_at = time

    @property
    def is_gone(self) -> bool:
        """Whether a deletion is over."""
        return self.status == _GONE


class ImageVersion(ImageResource):
    """One version of an image, with the members that AWS lists and those that it only describes."""

    model = "sagemaker::image-version"

    def __init__(
        self, image: Image, number: int, *, properties: Mapping[str, Any], aliases: Iterable[str] = ()
    ) -> None:
        base_image = properties.get("BaseImage")
        self.fails = base_image is not None and not _ECR_IMAGE.fullmatch(base_image)
        self.image = image
        self.number = number
        self.arn = f"{image.arn.replace(':image/', ':image-version/')}/{number}"
        self.properties = dict(properties)
        self.aliases = list(dict.fromkeys(aliases))

    def next_status(self) -> str | None:
        """Give CREATED or CREATE_FAILED for a version that is built, and its end for one that is deleted."""
        if self.status == "CREATING":
            return "CREATE_FAILED" if self.fails else "CREATED"
        return _GONE if self.status == "DELETING" else None

    def enter(self, status: str, time: datetime) -> None:
        """Take a status; a failed build gives its reason, and a deleted version leaves its image."""
        super().enter(status, time)
        self.failure_reason = None
        if status == "CREATE_FAILED":
            self.failure_reason = (
                f"ClientError: BaseImage '{self.properties['BaseImage']}' is not an Amazon ECR image URI of "
                "the form <account>.dkr.ecr.<region>.amazonaws.com/<repository>[:tag|@digest]."
            )
        if status == _GONE:
            self.image.history.remove(self)
        else:
            self.image.take(self)

    def listed(self) -> dict[str, Any]:
        """Give the entry that ListImageVersions shows."""
        entry = {
            "CreationTime": self.created_at,
            "ImageArn": self.image.arn,
            "ImageVersionArn": self.arn,
            "ImageVersionStatus": self.status,
            "LastModifiedTime": self.modified_at,
            "Version": self.number,
        }
        if self.failure_reason is not None:
            entry["FailureReason"] = self.failure_reason
        return entry

    def described(self) -> dict[str, Any]:
        """Give what DescribeImageVersion shows."""
        description = {"Horovod": False, **self.properties, **self.listed()}
        if self.status == "CREATED" and "BaseImage" in self.properties:
            description["ContainerImage"] = _container_image(self.properties["BaseImage"])
        return description


def _container_image(base_image: str) -> str:
    """Name an ECR image by its digest, as AWS does; the same tag has the same digest."""
    tagged, _, digest = base_image.partition("@")
    repository = re.sub(r":[^/:]*$", "", tagged)
    return f"{repository}@{digest or 'sha256:' + hashlib.sha256(tagged.encode()).hexdigest()}"


class Image(ImageResource):
    """
    An image: a name, a role, and its versions.

    :param timeline: Where the changes of the image and of its versions happen.
    """

    model = "sagemaker::image"

    def __init__(self, timeline: Timeline, arn: str, name: str, role_arn: str | None = None) -> None:
        self.timeline = timeline
        self.arn = arn
        self.name = name
        self.role_arn = role_arn
        self.display_name: str | None = None
        self.description: str | None = None
        self.tags: list[dict[str, str]] = []
        self.last_number = 0
        self.creations: dict[str, tuple[Mapping[str, Any], str]] = {}
        self.history = History()

    def next_status(self) -> str | None:
        """Give CREATED for an image that is created or updated, and its end for one that is deleted."""
        return {"CREATING": "CREATED", "UPDATING": "CREATED", "DELETING": _GONE}.get(self.status)

    def read_versions(self) -> None:
        """Count a read of each version: a status may change after a number of reads."""
        for version in self.history.busy():
            self.timeline.read(version)

    def take(self, version: ImageVersion) -> None:
        """Take a new or changed version; a number is never used twice, not even after a deletion."""
        self.history.put(version)
        self.last_number = max(self.last_number, version.number)

    def version(self, number: int | None, alias: str | None, *, read: bool = False) -> ImageVersion:
        """
        Find a version by its number or by an alias, or the latest.

        :param number: The version's number, or None.
        :param alias: An alias of the version, or None. Both None means the greatest number.
        :param read: Whether the caller shows the version, which counts as a read of it.
        :raises ResourceNotFound: the version does not exist.
        """
        version = self._version(number, alias)
        if not read:
            return version
        self.timeline.read(version)
        return self._version(number, alias) if version.is_gone else version

    def _version(self, number: int | None, alias: str | None) -> ImageVersion:
        if number is not None and alias is not None:
            raise InvalidArguments("Only one of Version and Alias can be given.")
        if number is None and alias is None:
            version = self.history.latest()
            if version is None:
                raise ResourceNotFound(
                    f"Latest ImageVersion with ImageName {self.name} does not exist. "
                    "Please provide a valid ImageName."
                )
            return version
        found = self.history.by_number(number) if number is not None else self.history.by_alias(str(alias))
        if found is None:
            name = f"Version {number}" if alias is None else f"Alias {alias}"
            raise ResourceNotFound(f"ImageVersion with ImageName {self.name} and {name} does not exist.")
        return found

    def refuse_taken_aliases(self, aliases: Iterable[str], but: ImageVersion | None = None) -> None:
        """
        Refuse an alias that another version of the image has; AWS does not document this case.

        :raises ResourceInUse: the message names the alias and the version that has it.
        """
        for alias in sorted(aliases):
            version = self.history.by_alias(alias)
            if version is not None and version is not but:
                raise ResourceInUse(f"Alias {alias} is in use by ImageVersion ({version.arn}).")

    def listed(self) -> dict[str, Any]:
        """Give the entry that ListImages shows."""
        entry = {
            "CreationTime": self.created_at,
            "ImageArn": self.arn,
            "ImageName": self.name,
            "ImageStatus": self.status,
            "LastModifiedTime": self.modified_at,
            "DisplayName": self.display_name,
            "Description": self.description,
        }
        return {member: value for member, value in entry.items() if value is not None}

    def described(self) -> dict[str, Any]:
        """Give what DescribeImage shows."""
        return self.listed() if self.role_arn is None else {**self.listed(), "RoleArn": self.role_arn}
