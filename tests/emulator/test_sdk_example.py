"""The calls of a program that imports a study, reads all its frames and cleans up after itself."""

from __future__ import annotations

import gzip
import json
import zlib
from io import BytesIO
from typing import Any

import pytest
from dicom import file_of
from emulator_clients import client_of
from PIL import Image

from airflow_imgver.emulator import serve

ROLE = "arn:aws:iam::123456789012:role/import"


class Program:
    """Calls in the order and the form of the documentation of AWS, and no others."""

    def __init__(self, url: str) -> None:
        self.healthimaging = client_of("medical-imaging", url)
        self.s3 = client_of("s3", url)

    def create_datastore(self) -> str:
        created = self.healthimaging.create_datastore(datastoreName="frames")["datastoreId"]
        while True:
            properties = self.healthimaging.get_datastore(datastoreId=created)["datastoreProperties"]
            if properties["datastoreStatus"] == "ACTIVE":
                return str(created)

    def import_files(self, datastore_id: str, bucket: str) -> list[str]:
        job_id = self.healthimaging.start_dicom_import_job(
            jobName="examples",
            datastoreId=datastore_id,
            dataAccessRoleArn=ROLE,
            inputS3Uri=f"s3://{bucket}/input/",
            outputS3Uri=f"s3://{bucket}/output/",
        )["jobId"]
        while True:
            answer = self.healthimaging.get_dicom_import_job(datastoreId=datastore_id, jobId=job_id)
            job = answer["jobProperties"]
            if job["jobStatus"] not in ("SUBMITTED", "IN_PROGRESS"):
                break
        assert job["jobStatus"] == "COMPLETED"
        prefix = job["outputS3Uri"].removeprefix(f"s3://{bucket}/")
        manifest = self.s3.get_object(Bucket=bucket, Key=f"{prefix}job-output-manifest.json")
        summary = json.loads(manifest["Body"].read())["jobSummary"]
        return [each["imageSetId"] for each in summary["imageSetsSummary"]]

    def frames(self, datastore_id: str, image_set_id: str) -> list[dict[str, Any]]:
        answer = self.healthimaging.get_image_set_metadata(datastoreId=datastore_id, imageSetId=image_set_id)
        document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        return [
            frame
            for series in document["Study"]["Series"].values()
            for instance in series["Instances"].values()
            for frame in instance["ImageFrames"]
        ]

    def pixels(self, datastore_id: str, image_set_id: str, frame_id: str) -> bytes:
        answer = self.healthimaging.get_image_frame(
            datastoreId=datastore_id,
            imageSetId=image_set_id,
            imageFrameInformation={"imageFrameId": frame_id},
        )
        image = Image.open(BytesIO(answer["imageFrameBlob"].read()))
        return image.tobytes()

    def delete_image_sets(self, datastore_id: str) -> int:
        deleted = 0
        pages = self.healthimaging.get_paginator("search_image_sets").paginate(
            datastoreId=datastore_id, searchCriteria={}
        )
        for page in pages:
            for found in page["imageSetsMetadataSummaries"]:
                self.healthimaging.delete_image_set(datastoreId=datastore_id, imageSetId=found["imageSetId"])
                deleted += 1
        return deleted

    def delete_datastore(self, datastore_id: str) -> None:
        while True:
            try:
                self.healthimaging.delete_datastore(datastoreId=datastore_id)
            except self.healthimaging.exceptions.ConflictException:
                continue  # The image sets are still being deleted.
            break


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_a_program_that_knows_only_aws_runs_to_its_end(seconds: float | None) -> None:
    with serve(transition_seconds=seconds) as url:
        program = Program(url)
        program.s3.create_bucket(Bucket="studies")
        for number in range(3):
            content = file_of(f"1.2.3.1.{number + 1}", BitsStored=16, HighBit=15)
            program.s3.put_object(Bucket="studies", Key=f"input/{number}.dcm", Body=content)
        datastore_id = program.create_datastore()
        (image_set_id,) = program.import_files(datastore_id, "studies")
        frames = program.frames(datastore_id, image_set_id)
        assert len(frames) == 3
        for frame in frames:
            checksums = frame["PixelDataChecksumFromBaseToFullResolution"]
            full = max(checksums, key=lambda each: each["Width"])
            pixels = program.pixels(datastore_id, image_set_id, frame["ID"])
            assert zlib.crc32(pixels) == full["Checksum"]
        assert program.delete_image_sets(datastore_id) == 1
        program.delete_datastore(datastore_id)
