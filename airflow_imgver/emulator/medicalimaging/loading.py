"""Loads data stores, image sets and import jobs as they are, for a state to start with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.medicalimaging.contents import Contents, uid_of
from airflow_imgver.emulator.medicalimaging.datastores import Datastore
from airflow_imgver.emulator.transitions import now

if TYPE_CHECKING:
    from airflow_imgver.emulator.medicalimaging.import_jobs import ImportJob
    from airflow_imgver.emulator.transitions import Timeline


class Loading:
    """The part of the HealthImaging backend that takes resources as they are."""

    datastores: dict[str, Datastore]
    timeline: Timeline

    def load_datastore(self, datastore_id: str) -> Datastore:
        """Give a data store; a missing one is created, ACTIVE and empty."""
        datastore = self.datastores.get(datastore_id)
        if datastore is None:
            datastore = self.new_datastore(datastore_id, {})
            datastore.enter("ACTIVE", now())
        return datastore

    def load_image_set(self, datastore_id: str, image_set_id: str, entries: list[dict[str, Any]]) -> None:
        """
        Load the history of an image set, in place of an image set with the same id.

        A missing data store is created as ACTIVE. An entry with a running status, such as COPYING, settles
        like any other; an unknown status stays. An entry may have ``DICOMTags``, as SearchImageSets answers
        them; missing UIDs get values that no other image set has.

        :param datastore_id: The data store.
        :param image_set_id: The image set.
        :param entries: Its versions in any order, with the members and the spelling of ListImageSetVersions,
            and aware times. An ``imageSetId`` that an entry lacks is filled in.
        :raises ValueError: there are no entries, or two with one ``versionId``.
        """
        numbers = {int(entry["versionId"]) for entry in entries}
        if not entries or len(numbers) < len(entries):
            raise ValueError(f"image set {image_set_id} needs entries, each with a versionId of its own")
        default_tags = {
            "DICOMStudyInstanceUID": uid_of("study", image_set_id),
            "DICOMSeriesInstanceUID": uid_of("series", image_set_id),
        }
        contents = [Contents(tags=default_tags | entry.get("DICOMTags", {})) for entry in entries]
        listed = [{name: entry[name] for name in entry if name != "DICOMTags"} for entry in entries]
        self.load_datastore(datastore_id).new_image_set(image_set_id).load(listed, contents)

    def load_import_job(self, datastore_id: str, properties: dict[str, Any]) -> None:
        """
        Load an import job; one that still runs goes on from now.

        :param datastore_id: The data store, which is created as ACTIVE where it is missing.
        :param properties: The members of DICOMImportJobProperties, with aware times.
        """
        job = self.new_import_job(self.load_datastore(datastore_id), properties["jobId"], properties)
        job.load(properties)
        self.timeline.add(job)

    def new_datastore(self, datastore_id: str, parameters: dict[str, Any]) -> Datastore:
        """Add a data store without a status."""
        raise NotImplementedError

    def new_import_job(self, datastore: Datastore, job_id: str, parameters: dict[str, Any]) -> ImportJob:
        """Add an import job without a status."""
        raise NotImplementedError
