"""Amazon SageMaker AI: the versions of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from airflow_imgver.hooks.base import Finding, ImageVersionHook
from airflow_imgver.hooks.listing import Versions, listed
from airflow_imgver.hooks.moments import moment
from airflow_imgver.versions import Entry, Survey, VersionStatus, image_version_status, survey

SortBy = Literal["CREATION_TIME", "LAST_MODIFIED_TIME", "VERSION"]
SortOrder = Literal["ASCENDING", "DESCENDING"]

_NEWEST_FIRST = {"SortBy": "VERSION", "SortOrder": "DESCENDING"}


class SageMakerImageHook(ImageVersionHook):
    """
    List and look at the versions of SageMaker AI images.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service = "sagemaker"
    operation = "ListImageVersions"
    paginator = "list_image_versions"
    result_key = "ImageVersions"
    wire_token = "NextToken"  # noqa: S105  # a field's name
    largest_page = 100
    finding = Finding("ListImages", "list_images", "Images", "ImageName", 100)
    budget_option = "sagemaker_requests_per_second"
    request_names: ClassVar = {"image_name": "ImageName"}
    identity_rules: ClassVar = {
        "image_name": (
            r"[a-zA-Z0-9]([-.]?[a-zA-Z0-9]){0,62}",
            "1 to 63 letters and digits, with single hyphens or dots between them",
        )
    }

    def iter_image_versions(
        self,
        image_name: str,
        *,
        creation_time_after: datetime | str | None = None,
        creation_time_before: datetime | str | None = None,
        last_modified_time_after: datetime | str | None = None,
        last_modified_time_before: datetime | str | None = None,
        sort_by: SortBy | None = None,
        sort_order: SortOrder | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> Versions:
        """
        Stream the versions of an image, a page asked for when the one before is used up.

        A time is a datetime or an ISO 8601 text; one that names no offset is UTC.

        :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
        :param creation_time_after: only versions created then or later.
        :param creation_time_before: only versions created then or earlier.
        :param last_modified_time_after: only versions modified then or later. On other SageMaker list calls
            this filter has led through many empty pages into throttling; ``creation_time_after`` has not.
        :param last_modified_time_before: only versions modified then or earlier.
        :param sort_by: ``CREATION_TIME`` (AWS's default), ``LAST_MODIFIED_TIME`` or ``VERSION``.
        :param sort_order: ``DESCENDING`` (AWS's default) or ``ASCENDING``.
        :param page_size: items a request, 1 to 100; None asks for 100.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing with the same filters and sort.
        :return: AWS's own dictionaries (``ImageVersions``), with times as aware datetimes.
        :raises InvalidIdentityError: the name breaks AWS's pattern.
        :raises InvalidTokenError: ``starting_token`` is no resume token.
        :raises ValueError: a time that is none.
        :raises AwsCallError: AWS refused or did not answer; :class:`ResourceMissingError` where there is no
            such image.
        """
        filters = {
            "CreationTimeAfter": moment(creation_time_after, "creation_time_after"),
            "CreationTimeBefore": moment(creation_time_before, "creation_time_before"),
            "LastModifiedTimeAfter": moment(last_modified_time_after, "last_modified_time_after"),
            "LastModifiedTimeBefore": moment(last_modified_time_before, "last_modified_time_before"),
            "SortBy": sort_by,
            "SortOrder": sort_order,
        }
        return self.stream(
            {"image_name": image_name},
            filters,
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    list_image_versions = listed(iter_image_versions)

    def get_image_version(self, image_name: str, version: int | None = None) -> dict[str, Any] | None:
        """
        Return one version's entry, the latest by default, or None where the listing does not show it.

        :param version: the version's number; None for the latest, which is the greatest number.
        """
        found = self.survey({"image_name": image_name}, version).wanted
        return dict(found.entry) if found else None

    def iter_image_names(
        self, *, name_contains: str | None = None, page_size: int | None = None
    ) -> Iterator[str]:
        """
        Stream the names of the images that there are, newest first.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImages.html

        :param name_contains: only images with this text in their names; None for all.
        :param page_size: images a request, 1 to 100; None asks for 100.
        :raises AwsCallError: AWS refused or did not answer.
        """
        about = f"images named ...{name_contains}..." if name_contains else "all images"
        return self.find({"NameContains": name_contains or None}, about, page_size=page_size)

    def survey(self, identity: Mapping[str, Any], version: int | None = None) -> Survey:
        """
        Find the latest version and the wanted one, newest first.

        The latest alone needs a page of one; a version is looked for in full pages, the newest hundred first.
        """
        versions = self.stream(identity, _NEWEST_FIRST, page_size=1 if version is None else None)
        return survey(versions.pages(), self.read, version)

    @classmethod
    def describe(cls, identity: Mapping[str, str]) -> str:
        """Name an image: ``image ...``."""
        return f"image {identity['image_name']}"

    @classmethod
    def read(cls, entry: Entry) -> VersionStatus:
        """Make a status of an entry."""
        return image_version_status(entry)
