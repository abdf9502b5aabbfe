"""AWS HealthImaging: the versions of an image set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from botocore.config import Config

from airflow_imgver.hooks.base import Finding, ImageVersionHook
from airflow_imgver.hooks.listing import Versions, listed
from airflow_imgver.hooks.moments import moment
from airflow_imgver.versions import Entry, Phase, VersionStatus, image_set_status

_ID = (r"[0-9a-z]{32}", "32 digits and lower-case letters")

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# BETWEEN must have an end. A day, because this machine's clock may be behind AWS's.
_AHEAD = timedelta(days=1)


class HealthImagingHook(ImageVersionHook):
    """
    List and look at the versions of image sets.

    Image set calls carry the host prefix ``runtime-``. Where the client's endpoint is not AWS's own (an
    emulator, a private endpoint: a host that does not begin with ``medical-imaging``), the prefix would lead
    nowhere and is left off; ``inject_host_prefix`` in the connection's ``config_kwargs`` has the last word.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service = "medical-imaging"
    operation = "ListImageSetVersions"
    paginator = "list_image_set_versions"
    result_key = "imageSetPropertiesList"
    wire_token = "nextToken"  # noqa: S105  # a field's name
    largest_page = 50
    finding = Finding("SearchImageSets", "search_image_sets", "imageSetsMetadataSummaries", "imageSetId", 50)
    budget_option = "healthimaging_requests_per_second"
    request_names: ClassVar = {"datastore_id": "datastoreId", "image_set_id": "imageSetId"}
    identity_rules: ClassVar = {"datastore_id": _ID, "image_set_id": _ID}

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build the boto3 client, without the host prefix where the endpoint is not AWS's own."""
        given = config or self.config
        if _speaks_of_prefixes(given):
            return super().get_client_type(region_name, given, deferrable)
        bare = given.merge(Config(inject_host_prefix=False))
        if _is_elsewhere(self.conn_config.get_service_endpoint_url(self.service)):
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
        Stream the versions of an image set, a page asked for when the one before is used up.

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param image_set_id: the image set, likewise.
        :param page_size: items a request, 1 to 50; None asks for 50.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing.
        :return: AWS's own dictionaries (``imageSetPropertiesList``), with times as aware datetimes.
        :raises InvalidIdentityError: an id breaks AWS's pattern.
        :raises InvalidTokenError: ``starting_token`` is no resume token.
        :raises AwsCallError: AWS refused or did not answer; :class:`ResourceMissingError` for a 404.
        """
        return self.stream(
            {"datastore_id": datastore_id, "image_set_id": image_set_id},
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    list_image_set_versions = listed(iter_image_set_versions)

    def get_image_set_version(
        self, datastore_id: str, image_set_id: str, version: int | None = None
    ) -> dict[str, Any] | None:
        """
        Return one version's entry, the latest by default, or None where the listing does not show it.

        :param version: the version's number; None for the latest, which is the greatest number.
        """
        found = self.survey({"datastore_id": datastore_id, "image_set_id": image_set_id}, version).wanted
        return dict(found.entry) if found else None

    def iter_image_set_ids(
        self,
        datastore_id: str,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        page_size: int | None = None,
    ) -> Iterator[str]:
        """
        Stream the ids of the image sets whose last change lies between two times, the last changed first.

        SearchImageSets answers with DICOM attributes of patients and studies. Nothing of them leaves this
        method: only ids do. Both ends count as inside, and to the whole second, which is all that a request
        can say. An image set that changes while the search goes on may be named twice.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param updated_after: a datetime or an ISO 8601 text, UTC unless it names an offset; None for the
            beginning.
        :param updated_before: likewise; None for no end.
        :param page_size: image sets a request, 1 to 50; None asks for 50.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises ValueError: a time that is none.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.check_datastore(datastore_id)
        after, before = moment(updated_after, "updated_after"), moment(updated_before, "updated_before")
        request: dict[str, Any] = {"datastoreId": datastore_id}
        if after is not None or before is not None:
            ends = (after or _BEGINNING, _whole_second(before or datetime.now(UTC) + _AHEAD))
            between = {"operator": "BETWEEN", "values": [{"updatedAt": end} for end in ends]}
            request["searchCriteria"] = {"filters": [between]}
        return self.find(request, f"data store {datastore_id}", page_size=page_size)

    @classmethod
    def check_datastore(cls, datastore_id: Any) -> str:
        """
        Check the id of a data store.

        :raises InvalidIdentityError: it breaks AWS's pattern.
        """
        return cls.check({"datastore_id": datastore_id}, ("datastore_id",))["datastore_id"]

    def observe(self, identity: Mapping[str, Any], version: int | None = None) -> VersionStatus | None:
        """
        Look once at the version that a gate watches, in all but odd cases in one request.

        HealthImaging deletes image sets whole: where the latest version is deleted, so is the watched one,
        whatever its own entry still says.
        """
        latest, wanted = self.survey(identity, version)
        gone = latest is not None and latest.phase is Phase.DELETED
        return self.noticed(latest if gone else wanted)

    @classmethod
    def describe(cls, identity: Mapping[str, str]) -> str:
        """Name an image set: ``image set ... in data store ...``."""
        return f"image set {identity['image_set_id']} in data store {identity['datastore_id']}"

    @classmethod
    def read(cls, entry: Entry) -> VersionStatus:
        """Make a status of an entry."""
        return image_set_status(entry)


def _whole_second(end: datetime) -> datetime:
    """Round up, because botocore cuts a time off at its second, and the end of an interval with it."""
    return end if end.microsecond == 0 else end.replace(microsecond=0) + timedelta(seconds=1)


def _is_elsewhere(endpoint_url: str | None) -> bool:
    """Tell whether an endpoint is not one of AWS's own; None is AWS's, or not known yet."""
    if endpoint_url is None:
        return False
    return not (urlsplit(endpoint_url).hostname or "").startswith("medical-imaging")


def _speaks_of_prefixes(config: Config) -> bool:
    """Tell whether a user's configuration has a word on host prefixes; botocore keeps what it was given."""
    return "inject_host_prefix" in getattr(config, "_user_provided_options", {})
