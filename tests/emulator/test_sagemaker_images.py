"""Images and image versions of SageMaker, as boto3 meets them over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import botocore.serialize
import pytest
from botocore.exceptions import ClientError
from emulator_clients import client_of
from moto.moto_api import state_manager
from moto.sagemaker.models import sagemaker_backends

from airflow_imgver.emulator.sagemaker import load_image

ROLE = "arn:aws:iam::123456789012:role/studio"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio/analysis:2026-11"
DIGEST = "sha256:" + "5c" * 32
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
SENDS_FRACTIONS = hasattr(botocore.serialize, "TIMESTAMP_PRECISION_LEGACY")
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def image(sagemaker: Any) -> str:
    sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
    return "analysis"


def entry(version: int, status: str = "CREATED", **members: Any) -> dict[str, Any]:
    """An entry of ListImageVersions, created on a day of March and changed a day later."""
    created = MARCH + timedelta(days=members.pop("day", version))
    return {
        "CreationTime": created,
        "ImageArn": f"{ARN}:image/analysis",
        "ImageVersionArn": f"{ARN}:image-version/analysis/{version}",
        "ImageVersionStatus": status,
        "LastModifiedTime": members.pop("modified", created + timedelta(days=1)),
        "Version": version,
        **members,
    }


def loaded(*entries: dict[str, Any]) -> None:
    load_image(sagemaker_backends["123456789012"]["us-east-1"], "analysis", list(entries))


def create_version(sagemaker: Any, **arguments: Any) -> str:
    arguments = {"ImageName": "analysis", "BaseImage": BASE_IMAGE, **arguments}
    return str(sagemaker.create_image_version(**arguments)["ImageVersionArn"])


def versions(sagemaker: Any, **arguments: Any) -> list[int]:
    listing = sagemaker.list_image_versions(ImageName="analysis", **arguments)
    return [each["Version"] for each in listing["ImageVersions"]]


def status_of(sagemaker: Any, version: int) -> str:
    described = sagemaker.describe_image_version(ImageName="analysis", Version=version)
    return str(described["ImageVersionStatus"])


class TestAnImage:
    def test_is_described_as_it_was_created(self, sagemaker: Any) -> None:
        created = sagemaker.create_image(
            ImageName="analysis", RoleArn=ROLE, DisplayName="Analysis", Description="For the wards"
        )
        described = sagemaker.describe_image(ImageName="analysis")
        assert created["ImageArn"] == described["ImageArn"] == f"{ARN}:image/analysis"
        assert described["ImageStatus"] == "CREATED"
        assert described["RoleArn"] == ROLE
        assert described["DisplayName"] == "Analysis"
        assert described["Description"] == "For the wards"

    def test_has_no_display_name_unless_one_was_given(self, sagemaker: Any, image: str) -> None:
        assert "DisplayName" not in sagemaker.describe_image(ImageName=image)
        assert "DisplayName" not in sagemaker.list_images()["Images"][0]

    def test_has_no_display_name_after_an_update_that_deletes_it(self, sagemaker: Any) -> None:
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE, DisplayName="Gone soon")
        sagemaker.update_image(ImageName="analysis", DeleteProperties=["DisplayName"])
        assert "DisplayName" not in sagemaker.describe_image(ImageName="analysis")

    def test_that_does_not_exist_is_named_in_the_words_of_aws(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError) as missing:
            sagemaker.describe_image(ImageName="nothing")
        assert missing.value.response["Error"] == {
            "Code": "ResourceNotFound",
            "Message": f"Image with ARN {ARN}:image/nothing does not exist",
        }

    def test_has_its_name_in_lower_case_in_its_arn(self, sagemaker: Any) -> None:
        arn = sagemaker.create_image(ImageName="Analysis", RoleArn=ROLE)["ImageArn"]
        assert arn == f"{ARN}:image/analysis"

    def test_cannot_be_created_twice(self, sagemaker: Any, image: str) -> None:
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*already exists") as refused:
            sagemaker.create_image(ImageName=image, RoleArn=ROLE)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400

    def test_is_updated_in_what_was_given_alone(self, sagemaker: Any) -> None:
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE, DisplayName="Old", Description="Kept")
        sagemaker.update_image(ImageName="analysis", DisplayName="New")
        described = sagemaker.describe_image(ImageName="analysis")
        assert (described["DisplayName"], described["Description"]) == ("New", "Kept")

    def test_loses_the_properties_that_an_update_deletes(self, sagemaker: Any) -> None:
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE, Description="Gone soon")
        sagemaker.update_image(ImageName="analysis", DeleteProperties=["Description"])
        assert "Description" not in sagemaker.describe_image(ImageName="analysis")

    def test_refuses_an_update_that_sets_and_deletes_one_property(self, sagemaker: Any, image: str) -> None:
        with pytest.raises(ClientError, match=r"\(ValidationException\).*DisplayName"):
            sagemaker.update_image(ImageName=image, DisplayName="New", DeleteProperties=["DisplayName"])

    def test_takes_its_versions_along_when_it_is_deleted(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker)
        sagemaker.delete_image(ImageName=image)
        for call in (
            sagemaker.describe_image,
            sagemaker.list_image_versions,
            sagemaker.describe_image_version,
        ):
            with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*image/analysis does not exist"):
                call(ImageName=image)
        sagemaker.create_image(ImageName=image, RoleArn=ROLE)
        assert versions(sagemaker) == []

    def test_is_seen_deleting_before_it_is_gone(self, sagemaker: Any, image: str, reads: Any) -> None:
        sagemaker.describe_image(ImageName=image)
        reads("sagemaker::image", 2)
        sagemaker.delete_image(ImageName=image)
        assert sagemaker.describe_image(ImageName=image)["ImageStatus"] == "DELETING"
        with pytest.raises(ClientError, match="ResourceNotFound"):
            sagemaker.describe_image(ImageName=image)

    def test_takes_no_version_while_it_is_busy(self, sagemaker: Any, reads: Any) -> None:
        reads("sagemaker::image", 3)
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        with pytest.raises(ClientError, match=r"\(ValidationException\).*is in an invalid state"):
            create_version(sagemaker)

    def test_is_not_changed_while_it_is_busy(self, sagemaker: Any, reads: Any) -> None:
        reads("sagemaker::image", 9)
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*CREATING"):
            sagemaker.update_image(ImageName="analysis", DisplayName="New")
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*CREATING"):
            sagemaker.delete_image(ImageName="analysis")

    def test_carries_tags(self, sagemaker: Any) -> None:
        arn = sagemaker.create_image(
            ImageName="analysis", RoleArn=ROLE, Tags=[{"Key": "ward", "Value": "3"}]
        )["ImageArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "imaging"}])
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=["ward"])
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "imaging"}]

    def test_that_is_not_there_has_no_tags(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match="ResourceNotFound"):
            sagemaker.list_tags(ResourceArn=f"{ARN}:image/nothing")


class TestTheListOfImages:
    @pytest.fixture(autouse=True)
    def three_images(self, sagemaker: Any) -> None:
        for name in ("base", "analysis", "base-gpu"):
            sagemaker.create_image(ImageName=name, RoleArn=ROLE)

    def names(self, sagemaker: Any, **arguments: Any) -> list[str]:
        return [image["ImageName"] for image in sagemaker.list_images(**arguments)["Images"]]

    def test_is_sorted_by_name_in_either_direction(self, sagemaker: Any) -> None:
        ascending = self.names(sagemaker, SortBy="IMAGE_NAME", SortOrder="ASCENDING")
        assert ascending == ["analysis", "base", "base-gpu"]
        assert self.names(sagemaker, SortBy="IMAGE_NAME") == ascending[::-1]

    def test_is_filtered_by_a_part_of_the_name(self, sagemaker: Any) -> None:
        assert sorted(self.names(sagemaker, NameContains="base")) == ["base", "base-gpu"]

    def test_comes_in_pages(self, sagemaker: Any) -> None:
        pages = sagemaker.get_paginator("list_images").paginate(
            SortBy="IMAGE_NAME", SortOrder="ASCENDING", PaginationConfig={"PageSize": 1}
        )
        assert [[image["ImageName"] for image in page["Images"]] for page in pages] == [
            ["analysis"],
            ["base"],
            ["base-gpu"],
        ]


class TestANewVersion:
    def test_is_answered_with_its_arn_alone(self, sagemaker: Any, image: str) -> None:
        answer = sagemaker.create_image_version(ImageName=image, BaseImage=BASE_IMAGE)
        assert set(answer) == {"ImageVersionArn", "ResponseMetadata"}
        assert answer["ImageVersionArn"] == f"{ARN}:image-version/analysis/1"

    def test_takes_the_next_number(self, sagemaker: Any, image: str) -> None:
        assert [create_version(sagemaker)[-2:] for _ in range(3)] == ["/1", "/2", "/3"]

    def test_never_takes_the_number_of_a_deleted_one(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker)
        sagemaker.delete_image_version(ImageName=image, Version=1)
        assert create_version(sagemaker).endswith("/2")

    def test_is_seen_creating_before_it_is_created(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 2)
        create_version(sagemaker)
        assert [status_of(sagemaker, 1) for _ in range(3)] == ["CREATING", "CREATED", "CREATED"]

    def test_settles_by_reads_of_itself_alone(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 2)
        create_version(sagemaker)
        create_version(sagemaker)
        assert [status_of(sagemaker, 1) for _ in range(2)] == ["CREATING", "CREATED"]
        assert status_of(sagemaker, 2) == "CREATING"

    def test_is_modified_when_it_settles(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 2)
        create_version(sagemaker)
        before, after = (sagemaker.describe_image_version(ImageName=image, Version=1) for _ in range(2))
        assert before["LastModifiedTime"] == before["CreationTime"] == after["CreationTime"]
        assert after["LastModifiedTime"] > before["LastModifiedTime"]

    def test_may_be_begun_while_another_is_creating(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 50)
        create_version(sagemaker)
        assert create_version(sagemaker).endswith("/2")

    def test_is_refused_while_another_is_being_deleted(self, sagemaker: Any, image: str, reads: Any) -> None:
        create_version(sagemaker)
        versions(sagemaker)
        reads("sagemaker::image-version", 50)
        sagemaker.delete_image_version(ImageName=image, Version=1)
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*modified concurrently"):
            create_version(sagemaker)

    @pytest.mark.parametrize("base_image", ["docker.io/library/python:3.12", "analysis", "123.dkr.ecr/x"])
    def test_fails_with_a_reason_when_its_base_image_is_not_in_ecr(
        self, sagemaker: Any, image: str, base_image: str
    ) -> None:
        create_version(sagemaker, BaseImage=base_image)
        [listed] = sagemaker.list_image_versions(ImageName=image)["ImageVersions"]
        assert listed["ImageVersionStatus"] == "CREATE_FAILED"
        assert base_image in listed["FailureReason"]

    def test_shows_no_reason_before_it_has_failed(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 2)
        create_version(sagemaker, BaseImage="docker.io/library/python")
        [listed] = sagemaker.list_image_versions(ImageName=image)["ImageVersions"]
        assert listed["ImageVersionStatus"] == "CREATING"
        assert "FailureReason" not in listed

    def test_is_made_once_for_one_client_token(self, sagemaker: Any, image: str) -> None:
        arns = {create_version(sagemaker, ClientToken="again") for _ in range(2)}
        assert arns == {f"{ARN}:image-version/analysis/1"}
        assert versions(sagemaker) == [1]

    def test_is_refused_when_its_client_token_was_used_for_another(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, ClientToken="again")
        with pytest.raises(ClientError, match=r"\(ValidationException\).*ClientToken again"):
            create_version(sagemaker, ClientToken="again", Processor="GPU")

    def test_shows_all_that_it_was_created_with(self, sagemaker: Any, image: str) -> None:
        given = {
            "VendorGuidance": "STABLE",
            "JobType": "NOTEBOOK_KERNEL",
            "MLFramework": "PyTorch 2.9",
            "ProgrammingLang": "Python 3.13",
            "Processor": "GPU",
            "Horovod": False,
            "ReleaseNotes": "First",
        }
        create_version(sagemaker, **given)
        described = sagemaker.describe_image_version(ImageName=image)
        assert described.items() >= given.items()
        assert described["BaseImage"] == BASE_IMAGE

    @pytest.mark.parametrize("base", [BASE_IMAGE, BASE_IMAGE.partition(":")[0], f"{BASE_IMAGE}@{DIGEST}"])
    def test_names_its_container_image_by_the_digest(self, sagemaker: Any, image: str, base: str) -> None:
        create_version(sagemaker, BaseImage=base)
        shown = sagemaker.describe_image_version(ImageName=image)["ContainerImage"]
        repository, _, digest = shown.partition("@")
        assert repository == BASE_IMAGE.partition(":")[0]
        assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
        assert (digest == DIGEST) == (DIGEST in base)

    def test_runs_without_horovod_unless_it_was_requested(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker)
        create_version(sagemaker, Horovod=True)
        shown = [sagemaker.describe_image_version(ImageName=image, Version=n)["Horovod"] for n in (1, 2)]
        assert shown == [False, True]

    def test_needs_an_image(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*image/analysis does not exist"):
            create_version(sagemaker)


class TestAVersion:
    def test_is_the_latest_where_none_is_named(self, sagemaker: Any, image: str) -> None:
        loaded(entry(9, day=20), entry(10, day=2))
        assert sagemaker.describe_image_version(ImageName=image)["Version"] == 10

    def test_of_an_image_without_any_is_not_found(self, sagemaker: Any, image: str) -> None:
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*Latest ImageVersion with ImageName"):
            sagemaker.describe_image_version(ImageName=image)

    def test_is_the_one_before_once_the_latest_has_vanished(
        self, sagemaker: Any, image: str, reads: Any
    ) -> None:
        loaded(entry(1), entry(2))
        reads("sagemaker::image-version", 1)
        sagemaker.delete_image_version(ImageName=image, Version=2)
        assert sagemaker.describe_image_version(ImageName=image)["Version"] == 1

    def test_that_never_was_is_not_found(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker)
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*Version 7 does not exist"):
            sagemaker.describe_image_version(ImageName=image, Version=7)

    def test_is_found_by_its_alias(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, Aliases=["stable"])
        create_version(sagemaker)
        assert sagemaker.describe_image_version(ImageName=image, Alias="stable")["Version"] == 1
        sagemaker.delete_image_version(ImageName=image, Alias="stable")
        assert versions(sagemaker) == [2]

    def test_is_not_found_by_an_alias_that_nobody_has(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker)
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*Alias stable does not exist"):
            sagemaker.describe_image_version(ImageName=image, Alias="stable")

    def test_cannot_take_the_alias_of_another(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, Aliases=["stable"])
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*Alias stable"):
            create_version(sagemaker, Aliases=["stable"])

    def test_passes_an_alias_on_by_two_updates(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, Aliases=["stable", "first"])
        create_version(sagemaker)
        sagemaker.update_image_version(ImageName=image, Version=1, AliasesToDelete=["stable"])
        sagemaker.update_image_version(ImageName=image, Version=2, AliasesToAdd=["stable"])
        assert sagemaker.describe_image_version(ImageName=image, Alias="stable")["Version"] == 2
        assert sagemaker.list_aliases(ImageName=image)["SageMakerImageVersionAliases"] == ["first", "stable"]
        assert sagemaker.list_aliases(ImageName=image, Version=1)["SageMakerImageVersionAliases"] == ["first"]

    def test_is_updated_in_what_was_given_alone(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, VendorGuidance="STABLE", ReleaseNotes="Kept")
        arn = sagemaker.update_image_version(ImageName=image, Version=1, VendorGuidance="TO_BE_ARCHIVED")
        described = sagemaker.describe_image_version(ImageName=image, Version=1)
        assert arn["ImageVersionArn"] == described["ImageVersionArn"]
        assert (described["VendorGuidance"], described["ReleaseNotes"]) == ("TO_BE_ARCHIVED", "Kept")

    @pytest.mark.parametrize("operation", ["update_image_version", "delete_image_version"])
    def test_must_be_named_to_be_changed(self, sagemaker: Any, image: str, operation: str) -> None:
        create_version(sagemaker)
        with pytest.raises(ClientError, match=r"\(ValidationException\).*Version and Alias"):
            getattr(sagemaker, operation)(ImageName=image)

    def test_cannot_be_named_twice_over(self, sagemaker: Any, image: str) -> None:
        create_version(sagemaker, Aliases=["stable"])
        with pytest.raises(ClientError, match=r"\(ValidationException\).*Only one"):
            sagemaker.describe_image_version(ImageName=image, Version=1, Alias="stable")

    def test_vanishes_when_it_is_deleted(self, sagemaker: Any, image: str, reads: Any) -> None:
        create_version(sagemaker)
        versions(sagemaker)
        reads("sagemaker::image-version", 2)
        assert set(sagemaker.delete_image_version(ImageName=image, Version=1)) == {"ResponseMetadata"}
        assert status_of(sagemaker, 1) == "DELETING"
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\)") as gone:
            status_of(sagemaker, 1)
        assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert versions(sagemaker) == []

    @pytest.mark.parametrize("operation", ["update_image_version", "delete_image_version"])
    def test_is_left_alone_while_it_is_being_deleted(
        self, sagemaker: Any, image: str, reads: Any, operation: str
    ) -> None:
        reads("sagemaker::image-version", 50)
        loaded(entry(1, "DELETING"))
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*image-version/analysis/1.*being deleted"):
            getattr(sagemaker, operation)(ImageName=image, Version=1)
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*being deleted"):
            sagemaker.delete_image(ImageName=image)

    def test_cannot_be_deleted_while_it_is_creating(self, sagemaker: Any, image: str, reads: Any) -> None:
        reads("sagemaker::image-version", 50)
        create_version(sagemaker)
        with pytest.raises(ClientError, match=r"\(ResourceInUse\).*modified concurrently"):
            sagemaker.delete_image_version(ImageName=image, Version=1)

    def test_that_could_not_be_deleted_is_deleted_by_another_try(self, sagemaker: Any, image: str) -> None:
        loaded(entry(1, "DELETE_FAILED", FailureReason="It is in use by a domain."))
        assert status_of(sagemaker, 1) == "DELETE_FAILED"
        sagemaker.delete_image_version(ImageName=image, Version=1)
        assert versions(sagemaker) == []


class TestTheListOfVersions:
    @pytest.fixture(autouse=True)
    def history(self, image: str) -> None:
        """Version 10 was created before 9, and 2 was changed last."""
        loaded(
            entry(9, day=9),
            entry(10, day=8),
            entry(2, day=2, modified=MARCH + timedelta(days=30)),
            entry(1, day=1),
        )

    def test_holds_the_entries_that_were_loaded_and_nothing_more(self, sagemaker: Any) -> None:
        listed = sagemaker.list_image_versions(ImageName="analysis", SortBy="VERSION")["ImageVersions"]
        assert listed == [
            entry(10, day=8),
            entry(9, day=9),
            entry(2, modified=MARCH + timedelta(days=30)),
            entry(1),
        ]

    @pytest.mark.parametrize(
        ("sort_by", "expected"),
        [
            ("VERSION", [1, 2, 9, 10]),
            ("CREATION_TIME", [1, 2, 10, 9]),
            ("LAST_MODIFIED_TIME", [1, 10, 9, 2]),
        ],
    )
    def test_is_sorted_in_either_direction(self, sagemaker: Any, sort_by: str, expected: list[int]) -> None:
        assert versions(sagemaker, SortBy=sort_by, SortOrder="ASCENDING") == expected
        assert versions(sagemaker, SortBy=sort_by, SortOrder="DESCENDING") == expected[::-1]

    def test_runs_down_from_the_latest_created_unless_told_otherwise(self, sagemaker: Any) -> None:
        assert versions(sagemaker) == [9, 10, 2, 1]

    @pytest.mark.parametrize(
        ("name", "moment", "expected"),
        [
            ("CreationTimeAfter", MARCH + timedelta(days=8), [10, 9]),
            ("CreationTimeBefore", MARCH + timedelta(days=2), [2, 1]),
            ("LastModifiedTimeAfter", MARCH + timedelta(days=9), [10, 9, 2]),
            ("LastModifiedTimeBefore", MARCH + timedelta(days=9), [10, 1]),
        ],
    )
    def test_is_filtered_by_times_with_both_ends_included(
        self, sagemaker: Any, name: str, moment: datetime, expected: list[int]
    ) -> None:
        assert versions(sagemaker, SortBy="VERSION", **{name: moment}) == expected

    def test_is_filtered_by_all_filters_at_once(self, sagemaker: Any) -> None:
        since, until = MARCH + timedelta(days=2), MARCH + timedelta(days=8)
        assert versions(sagemaker, CreationTimeAfter=since, CreationTimeBefore=until) == [10, 2]

    @pytest.mark.skipif(not SENDS_FRACTIONS, reason="this botocore sends whole seconds")
    def test_finds_a_new_version_by_the_time_that_it_showed(self, sagemaker: Any) -> None:
        create_version(sagemaker)
        shown = sagemaker.describe_image_version(ImageName="analysis")["CreationTime"]
        found = versions(sagemaker, CreationTimeAfter=shown, CreationTimeBefore=shown)
        assert found == [11]

    @pytest.mark.parametrize("sort_by", ["VERSION", "CREATION_TIME", "LAST_MODIFIED_TIME"])
    @pytest.mark.parametrize("order", ["ASCENDING", "DESCENDING"])
    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
    def test_comes_in_pages_that_hold_each_entry_once(
        self, sagemaker: Any, sort_by: str, order: str, size: int
    ) -> None:
        sort = {"SortBy": sort_by, "SortOrder": order}
        pages = sagemaker.get_paginator("list_image_versions").paginate(
            ImageName="analysis", **sort, PaginationConfig={"PageSize": size}
        )
        paged = [[each["Version"] for each in page["ImageVersions"]] for page in pages]
        assert [number for page in paged for number in page] == versions(sagemaker, **sort)
        assert {len(page) for page in paged[:-1]} <= {size}

    def test_has_ten_entries_a_page_unless_told_otherwise(self, sagemaker: Any) -> None:
        loaded(*[entry(number) for number in range(1, 13)])
        first = sagemaker.list_image_versions(ImageName="analysis")
        assert len(first["ImageVersions"]) == 10
        rest = sagemaker.list_image_versions(ImageName="analysis", NextToken=first["NextToken"])
        assert [each["Version"] for each in rest["ImageVersions"]] == [2, 1]
        assert "NextToken" not in rest

    @pytest.mark.parametrize("other", [{"SortOrder": "ASCENDING"}, {"CreationTimeAfter": MARCH}])
    def test_refuses_a_token_of_another_listing(self, sagemaker: Any, other: dict[str, Any]) -> None:
        token = sagemaker.list_image_versions(ImageName="analysis", MaxResults=1)["NextToken"]
        with pytest.raises(ClientError, match="ValidationException"):
            versions(sagemaker, NextToken=token, **other)

    def test_refuses_a_token_that_it_never_gave(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match="ValidationException"):
            versions(sagemaker, NextToken="bm9uZQ==")

    def test_of_an_image_that_is_not_there_is_not_found(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*image/nothing does not exist"):
            sagemaker.list_image_versions(ImageName="nothing")

    def test_shows_a_loaded_version_settle(self, sagemaker: Any, reads: Any) -> None:
        reads("sagemaker::image-version", 2)
        loaded(entry(1, "CREATING"), entry(2, "DELETING"), entry(3, "CREATE_FAILED", FailureReason="No."))
        shown = [
            {each["Version"]: each["ImageVersionStatus"] for each in listing["ImageVersions"]}
            for listing in (sagemaker.list_image_versions(ImageName="analysis") for _ in range(2))
        ]
        assert shown == [
            {1: "CREATING", 2: "DELETING", 3: "CREATE_FAILED"},
            {1: "CREATED", 3: "CREATE_FAILED"},
        ]


def raw_call(url: str, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """A request as no SDK would send it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    headers = {
        "X-Amz-Target": f"SageMaker.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20261121/us-east-1/sagemaker/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class TestAMalformedRequest:
    @pytest.mark.parametrize(
        ("members", "complaint"),
        [
            ({"MaxResults": 101}, "'MaxResults' failed to satisfy constraint.*less than or equal to 100"),
            ({"MaxResults": 0}, "greater than or equal to 1"),
            ({"MaxResults": "many"}, "must be an integer"),
            ({"SortBy": "NAME"}, "enum value set"),
            ({"ImageName": "-"}, "regular expression"),
            ({"ImageName": None}, "must not be null"),
            ({"CreationTimeAfter": "soon"}, "must be a timestamp"),
            ({"CreationTimeAfter": 1e300}, "must be a timestamp"),
        ],
    )
    def test_is_a_validation_exception_that_names_the_member(
        self, emulator_url: str, image: str, members: dict[str, Any], complaint: str
    ) -> None:
        body = json.dumps({"ImageName": image, **members}).encode()
        status, error = raw_call(emulator_url, "ListImageVersions", body)
        assert (status, error["__type"]) == (400, "ValidationException")
        assert re.search(complaint, error["Message"])
        assert next(iter(members)).lower() in error["Message"].lower()

    @pytest.mark.parametrize("body", [b"{", b"[]", b'"text"'])
    def test_that_is_no_json_object_is_refused(self, emulator_url: str, body: bytes) -> None:
        status, error = raw_call(emulator_url, "ListImageVersions", body)
        assert (status, error["__type"]) == (400, "SerializationException")


def test_images_of_one_region_are_not_in_another(sagemaker: Any, image: str, emulator_url: str) -> None:
    elsewhere = client_of("sagemaker", emulator_url, region="eu-west-1")
    assert elsewhere.list_images()["Images"] == []
    assert [each["ImageName"] for each in sagemaker.list_images()["Images"]] == [image]
    elsewhere.close()


def test_images_are_gone_after_a_reset(sagemaker: Any, image: str) -> None:
    sagemaker_backends["123456789012"]["us-east-1"].reset()
    assert sagemaker.list_images()["Images"] == []


def test_a_version_is_modified_when_its_build_ends_and_not_at_the_next_read(
    sagemaker: Any, image: str
) -> None:
    model, build = "sagemaker::image-version", timedelta(seconds=0.1)
    state_manager.set_transition(model, {"progression": "time", "seconds": build.total_seconds()})
    try:
        create_version(sagemaker)
        created = sagemaker.list_image_versions(ImageName=image)["ImageVersions"][0]["CreationTime"]
        while datetime.now(UTC) < created + 5 * build:
            time.sleep(0.02)
        (listed,) = sagemaker.list_image_versions(ImageName=image)["ImageVersions"]
    finally:
        state_manager.unset_transition(model)

    assert listed["ImageVersionStatus"] == "CREATED"
    assert created + build <= listed["LastModifiedTime"] < created + 2 * build
