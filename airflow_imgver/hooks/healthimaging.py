"""AWS HealthImaging: the versions of an image set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config

from airflow_imgver.arguments.searches import SearchedAttribute, searched_attribute
from airflow_imgver.arguments.times import time_value
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.hooks.image_set_actions import ImageSetActions
from airflow_imgver.hooks.image_set_changes import ImageSetChanges, updated_between
from airflow_imgver.hooks.import_jobs import ImportJobs
from airflow_imgver.hooks.listing import Listing, Versions
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.versions import FoundVersions, Phase, VersionStatus


class HealthImagingHook(ImageSetActions, ImportJobs, ImageSetChanges):
    """
    List, poll, copy, update and delete image sets, and start and poll import jobs.

    Image set calls carry the host prefix ``runtime-``. Where the client's endpoint is not AWS's own (an
    emulator, a private endpoint: a host that does not begin with ``medical-imaging``), the prefixed host does
    not exist, and the prefix is left off. ``inject_host_prefix`` in the connection's ``config_kwargs``
    overrides this.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service = HEALTHIMAGING

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build the boto3 client, without the host prefix where the endpoint is not AWS's own."""
        given = config or self.config
        if _sets_host_prefix(given):
            return super().get_client_type(region_name, given, deferrable)
        bare = given.merge(Config(inject_host_prefix=False))
        if _is_elsewhere(self.conn_config.get_service_endpoint_url(self.service.client_type)):
            return super().get_client_type(region_name, bare, deferrable)
        client = super().get_client_type(region_name, given, deferrable)
        # The endpoint may also come from the environment or from a profile, which only the client knows.
        if _is_elsewhere(client.meta.endpoint_url):
            client.close()
            client = super().get_client_type(region_name, bare, deferrable)
        return client

    def iter_image_set_versions(
        self,
        datastore_id: str,
        image_set_id: str,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> Versions:
        """
        Stream the versions of an image set; a page is requested when the one before is used up.

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param image_set_id: the image set, likewise.
        :param page_size: items a request, 1 to 50; None requests 50.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing.
        :return: AWS's own dictionaries (``imageSetPropertiesList``), with times as aware datetimes.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises InvalidTokenError: ``starting_token`` does not resume this listing.
        :raises AwsCallError: AWS refused or did not answer; :class:`ResourceMissingError` for a 404.
        """
        return self.stream(
            {"datastore_id": datastore_id, "image_set_id": image_set_id},
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    def list_image_set_versions(
        self,
        datastore_id: str,
        image_set_id: str,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> Listing:
        """
        List the versions of an image set; arguments and errors are those of :meth:`iter_image_set_versions`.

        :return: a :class:`~airflow_imgver.hooks.listing.Listing`: the items, and the resume token of a
            listing that ``max_items`` cut off, else None. In ``starting_token`` it goes on exactly where the
            listing stopped, in pages of any size.
        """
        return self.iter_image_set_versions(
            datastore_id,
            image_set_id,
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        ).all()

    def get_image_set_version(
        self, datastore_id: str, image_set_id: str, version: int | None = None
    ) -> dict[str, Any] | None:
        """
        Return one version's entry, the latest by default, or None where the listing does not show it.

        :param version: the version's number; None for the latest, which is the greatest number.
        """
        identity = {"datastore_id": datastore_id, "image_set_id": image_set_id}
        found = self.find_version(identity, version).wanted
        return dict(found.entry) if found else None

    def iter_image_set_ids(
        self,
        datastore_id: str,
        *,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
        accession_number: str | None = None,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        page_size: int | None = None,
    ) -> Iterator[str]:
        """
        Stream the ids of the image sets of a study, a series or an order, the last changed first.

        SearchImageSets answers with DICOM attributes of patients and studies. Only ids leave this method,
        and an error does not quote what was searched for. The last change lies between the two times. Both
        ends count as inside, to the whole second, because botocore sends no fraction. An image set that
        changes during the search may be named twice.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param study_instance_uid: only those of the study with this DICOM UID; at most one of these three.
        :param series_instance_uid: only those of the series with this DICOM UID.
        :param accession_number: only those of the order with this accession number.
        :param updated_after: a datetime or an ISO 8601 text, UTC unless it names an offset; None for the
            beginning.
        :param updated_before: likewise; None for no end.
        :param page_size: image sets a request, 1 to 50; None requests 50.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises ValueError: a time cannot be read.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.service.check({"datastore_id": datastore_id}, only=("datastore_id",))
        after = time_value(updated_after, "updated_after")
        before = time_value(updated_before, "updated_before")
        attribute = searched_attribute(
            study_instance_uid=study_instance_uid,
            series_instance_uid=series_instance_uid,
            accession_number=accession_number,
        )
        filters: list[dict[str, Any]] = []
        if attribute is not None:
            filters.append({"operator": "EQUAL", "values": [{attribute.member: attribute.value}]})
        if after is not None or before is not None:
            filters.append(updated_between(after, before))
        request = {"datastoreId": datastore_id, "searchCriteria": {"filters": filters} if filters else None}
        found = self.find(request, f"data store {datastore_id}", page_size=page_size)
        return found if attribute is None else _without_quoting(found, attribute)

    def watched_version(self, found: FoundVersions) -> VersionStatus | None:
        """
        Return the version that decides about a gate.

        HealthImaging deletes whole image sets: where the latest version is deleted, so is the watched one,
        whatever its own entry still shows.
        """
        gone = found.latest is not None and found.latest.phase is Phase.DELETED
        return found.latest if gone else found.wanted


def _without_quoting(found: Iterator[str], attribute: SearchedAttribute) -> Iterator[str]:
    """Stream ids; an error of the search says which attribute was searched for, and not its value."""
    try:
        yield from found
    except AwsCallError as error:
        details = error.details()
        details["message"] = details["message"].replace(attribute.value, f"<{attribute.name}>")
        # Not from the error, whose own text a traceback would print.
        raise type(error)(**details) from None


def _is_elsewhere(endpoint_url: str | None) -> bool:
    """Return whether an endpoint is not one of AWS's own; None is AWS's, or not known yet."""
    if endpoint_url is None:
        return False
    return not (urlsplit(endpoint_url).hostname or "").startswith("medical-imaging")


def _sets_host_prefix(config: Config) -> bool:
    """Return whether a user's configuration sets ``inject_host_prefix``."""
    return "inject_host_prefix" in getattr(config, "_user_provided_options", {})
