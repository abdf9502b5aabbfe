"""Links into the AWS console."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from support import DATASTORE, IMAGE, IMAGE_SET, TaskInstance, context_of

from airflow_imgver.links.healthimaging import HealthImagingDICOMImportJobLink, HealthImagingImageSetLink
from airflow_imgver.links.sagemaker_image import SageMakerImageLink

IMAGE_SET_PAGE = f"region=eu-west-1#/dataStores/{DATASTORE}/imageSets/{IMAGE_SET}"
JOB = "3a4b5c6d7e8f90a1b2c3d4e5f6071829"
JOB_PAGE = f"region=eu-west-1#/dataStores/{DATASTORE}/importJobs/{JOB}"
IMAGE_PAGE = f"region=eu-west-1#/images/{IMAGE}"


@pytest.mark.parametrize(
    ("link", "identity", "address"),
    [
        (
            HealthImagingImageSetLink,
            {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET},
            f"https://console.aws.amazon.com/medical-imaging/home?{IMAGE_SET_PAGE}",
        ),
        (
            HealthImagingDICOMImportJobLink,
            {"datastore_id": DATASTORE, "job_id": JOB},
            f"https://console.aws.amazon.com/medical-imaging/home?{JOB_PAGE}",
        ),
        (
            SageMakerImageLink,
            {"image_name": IMAGE},
            f"https://console.aws.amazon.com/sagemaker/home?{IMAGE_PAGE}",
        ),
    ],
)
def test_what_is_persisted_makes_the_address(
    link: type[BaseAwsLink], identity: dict[str, Any], address: str
) -> None:
    ti = TaskInstance()
    operator: Any = SimpleNamespace(do_xcom_push=True)
    link.persist(context_of(ti), operator, region_name="eu-west-1", aws_partition="aws", **identity)
    assert link().format_link(**ti.xcoms[link.key]) == address


def test_another_partition_has_its_own_console() -> None:
    ti = TaskInstance()
    operator: Any = SimpleNamespace(do_xcom_push=True)
    SageMakerImageLink.persist(
        context_of(ti), operator, region_name="us-gov-west-1", aws_partition="aws-us-gov", image_name=IMAGE
    )
    address = SageMakerImageLink().format_link(**ti.xcoms["sagemaker_image"])
    assert address.startswith("https://console.amazonaws-us-gov.com/sagemaker/home?region=us-gov-west-1")


def test_the_links_have_names_and_keys_of_their_own() -> None:
    links = (HealthImagingImageSetLink, HealthImagingDICOMImportJobLink, SageMakerImageLink)
    assert len({link.name for link in links}) == len({link.key for link in links}) == 3
