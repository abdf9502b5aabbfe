"""An import, an update, a copy, a deletion, a build: the worker dies after AWS has answered each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from embedded_aws import DATASTORE
from figures import Figures
from production import Production

IMAGE = "studio-kernel"
ACTIONS = ("import_study", "de_identify", "copy", "delete", "build", "unbuild")
RUN_SECONDS = 800

pytestmark = pytest.mark.timeout(900)


def test_a_worker_that_dies_after_each_answer_of_aws_acts_once(
    stack: Production, figures: Figures, tmp_path: Path
) -> None:
    version = {
        "ImageArn": f"arn:aws:sagemaker:us-east-1:123456789012:image/{IMAGE}",
        "ImageVersionArn": f"arn:aws:sagemaker:us-east-1:123456789012:image-version/{IMAGE}/1",
        "ImageVersionStatus": "CREATED",
        "Version": 1,
        "CreationTime": 1_680_027_126.436,
        "LastModifiedTime": 1_680_027_126.436,
    }
    stack.aws.begin({"healthimaging": {DATASTORE: {}}, "sagemaker": {IMAGE: [version]}})
    stack.aws.settle(seconds=4)
    stack.aws.client("s3").create_bucket(Bucket="imaging")

    with stack.under_a_supervisor() as revived:
        run = stack.run("actions_through_deaths", folder=str(tmp_path))
        assert run.wait(RUN_SECONDS) == "success", run.tell()

    assert len([name for name in revived if name.startswith("worker")]) == len(ACTIONS)
    assert {each: run.instances(each)[0]["try_number"] for each in ACTIONS} == dict.fromkeys(ACTIONS, 2)
    calls = stack.aws.calls()
    of_images, of_sets = calls["sagemaker"], calls["medical-imaging"]
    once = ("UpdateImageSetMetadata", "CopyImageSet", "DeleteImageSet")
    assert {name: of_sets[name] for name in once} == dict.fromkeys(once, 1)
    assert of_images["DeleteImageVersion"] == 1
    # These two take a token: a second call makes nothing.
    healthimaging, sagemaker = stack.aws.client("medical-imaging"), stack.aws.client("sagemaker")
    assert len(healthimaging.list_dicom_import_jobs(datastoreId=DATASTORE)["jobSummaries"]) == 1
    assert run.xcom("build")["Version"] == 2
    assert [each["Version"] for each in sagemaker.list_image_versions(ImageName=IMAGE)["ImageVersions"]] == [
        1
    ]

    updated = run.xcom("de_identify")
    history = healthimaging.list_image_set_versions(datastoreId=DATASTORE, imageSetId=updated["imageSetId"])
    assert [each["versionId"] for each in history["imageSetPropertiesList"]] == ["2", "1"]
    assert run.xcom("report")["rows"] == 3
    assert (tmp_path / "report.csv").is_file()
    figures.tell(
        f"kill -9 of the worker right after AWS had answered, {len(ACTIONS)} times in one run "
        f"({', '.join(ACTIONS)}): AWS carried out each action once"
    )
