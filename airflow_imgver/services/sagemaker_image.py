"""Amazon SageMaker AI: images, which are container images for Studio."""

from __future__ import annotations

from airflow_imgver.options import Option
from airflow_imgver.services.description import (
    Column,
    Commands,
    ConsolePage,
    Filter,
    IdentityField,
    ListCall,
    Quota,
    Service,
    VersionArn,
)
from airflow_imgver.versions import EntryFields, Phase

_TIME = "a time in ISO 8601, in UTC unless it has an offset, or epoch seconds"

# AWS publishes no rates.
_READS = Option(
    "sagemaker_requests_per_second",
    2.0,
    "How many ListImageVersions requests a second a process sends for one connection and region at most, and "
    "as many ListImages, DescribeImage and DescribeImageVersion requests.",
)
_CHANGES = Option(
    "sagemaker_changes_per_second",
    1.0,
    "How many CreateImageVersion requests a second a process sends for one connection and region at most, "
    "and as many CreateImage and DeleteImageVersion requests.",
)

SAGEMAKER_IMAGE = Service(
    name="Amazon SageMaker AI images",
    docs="https://docs.aws.amazon.com/sagemaker/",
    client_type="sagemaker",
    thing="image",
    identity=(
        IdentityField(
            name="image_name",
            member="ImageName",
            pattern=r"[a-zA-Z0-9]([-.]?[a-zA-Z0-9]){0,62}",
            rule="1 to 63 letters and digits, with single hyphens or dots between them",
            thing="image",
            example="analysis",
        ),
    ),
    about="image {image_name}",
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html
    listing=ListCall(
        operation="ListImageVersions",
        method="list_image_versions",
        result_key="ImageVersions",
        token="NextToken",  # noqa: S106  # a member's name
        page_size="MaxResults",
        largest_page=100,
        filters=(
            Filter(
                name="creation_time_after",
                member="CreationTimeAfter",
                help=f"Created then or later: {_TIME}",
                is_time=True,
            ),
            Filter(
                name="creation_time_before",
                member="CreationTimeBefore",
                help=f"Created then or earlier: {_TIME}",
                is_time=True,
            ),
            Filter(
                name="last_modified_time_after",
                member="LastModifiedTimeAfter",
                help=f"Modified then or later: {_TIME}",
                is_time=True,
            ),
            Filter(
                name="last_modified_time_before",
                member="LastModifiedTimeBefore",
                help=f"Modified then or earlier: {_TIME}",
                is_time=True,
            ),
            Filter(
                name="sort_by",
                member="SortBy",
                help="The member to sort by (AWS's default: CREATION_TIME)",
                choices=("CREATION_TIME", "LAST_MODIFIED_TIME", "VERSION"),
            ),
            Filter(
                name="sort_order",
                member="SortOrder",
                help="The order of the sort (AWS's default: DESCENDING)",
                choices=("ASCENDING", "DESCENDING"),
            ),
        ),
    ),
    newest_first={"SortBy": "VERSION", "SortOrder": "DESCENDING"},
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImages.html
    finding=ListCall(
        operation="ListImages",
        method="list_images",
        result_key="Images",
        token="NextToken",  # noqa: S106  # a member's name
        page_size="MaxResults",
        largest_page=100,
        filters=(
            Filter(
                name="name_contains",
                member="NameContains",
                help="Report on images with this text in their names",
            ),
        ),
    ),
    found_name="ImageName",
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ImageVersion.html
    fields=EntryFields(
        number="Version",
        status="ImageVersionStatus",
        reason="FailureReason",
        changed=("LastModifiedTime", "CreationTime"),
        phases={
            "CREATED": Phase.READY,
            "CREATING": Phase.BUSY,
            "DELETING": Phase.BUSY,
            "CREATE_FAILED": Phase.FAILED,
            "DELETE_FAILED": Phase.FAILED,
        },
        deletion_failed=frozenset({"DELETE_FAILED"}),
    ),
    # The API documents the second; botocore's own waiters have met both.
    missing_codes=frozenset({"ResourceNotFoundException", "ResourceNotFound"}),
    # Two changes of one image at the same time.
    transient_codes=frozenset({"ResourceInUse"}),
    arn=VersionArn(
        member="ImageVersionArn",
        pattern=(
            r"arn:aws[a-z-]*:sagemaker:(?P<region>[a-z0-9-]+):[0-9]{12}"
            r":image-version/(?P<name>[^/\s]+)/(?P<version>[0-9]{1,18})"
        ),
    ),
    requests_per_second=_READS,
    other_quotas=(
        *(Quota(operation=name, option=_READS) for name in ("DescribeImage", "DescribeImageVersion")),
        *(
            Quota(operation=name, option=_CHANGES, burst=1)
            for name in ("CreateImage", "CreateImageVersion", "DeleteImageVersion")
        ),
    ),
    # AWS documents the list of images at `#/images`. The page of one image is inferred from the console's
    # other pages (`#/notebook-instances/<name>`), not checked in a signed-in console.
    console=ConsolePage(
        label="Amazon SageMaker AI image",
        key="sagemaker_image",
        path="/sagemaker/home?region={region_name}#/images/{image_name}",
    ),
    columns=(
        Column(name="ImageName", type="text"),
        Column(name="Version", type="number"),
        Column(name="ImageVersionStatus", type="text"),
        Column(name="CreationTime", type="time"),
        Column(name="LastModifiedTime", type="time"),
        Column(name="ImageArn", type="text"),
        Column(name="ImageVersionArn", type="text"),
        Column(name="FailureReason", type="text"),
    ),
    commands=Commands(list="list-image-versions", wait="wait-image-version"),
    hook="airflow_imgver.hooks.sagemaker_image.SageMakerImageHook",
    sensor="airflow_imgver.sensors.sagemaker_image.SageMakerImageVersionSensor",
    link="airflow_imgver.links.sagemaker_image.SageMakerImageLink",
    report="airflow_imgver.operators.sagemaker_image.SageMakerImageVersionReportOperator",
)
