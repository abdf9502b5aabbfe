"""State files: what they load, and what is wrong with those that load nothing."""

from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_clients import client_of

from airflow_imgver.emulator import StateError, mock_image_versions
from airflow_imgver.emulator.state import load

DATASTORE, IMAGE_SET = "12345678901234567890123456789012", "ea92b0d8838c72a3f25d00d13616f87e"

# What the AWS CLI's documentation prints for list-image-set-versions.
PRINTED = json.loads("""
{
    "imageSetPropertiesList": [
        {
            "ImageSetWorkflowStatus": "UPDATED",
            "versionId": "4",
            "updatedAt": 1680029436.304,
            "imageSetId": "ea92b0d8838c72a3f25d00d13616f87e",
            "imageSetState": "ACTIVE",
            "createdAt": 1680027126.436
        },
        {
            "ImageSetWorkflowStatus": "UPDATED",
            "versionId": "3",
            "updatedAt": 1680029163.325,
            "imageSetId": "ea92b0d8838c72a3f25d00d13616f87e",
            "imageSetState": "ACTIVE",
            "createdAt": 1680027126.436
        },
        {
            "ImageSetWorkflowStatus": "COPY_FAILED",
            "versionId": "2",
            "updatedAt": 1680027455.944,
            "imageSetId": "ea92b0d8838c72a3f25d00d13616f87e",
            "imageSetState": "ACTIVE",
            "message": "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match.",
            "createdAt": 1680027126.436
        },
        {
            "imageSetId": "ea92b0d8838c72a3f25d00d13616f87e",
            "imageSetState": "ACTIVE",
            "versionId": "1",
            "ImageSetWorkflowStatus": "COPIED",
            "createdAt": 1680027126.436
        }
    ]
}
""")

VERSION = {
    "CreationTime": 1780000000.125,
    "ImageArn": "arn:aws:sagemaker:us-east-1:123456789012:image/analysis",
    "ImageVersionArn": "arn:aws:sagemaker:us-east-1:123456789012:image-version/analysis/1",
    "ImageVersionStatus": "CREATE_FAILED",
    "LastModifiedTime": 1780000060.5,
    "Version": 1,
    "FailureReason": "ClientError: the image has no kernel.",
}


def document() -> dict[str, Any]:
    entries = copy.deepcopy(PRINTED["imageSetPropertiesList"])
    return {
        "healthimaging": {DATASTORE: {IMAGE_SET: entries}},
        "sagemaker": {"Analysis": [dict(VERSION)]},
    }


@pytest.fixture(autouse=True)
def embedded() -> Iterator[None]:
    with mock_image_versions():
        yield


def on_the_wire(service: str, operation: str, **arguments: Any) -> Any:
    """The JSON that comes back, before botocore makes anything of it."""
    bodies: list[bytes] = []
    client = client_of(service)
    client.meta.events.register(
        "before-parse", lambda response_dict, **_: bodies.append(response_dict["body"])
    )
    getattr(client, operation)(**arguments)
    return json.loads(bodies[0])


def image_set_on_the_wire() -> Any:
    return on_the_wire(
        "medical-imaging", "list_image_set_versions", datastoreId=DATASTORE, imageSetId=IMAGE_SET
    )


class TestASampleOfAwsItself:
    def test_comes_back_as_printed(self) -> None:
        load(document())
        assert image_set_on_the_wire() == PRINTED

    def test_comes_back_as_printed_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        path.write_text(json.dumps(document()), encoding="utf-8")
        load(path)
        assert image_set_on_the_wire() == PRINTED
        load(str(path))
        assert image_set_on_the_wire() == PRINTED

    def test_comes_back_newest_first_whatever_order_it_was_in(self) -> None:
        shuffled = document()
        shuffled["healthimaging"][DATASTORE][IMAGE_SET].reverse()
        load(shuffled)
        assert image_set_on_the_wire() == PRINTED

    def test_is_an_image_set_that_goes_on_from_there(self) -> None:
        load(document())
        healthimaging = client_of("medical-imaging")
        answer = healthimaging.update_image_set_metadata(
            datastoreId=DATASTORE,
            imageSetId=IMAGE_SET,
            latestVersionId="4",
            updateImageSetMetadataUpdates={"revertToVersionId": "1"},
        )
        assert (answer["latestVersionId"], answer["imageSetWorkflowStatus"]) == ("5", "UPDATING")


class TestASageMakerImage:
    def test_comes_back_as_it_was_written(self) -> None:
        load(document())
        listed = on_the_wire("sagemaker", "list_image_versions", ImageName="Analysis")
        assert listed == {"ImageVersions": [VERSION]}

    def test_may_have_no_version(self) -> None:
        load({"sagemaker": {"analysis": []}})
        assert on_the_wire("sagemaker", "list_image_versions", ImageName="analysis") == {"ImageVersions": []}
        assert client_of("sagemaker").describe_image(ImageName="analysis")["ImageStatus"] == "CREATED"

    def test_counts_on_from_its_greatest_version(self) -> None:
        load(document())
        arn = client_of("sagemaker").create_image_version(
            ImageName="Analysis", BaseImage="123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:1"
        )["ImageVersionArn"]
        assert arn == "arn:aws:sagemaker:us-east-1:123456789012:image-version/analysis/2"

    def test_may_be_an_object_with_what_aws_only_describes(self) -> None:
        base_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio:1"
        image = {
            "RoleArn": "arn:aws:iam::123456789012:role/studio",
            "Description": "For the wards",
            "ImageVersions": [{**VERSION, "ImageVersionStatus": "CREATED", "BaseImage": base_image}],
        }
        load({"sagemaker": {"analysis": image}})
        sagemaker = client_of("sagemaker")
        described = sagemaker.describe_image(ImageName="analysis")
        assert (described["RoleArn"], described["Description"]) == (image["RoleArn"], "For the wards")
        assert sagemaker.describe_image_version(ImageName="analysis")["BaseImage"] == base_image


def with_tags(**tags: Any) -> dict[str, Any]:
    state = document()
    state["healthimaging"][DATASTORE][IMAGE_SET][0]["DICOMTags"] = tags
    return state


class TestDicomTags:
    def test_are_found_by_a_search_and_in_the_metadata(self) -> None:
        load(with_tags(DICOMPatientId="4711", DICOMSeriesNumber=3))
        assert image_set_on_the_wire() == PRINTED
        criteria = {"filters": [{"operator": "EQUAL", "values": [{"DICOMPatientId": "4711"}]}]}
        healthimaging = client_of("medical-imaging")
        (found,) = healthimaging.search_image_sets(datastoreId=DATASTORE, searchCriteria=criteria)[
            "imageSetsMetadataSummaries"
        ]
        assert found["DICOMTags"]["DICOMSeriesNumber"] == 3
        blob = healthimaging.get_image_set_metadata(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        metadata = json.loads(gzip.decompress(blob["imageSetMetadataBlob"].read()))
        assert metadata["Patient"]["DICOM"] == {"PatientID": "4711"}

    def test_that_do_not_fit_are_refused_without_their_value(self) -> None:
        place = f"{ENTRIES}[0].DICOMTags.DICOMStudyInstanceUID"
        with pytest.raises(StateError, match=f"^{re.escape(place)}: .*must match") as refused:
            load(with_tags(DICOMStudyInstanceUID="JANE DOE"))
        assert "JANE" not in str(refused.value)


JOB = {
    "jobId": "09876543210987654321098765432109",
    "jobName": "nightly",
    "jobStatus": "COMPLETED",
    "datastoreId": DATASTORE,
    "dataAccessRoleArn": "arn:aws:iam::123456789012:role/import",
    "submittedAt": 1680027100.5,
    "endedAt": 1680027126.25,
    "inputS3Uri": "s3://scans/input/",
    "outputS3Uri": "s3://scans/output/1-DicomImport-2/",
}


class TestAnImportJob:
    def test_comes_back_as_it_was_written(self) -> None:
        load({"healthimaging": {DATASTORE: {"importJobs": [JOB]}}})
        arguments = {"datastoreId": DATASTORE, "jobId": JOB["jobId"]}
        found = on_the_wire("medical-imaging", "get_dicom_import_job", **arguments)
        assert found == {"jobProperties": JOB}

    def test_that_still_runs_goes_on(self) -> None:
        running = {**JOB, "jobStatus": "IN_PROGRESS"}
        load({"healthimaging": {DATASTORE: {"importJobs": [running]}}})
        healthimaging = client_of("medical-imaging")
        found = healthimaging.get_dicom_import_job(datastoreId=DATASTORE, jobId=JOB["jobId"])
        assert found["jobProperties"]["jobStatus"] == "COMPLETED"
        assert healthimaging.search_image_sets(datastoreId=DATASTORE)["imageSetsMetadataSummaries"]

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"datastoreId": "0" * 32}, "[0].datastoreId: is '0000"),
            ({"jobStatus": "DONE"}, "[0].jobStatus: is 'DONE'; it must be one of SUBMITTED"),
            ({"inputS3Uri": "/tmp"}, "[0].inputS3Uri: is '/tmp'; it must match"),
        ],
    )
    def test_that_is_malformed_is_refused(self, changes: dict[str, Any], complaint: str) -> None:
        with pytest.raises(
            StateError, match=f"^{re.escape(f'healthimaging.{DATASTORE}.importJobs{complaint}')}"
        ):
            load({"healthimaging": {DATASTORE: {"importJobs": [{**JOB, **changes}]}}})


@pytest.mark.parametrize(
    ("id_", "character"),
    [
        ("1" * 31 + "G", "character 32 is 'G'"),
        ("1" * 10 + "\u200b" + "1" * 21, "character 11 is '\\\\u200b'"),
        ("\u0430" + "1" * 31, "character 1 is '\\\\u0430'"),
        ("1" * 31 + "\n", "character 32 is '\\\\n'"),
    ],
    ids=["upper case", "zero width", "cyrillic", "line feed"],
)
def test_a_character_that_does_not_fit_is_shown(id_: str, character: str) -> None:
    with pytest.raises(StateError, match=f"; {character}$"):
        load({"healthimaging": {id_: {}}})


def test_a_long_message_is_refused_by_its_first_character_that_does_not_fit() -> None:
    message = "a" * 500 + "<" + "b" * 500
    with pytest.raises(StateError, match=r"; character 501 is '<'$") as refused:
        load(changed(f"{SET_PATH}/0/message", message))
    assert len(str(refused.value)) < 400


class TestTimes:
    @pytest.mark.parametrize(
        "written",
        [
            1680027126.436,
            "2023-03-28T18:12:06.436Z",
            "2023-03-28T18:12:06.436000+00:00",
            "2023-03-28T20:12:06.436+02:00",
            "2023-03-28T18:12:06.436",
        ],
    )
    def test_are_epoch_seconds_or_iso_8601(self, written: Any) -> None:
        state = document()
        for entry in state["healthimaging"][DATASTORE][IMAGE_SET]:
            entry["createdAt"] = written
        load(state)
        assert image_set_on_the_wire() == PRINTED

    def test_without_a_fraction_stay_so(self) -> None:
        state = document()
        state["sagemaker"]["Analysis"][0]["CreationTime"] = "2026-05-28"
        load(state)
        [entry] = on_the_wire("sagemaker", "list_image_versions", ImageName="Analysis")["ImageVersions"]
        assert entry["CreationTime"] == 1779926400


def test_a_status_that_aws_has_not_thought_of_yet_is_kept() -> None:
    state = document()
    state["healthimaging"][DATASTORE][IMAGE_SET][0]["ImageSetWorkflowStatus"] = "ANONYMISING"
    load(state)
    assert image_set_on_the_wire()["imageSetPropertiesList"][0]["ImageSetWorkflowStatus"] == "ANONYMISING"


def test_an_empty_state_loads_nothing() -> None:
    load({})
    assert client_of("medical-imaging").list_datastores()["datastoreSummaries"] == []


def test_two_regions_are_kept_apart() -> None:
    load({"sagemaker": {"analysis": []}}, region="eu-west-1")
    assert client_of("sagemaker").list_images()["Images"] == []
    assert len(client_of("sagemaker", region="eu-west-1").list_images()["Images"]) == 1


ENTRIES = f"healthimaging.{DATASTORE}.{IMAGE_SET}"


def changed(place: str, value: Any = None, *, remove: bool = False) -> dict[str, Any]:
    """The good document with one thing in it changed: `healthimaging/<ds>/<set>/0/versionId`."""
    state = document()
    *path, last = [int(step) if step.isdigit() and len(step) < 3 else step for step in place.split("/")]
    inner: Any = state
    for step in path:
        inner = inner[step]
    if remove:
        del inner[last]
    else:
        inner[last] = value
    return state


SET_PATH = f"healthimaging/{DATASTORE}/{IMAGE_SET}"
MALFORMED = {
    "a third service": (changed("ecr", {}), "ecr: unknown"),
    "data stores in a list": ({"healthimaging": []}, "healthimaging: must be an object"),
    "a data store id that is too short": (
        {"healthimaging": {"123": {}}},
        "healthimaging.123: is '123'; it must match",
    ),
    "an image set id in upper case": (
        {"healthimaging": {DATASTORE: {"A" * 32: []}}},
        f"healthimaging.{DATASTORE}.{'A' * 32}: is '{'A' * 32}'; it must match",
    ),
    "entries that are no list": (changed(SET_PATH, {}), f"{ENTRIES}: must be a list"),
    "an image set without a version": (changed(SET_PATH, []), f"{ENTRIES}: an image set has at least one"),
    "an entry that is no object": (changed(f"{SET_PATH}/2", "2"), f"{ENTRIES}[2]: must be an object"),
    "a member that AWS does not list": (
        changed(f"{SET_PATH}/1/datastoreId", DATASTORE),
        f"{ENTRIES}[1].datastoreId: unknown; known are imageSetId, versionId",
    ),
    "the status as GetImageSet spells it": (
        changed(f"{SET_PATH}/1/imageSetWorkflowStatus", "UPDATED"),
        f"{ENTRIES}[1].imageSetWorkflowStatus: unknown",
    ),
    "a missing member": (
        changed(f"{SET_PATH}/3/imageSetState", remove=True),
        f"{ENTRIES}[3].imageSetState: missing",
    ),
    "a version that is a number": (changed(f"{SET_PATH}/2/versionId", 2), f"{ENTRIES}[2].versionId: is 2; "),
    "a version that is no number": (
        changed(f"{SET_PATH}/2/versionId", "v2"),
        f"{ENTRIES}[2].versionId: is 'v2'; it must match",
    ),
    "a version that is there twice": (
        changed(f"{SET_PATH}/2/versionId", "04"),
        f"{ENTRIES}[2].versionId: '04' is also that of [0]",
    ),
    "another image set's entry": (
        changed(f"{SET_PATH}/0/imageSetId", "f" * 32),
        f"{ENTRIES}[0].imageSetId: is '{'f' * 32}', under the image set '{IMAGE_SET}'",
    ),
    "a state that AWS does not have": (
        changed(f"{SET_PATH}/0/imageSetState", "BUSY"),
        f"{ENTRIES}[0].imageSetState: is 'BUSY'; it must be one of ACTIVE, LOCKED, DELETED",
    ),
    "a time that is none": (
        changed(f"{SET_PATH}/0/updatedAt", "soon"),
        f"{ENTRIES}[0].updatedAt: is 'soon'; ",
    ),
    "a time out of range": (changed(f"{SET_PATH}/0/updatedAt", 1e30), f"{ENTRIES}[0].updatedAt: is 1e+30; "),
    "a time that is a truth value": (changed(f"{SET_PATH}/0/updatedAt", True), f"{ENTRIES}[0].updatedAt: "),
    "a flag that is a text": (
        changed(f"{SET_PATH}/0/isPrimary", "yes"),
        f"{ENTRIES}[0].isPrimary: is 'yes'; ",
    ),
    "an override that is unknown": (
        changed(f"{SET_PATH}/0/overrides", {"force": True}),
        f"{ENTRIES}[0].overrides.force: unknown; known are forced",
    ),
    "a message that is too long": (
        changed(f"{SET_PATH}/0/message", "x" * 2049),
        f"{ENTRIES}[0].message: is 2049 characters long; 2048 is the most",
    ),
    "an image name that is none": ({"sagemaker": {"-": []}}, "sagemaker.-: is '-'; it must match"),
    "two images of one name": (changed("sagemaker/analysis", []), "sagemaker.analysis: differs from another"),
    "an image's entry without its time": (
        changed("sagemaker/Analysis/0/LastModifiedTime", remove=True),
        "sagemaker.Analysis[0].LastModifiedTime: missing",
    ),
    "an image's status that AWS does not have": (
        changed("sagemaker/Analysis/0/ImageVersionStatus", "DELETED"),
        "sagemaker.Analysis[0].ImageVersionStatus: is 'DELETED'; it must be one of CREATING",
    ),
    "an image's version that is a text": (
        changed("sagemaker/Analysis/0/Version", "1"),
        "sagemaker.Analysis[0].Version: is '1'; it must be a number",
    ),
    "an image's version below zero": (
        changed("sagemaker/Analysis/0/Version", -1),
        "sagemaker.Analysis[0].Version: is -1; it must be a number",
    ),
    "an ARN of another version": (
        changed("sagemaker/Analysis/0/Version", 2),
        "sagemaker.Analysis[0].ImageVersionArn: is 'arn:aws:sagemaker:us-east-1:123456789012:image-version/",
    ),
    "an ARN of another image": (
        changed("sagemaker/Analysis/0/ImageArn", "arn:aws:sagemaker:us-east-1:123456789012:image/other"),
        "sagemaker.Analysis[0].ImageArn: is ",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_state_is_refused_with_the_place_and_nothing_is_loaded(case: str) -> None:
    state, complaint = MALFORMED[case]
    with pytest.raises(StateError, match=f"^{re.escape(complaint)}"):
        load(state)
    assert client_of("medical-imaging").list_datastores()["datastoreSummaries"] == []
    assert client_of("sagemaker").list_images()["Images"] == []


class TestAFile:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (
                b'{\n  "sagemaker": {,}\n}',
                "line 2 column 17: not JSON: Expecting property name enclosed in double quotes, found ','",
            ),
            (b"", "line 1 column 1: not JSON: Expecting value, found the end of the file"),
            (
                b'{"a": \xe2\x80\x9c1\xe2\x80\x9d}',
                "line 1 column 7: not JSON: Expecting value, found '\\u201c'",
            ),
            (b'{"sagemaker": "\xff"}', "not UTF-8 at byte 15, which is 0xff"),
            (b'{"sagemaker": {"a": [], "a": []}}', "'a' is twice in one object"),
            (b"[]", "$: must be an object"),
            (b'{"sagemaker": []}', "sagemaker: must be an object"),
        ],
    )
    def test_that_is_malformed_is_named_with_the_place(
        self, tmp_path: Path, content: bytes, complaint: str
    ) -> None:
        path = tmp_path / "state.json"
        path.write_bytes(content)
        with pytest.raises(StateError, match=f"^{re.escape(f'{path}: {complaint}')}"):
            load(path)

    def test_that_is_not_there_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "state.json")
