"""The examples of the CLI reference of HealthImaging, run by the AWS CLI in the order of a day."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import aws_cli

from airflow_imgver.emulator import serve

ROLE = "arn:aws:iam::123456789012:role/ImportJobDataAccessRole"


class Cli:
    """``aws medical-imaging`` with a data store and one image set that is not primary."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.folder = folder
        self.datastore_id = str(self("create-datastore", datastore_name="clinic")["datastoreId"])
        self.job_id = str(
            self(
                "start-dicom-import-job",
                job_name="my-job",
                datastore_id=self.datastore_id,
                input_s3_uri="s3://amzn-s3-demo-source-bucket/series=1/",
                output_s3_uri="s3://amzn-s3-demo-logging-bucket/output/",
                data_access_role_arn=ROLE,
            )["jobId"]
        )
        (found,) = self.search({})
        self.primary = str(found["imageSetId"])
        self.image_set_id = str(self.copy(self.primary)["imageSetId"])

    def __call__(self, command: str, *positional: str, **options: Any) -> Any:
        arguments = [command]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}"]
            arguments += [] if value is True else [value if isinstance(value, str) else json.dumps(value)]
        done = aws_cli(self._url, "medical-imaging", *arguments, *positional)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def on_image_set(self, command: str, *positional: str, **options: Any) -> Any:
        identity = {"datastore_id": self.datastore_id, "image_set_id": self.image_set_id}
        return self(command, *positional, **identity, **options)

    def search(self, criteria: dict[str, Any]) -> list[dict[str, Any]]:
        path = self.folder / "search-criteria.json"
        path.write_text(json.dumps(criteria))
        answer = self("search-image-sets", datastore_id=self.datastore_id, search_criteria=f"file://{path}")
        return list(answer["imageSetsMetadataSummaries"])

    def copy(self, source: str, **information: Any) -> dict[str, Any]:
        answer = self(
            "copy-image-set",
            datastore_id=self.datastore_id,
            source_image_set_id=source,
            copy_image_set_information={"sourceImageSet": {"latestVersionId": "1"}, **information},
        )
        assert answer["sourceImageSetProperties"]["imageSetWorkflowStatus"] == "COPYING_WITH_READ_ONLY_ACCESS"
        return dict(answer["destinationImageSetProperties"])

    def update(self, latest: str, updates: dict[str, Any], **options: Any) -> Any:
        path = self.folder / "metadata-updates.json"
        path.write_text(json.dumps(updates))
        return self.on_image_set(
            "update-image-set-metadata",
            latest_version_id=latest,
            update_image_set_metadata_updates=f"file://{path}",
            **options,
        )

    def metadata(self, **options: Any) -> dict[str, Any]:
        outfile = self.folder / "studymetadata.json.gz"
        answer = self.on_image_set("get-image-set-metadata", str(outfile), **options)
        assert answer == {"contentType": "application/json", "contentEncoding": "gzip"}
        return dict(json.loads(gzip.decompress(outfile.read_bytes())))

    def statuses(self) -> list[tuple[str, str]]:
        listed = self.on_image_set("list-image-set-versions")["imageSetPropertiesList"]
        return [(entry["versionId"], entry["ImageSetWorkflowStatus"]) for entry in listed]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with serve() as url:
        yield Cli(url, tmp_path)


def test_data_stores_and_import_jobs(cli: Cli) -> None:
    store = cli("get-datastore", datastore_id=cli.datastore_id)["datastoreProperties"]
    assert (store["datastoreStatus"], store["losslessStorageFormat"]) == ("ACTIVE", "HTJ2K")
    assert [each["datastoreName"] for each in cli("list-datastores")["datastoreSummaries"]] == ["clinic"]
    job = cli("get-dicom-import-job", datastore_id=cli.datastore_id, job_id=cli.job_id)["jobProperties"]
    assert (job["jobStatus"], job["jobName"]) == ("COMPLETED", "my-job")
    assert job["outputS3Uri"] == (
        f"s3://amzn-s3-demo-logging-bucket/output/{cli.datastore_id}-DicomImport-{cli.job_id}/"
    )
    listed = cli("list-dicom-import-jobs", datastore_id=cli.datastore_id)["jobSummaries"]
    assert [each["jobId"] for each in listed] == [cli.job_id]


def test_searches(cli: Cli) -> None:
    (copied, primary) = cli.search({})
    tags = primary["DICOMTags"]
    day = {"DICOMStudyDate": "20250101"}, {"DICOMStudyDate": "20260102", "DICOMStudyTime": "000000"}
    equal = [{"values": [{"DICOMPatientId": tags["DICOMPatientId"]}], "operator": "EQUAL"}]
    between_days = [{"values": [{"DICOMStudyDateAndTime": each} for each in day], "operator": "BETWEEN"}]
    between_times = [
        {
            "values": [{"createdAt": "1985-04-12T23:20:50.52Z"}, {"createdAt": "2099-04-12T23:20:50.52Z"}],
            "operator": "BETWEEN",
        }
    ]
    series = [{"values": [{"DICOMSeriesInstanceUID": tags["DICOMSeriesInstanceUID"]}], "operator": "EQUAL"}]
    ids = {each["imageSetId"] for each in (copied, primary)}
    for filters in (equal, between_days, between_times, series):
        assert {each["imageSetId"] for each in cli.search({"filters": filters})} == ids
    ascending = {"sortField": "createdAt", "sortOrder": "ASC"}
    ordered = cli.search({"filters": series, "sort": ascending})
    assert [each["imageSetId"] for each in ordered] == [cli.primary, cli.image_set_id]


def test_image_sets_their_metadata_and_their_frames(cli: Cli) -> None:
    shown = cli.on_image_set("get-image-set")
    assert (shown["versionId"], shown["imageSetState"], shown["imageSetWorkflowStatus"]) == (
        "1",
        "ACTIVE",
        "COPIED",
    )
    assert shown["createdAt"] == shown["updatedAt"]
    assert cli.on_image_set("get-image-set", version_id="1") == shown
    document = cli.metadata()
    assert cli.metadata(version_id="1") == document
    (series,) = document["Study"]["Series"].values()
    (frame, *_) = (each["ImageFrames"][0] for each in series["Instances"].values())
    outfile = cli.folder / "imageframe.jph"
    information = f"imageFrameId={frame['ID']}"
    answer = cli.on_image_set("get-image-frame", str(outfile), image_frame_information=information)
    assert answer == {"contentType": "image/jph"}
    assert outfile.stat().st_size == frame["FrameSizeInBytes"]


def test_updates(cli: Cli) -> None:
    name = '{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"MX^MX"}}}'
    started = cli.update("1", {"DICOMUpdates": {"updatableAttributes": name}})
    assert (started["latestVersionId"], started["imageSetWorkflowStatus"]) == ("2", "UPDATING")
    description = '{"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDescription":"CHEST"}}}'
    cli.update("2", {"DICOMUpdates": {"removableAttributes": description}})
    document = cli.metadata()
    assert document["Patient"]["DICOM"]["PatientName"] == "MX^MX"
    assert "StudyDescription" not in document["Study"]["DICOM"]
    ((series_uid, series),) = document["Study"]["Series"].items()
    instance_uid, kept = series["Instances"]
    instance = {"Series": {series_uid: {"Instances": {instance_uid: {}}}}}
    removal = json.dumps({"SchemaVersion": 1.1, "Study": instance})
    cli.update("3", {"DICOMUpdates": {"removableAttributes": removal}})
    (series,) = cli.metadata()["Study"]["Series"].values()
    assert list(series["Instances"]) == [kept]
    cli.update("4", {"revertToVersionId": "1"})
    assert cli.metadata()["Patient"]["DICOM"]["PatientName"] != "MX^MX"
    assert cli.statuses() == [
        ("5", "UPDATED"),
        ("4", "UPDATED"),
        ("3", "UPDATED"),
        ("2", "UPDATED"),
        ("1", "COPIED"),
    ]


def test_copies(cli: Cli) -> None:
    ((series_uid, series),) = cli.metadata()["Study"]["Series"].items()
    first, second = series["Instances"]

    def subset(uid: str) -> dict[str, Any]:
        instances = {"Series": {series_uid: {"Instances": {uid: {}}}}}
        attributes = json.dumps({"SchemaVersion": "1.1", "Study": instances})
        return {"latestVersionId": "1", "DICOMCopies": {"copiableAttributes": attributes}}

    destination = cli.copy(cli.image_set_id, sourceImageSet=subset(first))
    assert (destination["latestVersionId"], destination["imageSetWorkflowStatus"]) == ("1", "COPYING")
    assert "updatedAt" in destination
    wanted = {"imageSetId": destination["imageSetId"], "latestVersionId": "1"}
    joined = cli.copy(cli.image_set_id, sourceImageSet=subset(second), destinationImageSet=wanted)
    assert (joined["imageSetId"], joined["latestVersionId"]) == (destination["imageSetId"], "2")
    cli.image_set_id = destination["imageSetId"]
    assert cli.statuses() == [("2", "COPIED"), ("1", "COPIED")]


def test_tags_and_deletions(cli: Cli) -> None:
    arn = cli.on_image_set("get-image-set")["imageSetArn"]
    cli("tag-resource", resource_arn=arn, tags={"Deployment": "Development"})
    assert cli("list-tags-for-resource", resource_arn=arn) == {"tags": {"Deployment": "Development"}}
    cli("untag-resource", resource_arn=arn, tag_keys=["Deployment"])
    assert cli("list-tags-for-resource", resource_arn=arn) == {"tags": {}}
    for image_set_id in (cli.primary, cli.image_set_id):
        answer = cli("delete-image-set", datastore_id=cli.datastore_id, image_set_id=image_set_id)
        assert (answer["imageSetState"], answer["imageSetWorkflowStatus"]) == ("LOCKED", "DELETING")
    assert cli("delete-datastore", datastore_id=cli.datastore_id)["datastoreStatus"] == "DELETING"
