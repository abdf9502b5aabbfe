"""Amazon SageMaker AI: the versions of an image."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from airflow_imgver.arguments.times import time_value
from airflow_imgver.hooks.image_version_actions import ImageVersionActions
from airflow_imgver.hooks.listing import Listing, Versions
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE

SortBy = Literal["CREATION_TIME", "LAST_MODIFIED_TIME", "VERSION"]
SortOrder = Literal["ASCENDING", "DESCENDING"]


class SageMakerImageHook(ImageVersionActions):
    """
    List, poll, create and delete the versions of SageMaker AI images.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service = SAGEMAKER_IMAGE

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
        Stream the versions of an image; a page is requested when the one before is used up.

        A time is a datetime or an ISO 8601 text, in UTC unless it has an offset.

        :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
        :param creation_time_after: only versions created then or later.
        :param creation_time_before: only versions created then or earlier.
        :param last_modified_time_after: only versions modified then or later. On other SageMaker list calls
            this filter has led through many empty pages into throttling; ``creation_time_after`` has not.
        :param last_modified_time_before: only versions modified then or earlier.
        :param sort_by: ``CREATION_TIME`` (AWS's default), ``LAST_MODIFIED_TIME`` or ``VERSION``.
        :param sort_order: ``DESCENDING`` (AWS's default) or ``ASCENDING``.
        :param page_size: items a request, 1 to 100; None requests 100.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing with the same filters and sort.
        :return: AWS's own dictionaries (``ImageVersions``), with times as aware datetimes.
        :raises InvalidIdentityError: the name breaks AWS's pattern.
        :raises InvalidTokenError: ``starting_token`` does not resume this listing.
        :raises ValueError: a time cannot be read.
        :raises AwsCallError: AWS refused or did not answer; :class:`ResourceMissingError` where the
            image does not exist.
        """
        members: dict[str, Any] = {
            "CreationTimeAfter": time_value(creation_time_after, "creation_time_after"),
            "CreationTimeBefore": time_value(creation_time_before, "creation_time_before"),
            "LastModifiedTimeAfter": time_value(last_modified_time_after, "last_modified_time_after"),
            "LastModifiedTimeBefore": time_value(last_modified_time_before, "last_modified_time_before"),
            "SortBy": sort_by,
            "SortOrder": sort_order,
        }
        return self.stream(
            {"image_name": image_name},
            members,
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    def list_image_versions(
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
    ) -> Listing:
        """
        List the versions of an image; arguments and errors are those of :meth:`iter_image_versions`.

        :return: a :class:`~airflow_imgver.hooks.listing.Listing`: the items, and the resume token of a
            listing that ``max_items`` cut off, else None. In ``starting_token`` it goes on exactly where the
            listing stopped, in pages of any size.
        """
        return self.iter_image_versions(
            image_name,
            creation_time_after=creation_time_after,
            creation_time_before=creation_time_before,
            last_modified_time_after=last_modified_time_after,
            last_modified_time_before=last_modified_time_before,
            sort_by=sort_by,
            sort_order=sort_order,
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        ).all()

    def get_image_version(self, image_name: str, version: int | None = None) -> dict[str, Any] | None:
        """
        Return one version's entry, the latest by default, or None where the listing does not show it.

        :param version: the version's number; None for the latest, which is the greatest number.
        """
        found = self.find_version({"image_name": image_name}, version).wanted
        return dict(found.entry) if found else None

    def iter_image_names(
        self, *, name_contains: str | None = None, page_size: int | None = None
    ) -> Iterator[str]:
        """
        Stream the names of images, newest first.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImages.html

        :param name_contains: only images with this text in their names; None for all.
        :param page_size: images a request, 1 to 100; None requests 100.
        :raises AwsCallError: AWS refused or did not answer.
        """
        about = f"images named ...{name_contains}..." if name_contains else "all images"
        return self.find({"NameContains": name_contains or None}, about, page_size=page_size)
