# ruff: noqa: D102 - a method without a docstring is the operation of its name
"""The HealthImaging backend: one account in one region."""

from __future__ import annotations

from threading import RLock
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.moto_api._internal import mock_random

from airflow_imgver.emulator.medicalimaging.datastores import Datastore
from airflow_imgver.emulator.medicalimaging.exceptions import ConflictException, ResourceNotFoundException
from airflow_imgver.emulator.medicalimaging.frames import CONTENT_TYPES, grey_frame
from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet, Properties, Version
from airflow_imgver.emulator.medicalimaging.import_jobs import ImportJob
from airflow_imgver.emulator.medicalimaging.loading import Loading
from airflow_imgver.emulator.medicalimaging.search import DEFAULT_SORT, check_filters, summary
from airflow_imgver.emulator.medicalimaging.tagging import Tagging
from airflow_imgver.emulator.paging import page
from airflow_imgver.emulator.transitions import Timeline

# AWS documents the largest page, not the default.
PAGE_SIZE = 50


class HealthImagingBackend(BaseBackend, Loading, Tagging):
    """The data stores of one account in one region, and the operations on them."""

    def __init__(self, region_name: str, account_id: str):
        super().__init__(region_name, account_id)
        self.datastores: dict[str, Datastore] = {}
        # The server answers each request in its own thread, and every write first checks the state.
        self.lock = RLock()
        self.timeline = Timeline("medical-imaging")

    def create_datastore(self, client_token: str, parameters: dict[str, Any]) -> Datastore:
        for datastore in self.datastores.values():
            if datastore.parameters.get("clientToken") == client_token:
                if datastore.parameters != parameters:
                    raise ConflictException(
                        "A data store was already created with this client token and other parameters."
                    )
                return datastore
        datastore = self.new_datastore(mock_random.get_random_hex(32), parameters)
        self.timeline.create(datastore, "CREATING")
        return datastore

    def new_datastore(self, datastore_id: str, parameters: dict[str, Any]) -> Datastore:
        """Add a data store without a status."""
        scope = f"arn:{self.partition}:medical-imaging:{self.region_name}:{self.account_id}"
        datastore = Datastore(self.timeline, f"{scope}:datastore/{datastore_id}", datastore_id, parameters)
        self.datastores[datastore_id] = datastore
        return datastore

    def get_datastore(self, datastore_id: str) -> Datastore:
        datastore = self.datastores.get(datastore_id)
        if datastore is None:
            raise ResourceNotFoundException(f"The requested datastore {datastore_id} does not exist.")
        return datastore

    def describe_datastore(self, datastore_id: str) -> Datastore:
        datastore = self.get_datastore(datastore_id)
        self.timeline.read(datastore)
        return datastore

    def list_datastores(
        self, status: str | None, max_results: int | None, next_token: str | None
    ) -> tuple[list[Datastore], str | None]:
        for datastore in self.datastores.values():
            self.timeline.read(datastore)
        found = [one for one in self.datastores.values() if status in (None, one.status)]

        def key(datastore: Datastore) -> tuple[float, str]:
            return datastore.created_at.timestamp(), datastore.datastore_id

        return page(
            sorted(found, key=key),
            size=max_results or PAGE_SIZE,
            token=next_token,
            bound_to={"operation": "ListDatastores", "datastoreStatus": status},
            key=key,
        )

    def delete_datastore(self, datastore_id: str) -> Datastore:
        datastore = self._readable_datastore(datastore_id)
        if datastore.status != "DELETING":
            self._active_datastore(datastore_id).begin_deletion()
        return datastore

    def start_dicom_import_job(
        self, datastore_id: str, client_token: str, parameters: dict[str, Any]
    ) -> ImportJob:
        datastore = self._active_datastore(datastore_id)
        for job in datastore.import_jobs.values():
            if job.parameters.get("clientToken") == client_token:
                if job.parameters != parameters:
                    raise ConflictException(
                        "An import job was already started with this client token and other parameters."
                    )
                return job
        job = self.new_import_job(datastore, mock_random.get_random_hex(32), parameters)
        self.timeline.create(job, "SUBMITTED")
        return job

    def new_import_job(self, datastore: Datastore, job_id: str, parameters: dict[str, Any]) -> ImportJob:
        """Add an import job without a status."""
        # Not at the top: moto's S3 takes as long to import as all of this backend.
        from moto.s3.models import s3_backends

        storage = s3_backends[self.account_id][self.partition]
        job = ImportJob(len(datastore.import_jobs), job_id, datastore, parameters, storage, self.region_name)
        datastore.import_jobs[job_id] = job
        return job

    def get_dicom_import_job(self, datastore_id: str, job_id: str) -> ImportJob:
        datastore = self.get_datastore(datastore_id)
        job = datastore.import_jobs.get(job_id)
        if job is None:
            raise ResourceNotFoundException(
                f"The requested import job {job_id} does not exist in datastore {datastore_id}."
            )
        self.timeline.read(job)
        return job

    def list_dicom_import_jobs(
        self, datastore_id: str, status: str | None, max_results: int | None, next_token: str | None
    ) -> tuple[list[ImportJob], str | None]:
        datastore = self.get_datastore(datastore_id)
        for job in datastore.import_jobs.values():
            self.timeline.read(job)
        newest_first = [
            job for job in reversed(datastore.import_jobs.values()) if status in (None, job.status)
        ]
        return page(
            newest_first,
            size=max_results or PAGE_SIZE,
            token=next_token,
            bound_to={
                "operation": "ListDICOMImportJobs",
                "datastoreId": datastore_id,
                "jobStatus": status,
            },
            key=lambda job: job.number,
            descending=True,
        )

    def search_image_sets(
        self, datastore_id: str, criteria: dict[str, Any], max_results: int | None, next_token: str | None
    ) -> tuple[list[dict[str, Any]], dict[str, str], str | None]:
        """
        Search the latest versions of the image sets that are not deleted.

        A search shows no state, so it does not count as a read of the image sets that it finds.

        :return: The summaries of one page, the sort, and the token of the next page.
        """
        filters, sort = criteria.get("filters") or [], criteria.get("sort") or DEFAULT_SORT
        check_filters(filters)
        image_sets, token = self._readable_datastore(datastore_id).search.page(
            filters,
            sort,
            size=max_results or PAGE_SIZE,
            token=next_token,
            bound_to={
                "operation": "SearchImageSets",
                "datastoreId": datastore_id,
                "filters": filters,
                "sort": sort,
            },
        )
        return [summary(image_set) for image_set in image_sets], sort, token

    def get_image_set(
        self, datastore_id: str, image_set_id: str, version_id: str | None
    ) -> tuple[ImageSet, Version]:
        image_set = self._readable_datastore(datastore_id).image_set(image_set_id)
        image_set.read()
        return image_set, image_set.version(version_id)

    def get_image_set_metadata(self, datastore_id: str, image_set_id: str, version_id: str | None) -> bytes:
        image_set = self._existing_image_set(datastore_id, image_set_id)
        version = image_set.version(version_id)
        if not version.is_consistent:
            raise ConflictException(
                "Requested ImageSet metadata is not consistent yet. Please retry after a few seconds."
            )
        return version.contents.compressed(datastore_id, image_set_id)

    def get_image_frame(self, datastore_id: str, image_set_id: str, frame_id: str) -> tuple[bytes, str]:
        image_set = self._existing_image_set(datastore_id, image_set_id)
        # A frame that an update removed stays readable through the versions before it.
        for version in reversed(image_set.versions):
            instance = version.contents.frames.get(frame_id)
            if instance is not None:
                stored_as = instance["StoredTransferSyntaxUID"]
                imported = self.datastores[datastore_id].frames.get(frame_id)
                return imported or grey_frame(instance["DICOM"], stored_as), CONTENT_TYPES[stored_as]
        raise ResourceNotFoundException(
            f"The requested image frame {frame_id} does not exist in ImageSet {image_set_id}."
        )

    def list_image_set_versions(
        self, datastore_id: str, image_set_id: str, max_results: int | None, next_token: str | None
    ) -> tuple[list[Properties], str | None]:
        image_set = self._readable_datastore(datastore_id).image_set(image_set_id)
        image_set.read()
        versions, token = page(
            image_set.versions[::-1],
            size=max_results or PAGE_SIZE,
            token=next_token,
            bound_to={
                "operation": "ListImageSetVersions",
                "datastoreId": datastore_id,
                "imageSetId": image_set_id,
            },
            key=lambda version: version.number,
            descending=True,
        )
        return [version.properties for version in versions], token

    def copy_image_set(
        self,
        datastore_id: str,
        source_image_set_id: str,
        information: dict[str, Any],
        *,
        force: bool,
        promote_to_primary: bool,
    ) -> tuple[ImageSet, ImageSet]:
        return self._active_datastore(datastore_id).copy(
            source_image_set_id, information, force=force, promote_to_primary=promote_to_primary
        )

    def update_image_set_metadata(
        self,
        datastore_id: str,
        image_set_id: str,
        latest_version_id: str,
        updates: dict[str, Any],
        *,
        force: bool,
        include_study: bool,
    ) -> Version:
        return self._active_datastore(datastore_id).update_metadata(
            image_set_id, latest_version_id, updates, force=force, include_study=include_study
        )

    def delete_image_set(self, datastore_id: str, image_set_id: str) -> Version:
        image_set = self._active_datastore(datastore_id).image_set(image_set_id)
        image_set.check_writable()
        image_set.delete()
        return image_set.latest

    def _existing_image_set(self, datastore_id: str, image_set_id: str) -> ImageSet:
        image_set = self._readable_datastore(datastore_id).image_set(image_set_id)
        image_set.read()
        if image_set.is_deleted:
            raise ResourceNotFoundException(f"The requested ImageSet {image_set_id} has been deleted.")
        return image_set

    def _readable_datastore(self, datastore_id: str) -> Datastore:
        datastore = self.get_datastore(datastore_id)
        if datastore.status == "DELETED":
            raise ResourceNotFoundException(f"The requested datastore {datastore_id} has been deleted.")
        return datastore

    def _active_datastore(self, datastore_id: str) -> Datastore:
        datastore = self._readable_datastore(datastore_id)
        if datastore.status != "ACTIVE":
            raise ConflictException(f"Datastore {datastore_id} is not ACTIVE, it is {datastore.status}.")
        return datastore


medicalimaging_backends = BackendDict(
    HealthImagingBackend,
    "medical-imaging",
    # botocore lists no regions for the service; these are the ones its own guide lists.
    use_boto3_regions=False,
    additional_regions=["us-east-1", "us-west-2", "ap-southeast-2", "eu-west-1", "eu-west-2"],
)
