"""The images of one account in one region, and the operations on them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from moto.sagemaker.models import sagemaker_backends

from airflow_imgver.emulator.sagemaker.exceptions import (
    InvalidArguments,
    InvalidState,
    ResourceInUse,
    ResourceNotFound,
)
from airflow_imgver.emulator.sagemaker.models import (
    VERSION_PROPERTIES,
    Image,
    ImageVersion,
)
from airflow_imgver.emulator.transitions import Timeline, in_milliseconds, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moto.sagemaker.models import SageMakerModelBackend

# AWS ends this message without a full stop.
MISSING_IMAGE = "Image with ARN {} does not exist"

_STORE = "_image_store"
_CREATING_STORES = threading.Lock()


def images_of(backend: SageMakerModelBackend) -> ImageStore:
    """
    Give the images of moto's SageMaker backend of one account and region.

    They are in an attribute of the backend, which moto's reset empties with all its attributes.

    :param backend: ``sagemaker_backends[account][region]``.
    """
    with _CREATING_STORES:
        if _STORE not in vars(backend):
            setattr(backend, _STORE, ImageStore(backend.account_id, backend.region_name, backend.partition))
        store: ImageStore = vars(backend)[_STORE]
    return store


def stores() -> list[ImageStore]:
    """Give the images of each account and region that has any."""
    backends = [
        backend for regions in list(sagemaker_backends.values()) for backend in list(regions.values())
    ]
    return [store for store in (vars(backend).get(_STORE) for backend in backends) if store is not None]


def load_image(
    backend: SageMakerModelBackend,
    image_name: str,
    entries: list[dict[str, Any]],
    members: Mapping[str, Any] | None = None,
) -> None:
    """
    Put an image and its versions into a backend.

    A version that is still CREATING becomes CREATED, and a version that is DELETING vanishes, in the time of
    a state change; all others keep their status.

    :param backend: ``sagemaker_backends[account][region]``.
    :param image_name: The image's name; it replaces an image with the same name.
    :param entries: Entries of ListImageVersions with times as datetimes, in any order; with the members that
        only DescribeImageVersion shows, if any.
    :param members: The image's RoleArn, DisplayName and Description, if any.
    """
    store = images_of(backend)
    arn = entries[0]["ImageArn"] if entries else store.arn_of(image_name)
    members = members or {}
    image = Image(store.timeline, arn, image_name, members.get("RoleArn"))
    image.display_name, image.description = members.get("DisplayName"), members.get("Description")
    image.enter("CREATED", now())
    for entry in sorted(entries, key=lambda entry: int(entry["Version"])):
        properties = {name: entry[name] for name in VERSION_PROPERTIES if name in entry}
        version = ImageVersion(image, entry["Version"], properties=properties)
        version.arn = entry["ImageVersionArn"]
        version.status = entry["ImageVersionStatus"]
        version.created_at = in_milliseconds(entry["CreationTime"])
        version.modified_at = in_milliseconds(entry["LastModifiedTime"])
        version.failure_reason = entry.get("FailureReason")
        image.take(version)
        store.timeline.add(version)
    if entries:
        image.created_at = min(version.created_at for version in image.history.all())
        image.modified_at = max(version.modified_at for version in image.history.all())
    store.put(image)


class ImageStore:
    """The images of one account in one region; a public method is one operation, whole or without effect."""

    def __init__(self, account_id: str, region: str, partition: str) -> None:
        self.lock = threading.RLock()
        self.timeline = Timeline("sagemaker")
        self._arn = f"arn:{partition}:sagemaker:{region}:{account_id}:image"
        self._images: dict[str, Image] = {}

    def arn_of(self, name: str) -> str:
        """Give the ARN of an image name; SageMaker writes it in lower case."""
        return f"{self._arn}/{name.lower()}"

    def put(self, image: Image) -> None:
        """Add an image, in place of one with the same name."""
        with self.lock:
            self._images[image.name] = image

    def images(self, *, read: bool = False) -> list[Image]:
        """
        Give the images.

        :param read: Whether the caller shows them all, which counts as a read of each.
        """
        self.timeline.settle()
        for image in list(self._images.values()):
            if read:
                self.timeline.read(image)
            if image.is_gone:
                del self._images[image.name]
        return list(self._images.values())

    def image(self, name: str, *, read: bool = False) -> Image:
        """
        Find an image.

        :param name: The image's name.
        :param read: Whether the caller shows the image, which counts as a read of it.
        :raises ResourceNotFound: the image does not exist.
        """
        self.timeline.settle()
        image = self._images.get(name)
        if image is not None and read:
            self.timeline.read(image)
        if image is None or image.is_gone:
            self._images.pop(name, None)
            raise ResourceNotFound(MISSING_IMAGE.format(self.arn_of(name)))
        return image

    def image_by_arn(self, arn: str) -> Image | None:
        """Find an image by its ARN, for moto's tag operations."""
        with self.lock:
            return next((image for image in self._images.values() if image.arn == arn), None)

    def create_image(
        self,
        name: str,
        role_arn: str,
        *,
        display_name: str | None,
        description: str | None,
        tags: list[dict[str, str]],
    ) -> str:
        """Create an image without versions, and give its ARN."""
        with self.lock:
            if any(image.arn == self.arn_of(name) for image in self.images()):
                raise ResourceInUse(
                    f"The Image with ImageName {name} already exists. Please use a different ImageName."
                )
            image = Image(self.timeline, self.arn_of(name), name, role_arn)
            image.display_name, image.description, image.tags = display_name, description, list(tags)
            self._images[name] = image
            self.timeline.create(image, "CREATING")
            return image.arn

    def update_image(self, name: str, changes: Mapping[str, str], deleted: Iterable[str]) -> str:
        """Change an image's role, display name or description, and give its ARN."""
        with self.lock:
            image = self._settled_image(name)
            if contradicted := set(changes) & set(deleted):
                raise InvalidArguments(f"{min(contradicted)} cannot be both set and deleted.")
            wanted = {**changes, **dict.fromkeys(deleted)}
            image.role_arn = wanted.get("RoleArn", image.role_arn)
            image.display_name = wanted.get("DisplayName", image.display_name)
            image.description = wanted.get("Description", image.description)
            self.timeline.change(image, "UPDATING")
            return image.arn

    def delete_image(self, name: str) -> None:
        """Delete an image with all its versions."""
        with self.lock:
            image = self._settled_image(name)
            for version in image.history.busy():
                self._refuse_busy(version)
            for version in image.history.all():
                self.timeline.change(version, "DELETING")
            self.timeline.change(image, "DELETING")

    def create_version(
        self, name: str, *, client_token: str, properties: Mapping[str, Any], aliases: list[str]
    ) -> str:
        """
        Create the next version of an image, and give its ARN.

        A second call with the same token gives the same version.
        """
        arguments = {"properties": dict(properties), "aliases": list(aliases)}
        with self.lock:
            image = self.image(name)
            if client_token in image.creations:
                earlier, arn = image.creations[client_token]
                if earlier != arguments:
                    raise InvalidArguments(
                        f"ClientToken {client_token} was used before with other arguments; use a new one."
                    )
                return arn
            if image.status != "CREATED":
                raise InvalidState(f"Image {name} is in an invalid state.")
            if any(version.status == "DELETING" for version in image.history.busy()):
                raise ResourceInUse("Resource was modified concurrently")
            image.refuse_taken_aliases(aliases)
            version = ImageVersion(image, image.last_number + 1, properties=properties, aliases=aliases)
            self.timeline.create(version, "CREATING")
            image.creations[client_token] = arguments, version.arn
            return version.arn

    def update_version(
        self,
        name: str,
        number: int | None,
        alias: str | None,
        *,
        properties: Mapping[str, Any],
        added: list[str],
        deleted: list[str],
    ) -> str:
        """Change a version's properties and aliases, and give its ARN."""
        with self.lock:
            image = self.image(name)
            version = self._named_version(image, number, alias)
            self._refuse_busy(version)
            image.refuse_taken_aliases(added, but=version)
            kept = [each for each in version.aliases if each not in deleted]
            version.aliases = [*kept, *(each for each in dict.fromkeys(added) if each not in kept)]
            version.properties.update({k: v for k, v in properties.items() if k in VERSION_PROPERTIES})
            version.modified_at = now()
            image.take(version)
            return version.arn

    def delete_version(self, name: str, number: int | None, alias: str | None) -> None:
        """Delete one version."""
        with self.lock:
            version = self._named_version(self.image(name), number, alias)
            self._refuse_busy(version)
            self.timeline.change(version, "DELETING")

    def _settled_image(self, name: str) -> Image:
        image = self.image(name)
        if image.status in ("CREATING", "UPDATING", "DELETING"):
            raise ResourceInUse(f"Image ({image.arn}) is {image.status}.")
        return image

    @staticmethod
    def _named_version(image: Image, number: int | None, alias: str | None) -> ImageVersion:
        if number is None and alias is None:
            raise InvalidArguments("One of Version and Alias must be given.")
        return image.version(number, alias)

    @staticmethod
    def _refuse_busy(version: ImageVersion) -> None:
        if version.status == "DELETING":
            raise ResourceInUse(f"ImageVersion ({version.arn}) is being deleted")
        if version.status == "CREATING":
            raise ResourceInUse("Resource was modified concurrently")
