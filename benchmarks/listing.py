"""Listing 5,000 versions: the hooks, and the operators up to XCom, beside a bare client's loop."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.measure import Row, Timed, ratio
from benchmarks.served import served
from benchmarks.stub import (
    DATASTORE_ID,
    IMAGE_NAME,
    IMAGE_PAGE,
    IMAGE_SET_ID,
    IMAGE_SET_PAGE,
    VERSIONS,
)

REGION = "us-east-1"
BARE = "a bare boto3 client's loop"
LIST_AIM = 1.10
XCOM_AIM = 1.50


def rows() -> Iterator[Row]:
    """Measure both services."""
    with served("benchmarks.stub") as stub:
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
            {
                "conn_type": "aws",
                "login": "testing",
                "password": "testing",
                "extra": {"region_name": REGION, "endpoint_url": stub.url},
            }
        )
        yield from _healthimaging(stub.url)
        yield from _sagemaker(stub.url)


def _healthimaging(url: str) -> Iterator[Row]:
    from airflow_imgver.hooks.healthimaging import HealthImagingHook
    from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator

    client = _bare_client("medical-imaging", url)
    hook = HealthImagingHook()
    operator = HealthImagingListImageSetVersionsOperator(
        task_id="list_versions", datastore_id=DATASTORE_ID, image_set_id=IMAGE_SET_ID
    )

    def loop() -> list[Any]:
        items: list[Any] = []
        asked = {"datastoreId": DATASTORE_ID, "imageSetId": IMAGE_SET_ID, "maxResults": IMAGE_SET_PAGE}
        while True:
            page = client.list_image_set_versions(**asked)
            items += page["imageSetPropertiesList"]
            if "nextToken" not in page:
                return items
            asked["nextToken"] = page["nextToken"]

    bare = _timed(loop)
    yield ratio(
        "HealthImaging: the hook lists",
        _timed(lambda: hook.list_image_set_versions(DATASTORE_ID, IMAGE_SET_ID).items),
        BARE,
        bare,
        aim=LIST_AIM,
    )
    yield ratio(
        "HealthImaging: the operator, to XCom",
        _to_xcom(operator),
        BARE,
        bare,
        aim=XCOM_AIM,
    )


def _sagemaker(url: str) -> Iterator[Row]:
    from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
    from airflow_imgver.operators.sagemaker_image import SageMakerListImageVersionsOperator

    client = _bare_client("sagemaker", url)
    hook = SageMakerImageHook()
    operator = SageMakerListImageVersionsOperator(task_id="list_versions", image_name=IMAGE_NAME)

    def loop() -> list[Any]:
        items: list[Any] = []
        asked = {"ImageName": IMAGE_NAME, "MaxResults": IMAGE_PAGE}
        while True:
            page = client.list_image_versions(**asked)
            items += page["ImageVersions"]
            if "NextToken" not in page:
                return items
            asked["NextToken"] = page["NextToken"]

    bare = _timed(loop)
    yield ratio(
        "SageMaker: the hook lists",
        _timed(lambda: hook.list_image_versions(IMAGE_NAME).items),
        BARE,
        bare,
        aim=LIST_AIM,
    )
    yield ratio(
        "SageMaker: the operator, to XCom",
        _to_xcom(operator),
        BARE,
        bare,
        aim=XCOM_AIM,
    )


def _bare_client(service: str, url: str) -> Any:
    """Build a client with the settings of the hooks', and nothing of Airflow's."""
    return boto3.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION
    ).client(
        service,  # type: ignore[call-overload]  # the overloads know each service by its literal name
        endpoint_url=url,
        config=Config(
            inject_host_prefix=False,
            connect_timeout=5,
            read_timeout=20,
            retries={"mode": "standard", "total_max_attempts": 3},
        ),
    )


def _timed(listing: Callable[[], list[Any]]) -> Timed:
    def once() -> float:
        # Neither side pays for the other's rubbish.
        gc.collect()
        start = perf_counter()
        items = listing()
        seconds = perf_counter() - start
        if len(items) != VERSIONS:
            raise RuntimeError(f"{len(items)} versions were listed, and there are {VERSIONS}.")
        return seconds

    return once


class _TaskInstance:
    """What a task pushes besides its return value goes nowhere: there is no database here."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Serialize, as Airflow's would."""
        json.dumps(value)


def _to_xcom(operator: Any) -> Timed:
    from airflow.sdk.bases.operator import ExecutorSafeguard

    # What Airflow's task runner passes, to show that it is the caller.
    runner = {f"{type(operator).__name__}__sentinel": ExecutorSafeguard.sentinel_value}

    def listing() -> list[Any]:
        value = operator.execute({"ti": _TaskInstance()}, **runner)
        json.dumps(value)
        return list(value)

    return _timed(listing)
