"""Images and image versions: what they hold, and how they change with time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.moto_api._internal.managed_state_model import ManagedState

from airflow_imgver.emulator.sagemaker.exceptions import InvalidArguments, ResourceInUse, ResourceNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
"""What a version is created with and DescribeImageVersion shows."""

_ECR_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/"
    r"[a-z0-9]+([._/-][a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)

# AWS shows no status for what has been deleted: it is no longer there.
_GONE = "DELETED"


def now() -> datetime:
    """Give the current time in whole milliseconds, which is all that an answer carries."""
    return in_milliseconds(datetime.now(UTC))


def in_milliseconds(moment: datetime) -> datetime:
    """Cut a time to milliseconds, so that a filter finds what an answer showed."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Changing(ManagedState):
    """Something whose status moves by itself: at once, with time, or with every look at it."""

    def __init__(self, model: str, status: str, transitions: Mapping[str, str]) -> None:
        super().__init__(model, transitions=list(transitions.items()))
        self.created_at = self.modified_at = now()
        self.failure_reason: str | None = None
        self.begin(status)

    def begin(self, status: str) -> None:
        """Take a status now; from here its time and its looks are counted."""
        self._status: str | None = status
        self._tick = 0
        # A local time, because moto compares it with one.
        self._time_progressed = datetime.now()

    def look(self) -> None:
        """Count a look by a caller, who is shown the status that it leads to."""
        self.advance()
        self.settle()

    def settle(self) -> None:
        """Let the status move on by itself if it is due to, and note when it does."""
        before = self._status
        if self.status != before:
            self.modified_at = now()
            self._tick = 0

    @property
    def shown_status(self) -> str:
        """The status as it last settled, so that one answer never shows two."""
        return str(self._status)

    @property
    def is_gone(self) -> bool:
        """Whether a deletion is over."""
        return self._status == _GONE


class ImageVersion(Changing):
    """One version of an image, with the members that AWS lists and those that it only describes."""

    def __init__(
        self, image: Image, number: int, *, properties: Mapping[str, Any], aliases: Iterable[str] = ()
    ) -> None:
        base_image = properties.get("BaseImage")
        self.fails = base_image is not None and not _ECR_IMAGE.fullmatch(base_image)
        super().__init__(
            "sagemaker::image-version",
            "CREATING",
            {"CREATING": "CREATE_FAILED" if self.fails else "CREATED", "DELETING": _GONE},
        )
        self.number = number
        self.image_arn = image.arn
        self.arn = f"{image.arn.replace(':image/', ':image-version/')}/{number}"
        self.properties = dict(properties)
        self.aliases = list(aliases)

    def settle(self) -> None:
        """Let the status move on; a creation that cannot succeed fails with its reason."""
        super().settle()
        if self._status == "CREATE_FAILED" and self.fails and self.failure_reason is None:
            self.failure_reason = (
                f"ClientError: BaseImage '{self.properties['BaseImage']}' is not an Amazon ECR image URI of "
                "the form <account>.dkr.ecr.<region>.amazonaws.com/<repository>[:tag|@digest]."
            )

    def listed(self) -> dict[str, Any]:
        """Give the entry that ListImageVersions shows."""
        entry = {
            "CreationTime": self.created_at,
            "ImageArn": self.image_arn,
            "ImageVersionArn": self.arn,
            "ImageVersionStatus": self.shown_status,
            "LastModifiedTime": self.modified_at,
            "Version": self.number,
        }
        if self.failure_reason is not None:
            entry["FailureReason"] = self.failure_reason
        return entry

    def described(self) -> dict[str, Any]:
        """Give what DescribeImageVersion shows."""
        description = {**self.properties, **self.listed()}
        if self.shown_status == "CREATED" and "BaseImage" in self.properties:
            description["ContainerImage"] = self.properties["BaseImage"]
        return description


class Image(Changing):
    """An image: a name, a role, and the versions that were built under it."""

    def __init__(self, arn: str, name: str, role_arn: str | None = None) -> None:
        super().__init__(
            "sagemaker::image",
            "CREATING",
            {"CREATING": "CREATED", "UPDATING": "CREATED", "DELETING": _GONE},
        )
        self.arn = arn
        self.name = name
        self.role_arn = role_arn
        self.display_name: str | None = None
        self.description: str | None = None
        self.tags: list[dict[str, str]] = []
        self.last_number = 0
        self.creations: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._versions: dict[int, ImageVersion] = {}

    def versions(self, *, shown: bool = False) -> list[ImageVersion]:
        """
        Give the versions that are there.

        :param shown: Whether the caller is shown them all, which counts as a look at each.
        """
        for version in list(self._versions.values()):
            if shown:
                version.look()
            else:
                version.settle()
            if version.is_gone:
                del self._versions[version.number]
        return list(self._versions.values())

    def add(self, version: ImageVersion) -> None:
        """Take in a version; a number is never used twice, not even after a deletion."""
        self._versions[version.number] = version
        self.last_number = max(self.last_number, version.number)

    def version(self, number: int | None, alias: str | None, *, shown: bool = False) -> ImageVersion:
        """
        Find a version by its number or by an alias, or the latest.

        :param number: The version's number, or None.
        :param alias: An alias of the version, or None. Both None means the greatest number.
        :param shown: Whether the caller is shown the version, which counts as a look at it.
        :raises ResourceNotFound: there is no such version.
        """
        version = self._version(number, alias)
        if not shown:
            return version
        version.look()
        return self._version(number, alias) if version.is_gone else version

    def _version(self, number: int | None, alias: str | None) -> ImageVersion:
        if number is not None and alias is not None:
            raise InvalidArguments("Only one of Version and Alias can be given.")
        versions = self.versions()
        if number is None and alias is None:
            if not versions:
                raise ResourceNotFound(
                    f"Latest ImageVersion with ImageName {self.name} does not exist. "
                    "Please provide a valid ImageName."
                )
            return max(versions, key=lambda version: version.number)
        for version in versions:
            if version.number == number or (alias is not None and alias in version.aliases):
                return version
        asked = f"Version {number}" if alias is None else f"Alias {alias}"
        raise ResourceNotFound(f"ImageVersion with ImageName {self.name} and {asked} does not exist.")

    def refuse_taken_aliases(self, aliases: Iterable[str], but: ImageVersion | None = None) -> None:
        """
        Refuse an alias that another version of the image carries; AWS does not document what it does.

        :raises ResourceInUse: with the alias and the version that has it.
        """
        for version in self.versions():
            taken = set(aliases) & set(version.aliases)
            if taken and version is not but:
                raise ResourceInUse(f"Alias {min(taken)} is in use by ImageVersion ({version.arn}).")

    def listed(self) -> dict[str, Any]:
        """Give the entry that ListImages shows."""
        entry = {
            "CreationTime": self.created_at,
            "ImageArn": self.arn,
            "ImageName": self.name,
            "ImageStatus": self.shown_status,
            "LastModifiedTime": self.modified_at,
            # AWS shows the name where no display name was given.
            "DisplayName": self.display_name or self.name,
        }
        if self.description is not None:
            entry["Description"] = self.description
        return entry

    def described(self) -> dict[str, Any]:
        """Give what DescribeImage shows."""
        return self.listed() if self.role_arn is None else {**self.listed(), "RoleArn": self.role_arn}
