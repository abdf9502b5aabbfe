# ruff: noqa: D102 - a method without a docstring is the operation of its name
"""The tags of data stores and image sets, and the same for moto's Resource Groups Tagging API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from airflow_imgver.emulator.medicalimaging.exceptions import ResourceNotFoundException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_imgver.emulator.medicalimaging.datastores import Datastore
    from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet


class Tagging(TaggableResourcesMixin):
    """The tag operations of the HealthImaging backend."""

    SERVICE_NAMESPACE = "medical-imaging"
    datastores: dict[str, Datastore]

    def list_tags_for_resource(self, arn: str) -> dict[str, str]:
        return self._resource(arn).resource_tags

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        self._resource(arn).resource_tags.update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        for key in tag_keys:
            self._resource(arn).resource_tags.pop(key, None)

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for datastore in self.datastores.values():
            yield TaggedResource(datastore.arn, datastore.resource_tags, "medical-imaging:datastore")
            for image_set in datastore.image_sets.values():
                yield TaggedResource(
                    image_set.arn, image_set.resource_tags, "medical-imaging:datastore/imageset"
                )

    def _resource(self, arn: str) -> Datastore | ImageSet:
        for datastore in self.datastores.values():
            if arn == datastore.arn:
                return datastore
            if arn.startswith(f"{datastore.arn}/imageset/"):
                return datastore.image_set(arn.rpartition("/")[2])
        raise ResourceNotFoundException(f"The resource with ARN {arn} does not exist.")
