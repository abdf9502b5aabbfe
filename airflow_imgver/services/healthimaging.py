"""AWS HealthImaging: image sets in a data store."""

from __future__ import annotations

from airflow_imgver.options import Option
from airflow_imgver.services.description import (
    Column,
    Commands,
    ConsolePage,
    IdentityField,
    ListCall,
    Quota,
    Service,
)
from airflow_imgver.versions import EntryFields, Phase

_ID = {"pattern": r"[0-9a-z]{32}", "rule": "32 digits and lower-case letters"}

# AWS's rates and bursts: https://docs.aws.amazon.com/healthimaging/latest/devguide/throttling-limits.html
# Four fifths of them, because a request that arrives a moment early at a bucket without a burst is throttled.
_READS = Option(
    "healthimaging_requests_per_second",
    20.0,
    "How many ListImageSetVersions requests a second a process sends for one connection and region at most, "
    "and as many SearchImageSets and GetDICOMImportJob requests. AWS's own quota is 25 of each for the whole "
    "account.",
)
_ACTING = (
    "How many {0} requests a second a process sends for one connection and region at most. AWS's own quota "
    "is {1} for the whole account."
)

HEALTHIMAGING = Service(
    name="AWS HealthImaging",
    docs="https://docs.aws.amazon.com/healthimaging/",
    client_type="medical-imaging",
    thing="image set",
    identity=(
        IdentityField(
            name="datastore_id",
            member="datastoreId",
            thing="data store",
            example="12345678901234567890123456789012",
            **_ID,
        ),
        IdentityField(
            name="image_set_id",
            member="imageSetId",
            thing="image set",
            example="ea92b0d8838c72a3f25d00d13616f87e",
            **_ID,
        ),
    ),
    about="image set {image_set_id} in data store {datastore_id}",
    # https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ListImageSetVersions.html
    listing=ListCall(
        operation="ListImageSetVersions",
        method="list_image_set_versions",
        result_key="imageSetPropertiesList",
        token="nextToken",  # noqa: S106  # a member's name
        page_size="maxResults",
        largest_page=50,
    ),
    # https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html
    finding=ListCall(
        operation="SearchImageSets",
        method="search_image_sets",
        result_key="imageSetsMetadataSummaries",
        token="nextToken",  # noqa: S106  # a member's name
        page_size="maxResults",
        largest_page=50,
    ),
    found_name="imageSetId",
    # https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_ImageSetProperties.html
    fields=EntryFields(
        number="versionId",
        number_is_text=True,
        status="ImageSetWorkflowStatus",
        state="imageSetState",
        reason="message",
        changed=("updatedAt", "createdAt"),
        phases={
            "CREATED": Phase.READY,
            "COPIED": Phase.READY,
            "UPDATED": Phase.READY,
            "IMPORTED": Phase.READY,
            "COPYING": Phase.BUSY,
            "COPYING_WITH_READ_ONLY_ACCESS": Phase.BUSY,
            "UPDATING": Phase.BUSY,
            "UPDATING_FOR_STUDY_CONSISTENCY": Phase.BUSY,
            "IMPORTING": Phase.BUSY,
            "DELETING": Phase.BUSY,
            "COPY_FAILED": Phase.FAILED,
            "UPDATE_FAILED": Phase.FAILED,
            "IMPORT_FAILED": Phase.FAILED,
            "DELETED": Phase.DELETED,
        },
        states={"ACTIVE": Phase.READY, "LOCKED": Phase.BUSY, "DELETED": Phase.DELETED},
        read_only=frozenset({"COPYING_WITH_READ_ONLY_ACCESS"}),
    ),
    missing_codes=frozenset({"ResourceNotFoundException"}),
    first_version=1,
    made_version="imageSetVersion",
    changed_by="iter_changed_image_set_pages",
    # The first is sent on reads too, for "not consistent yet, retry after a few seconds"; the second for too
    # many copies, updates or imports at the same time.
    transient_codes=frozenset({"ConflictException", "ServiceQuotaExceededException"}),
    requests_per_second=_READS,
    other_quotas=(
        Quota(
            operation="CopyImageSet",
            option=Option("healthimaging_copies_per_second", 0.2, _ACTING.format("CopyImageSet", "0.25")),
            burst=1,
        ),
        Quota(
            operation="UpdateImageSetMetadata",
            option=Option(
                "healthimaging_updates_per_second", 0.2, _ACTING.format("UpdateImageSetMetadata", "0.25")
            ),
            burst=1,
        ),
        Quota(
            operation="DeleteImageSet",
            option=Option(
                "healthimaging_deletions_per_second", 0.2, _ACTING.format("DeleteImageSet", "0.25")
            ),
            burst=1,
        ),
        Quota(
            operation="StartDICOMImportJob",
            option=Option(
                "healthimaging_imports_per_second", 0.8, _ACTING.format("StartDICOMImportJob", "1")
            ),
            burst=2,
        ),
        # AWS's quota is that of the list calls.
        Quota(operation="GetDICOMImportJob", option=_READS),
    ),
    # AWS documents the console's addresses down to `#/dataStores`. What follows is inferred from the
    # console's steps (choose a data store, choose an image set), not checked in a signed-in console.
    console=ConsolePage(
        label="AWS HealthImaging image set",
        key="healthimaging_image_set",
        path="/medical-imaging/home?region={region_name}#/dataStores/{datastore_id}/imageSets/{image_set_id}",
    ),
    columns=(
        Column(name="datastoreId", type="text"),
        Column(name="imageSetId", type="text"),
        Column(name="versionId", type="number"),
        Column(name="imageSetState", type="text"),
        Column(name="ImageSetWorkflowStatus", type="text"),
        Column(name="isPrimary", type="truth"),
        Column(name="overrides.forced", type="truth"),
        Column(name="createdAt", type="time"),
        Column(name="updatedAt", type="time"),
        Column(name="deletedAt", type="time"),
        Column(name="message", type="text"),
    ),
    # AWS keeps every version of an image set: one from before a de-identification still has the identifiers.
    keeps_superseded=True,
    commands=Commands(list="list-image-set-versions", wait="wait-image-set-version"),
    hook="airflow_imgver.hooks.healthimaging.HealthImagingHook",
    sensor="airflow_imgver.sensors.healthimaging.HealthImagingImageSetVersionSensor",
    link="airflow_imgver.links.healthimaging.HealthImagingImageSetLink",
    report="airflow_imgver.operators.healthimaging.HealthImagingVersionReportOperator",
)
