"""GetImageSetMetadata and GetImageFrame, and what updates, copies and reverts make of the metadata."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import boto3
import pytest
from clinic import REGION, Clinic, clinic, error_of, takes_reads
from dicom import HTJ2K, file_of
from PIL import Image
from pydicom.datadict import tag_for_keyword

from airflow_imgver.emulator.medicalimaging.levels import LEVEL_OF_KEYWORD

NOT_FOUND = ("ResourceNotFoundException", 404)
STUDY = {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "CHEST"}}}


@pytest.fixture
def ours() -> Iterator[Clinic]:
    with clinic() as one:
        yield one


@pytest.fixture
def primary(ours: Clinic) -> str:
    (image_set,) = ours.import_image_sets(1)
    return image_set


@pytest.fixture
def copied(ours: Clinic, primary: str) -> str:
    return ours.not_primary(primary)


def imported(ours: Clinic, **files: bytes) -> str:
    """Import files of one series, and give the image set."""
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="scans")
    for name, content in files.items():
        s3.put_object(Bucket="scans", Key=f"input/{name}", Body=content)
    ours.start_import("s3://scans/input/")
    (found,) = ours.search()
    return str(found["imageSetId"])


def frame(ours: Clinic, image_set: str, frame_id: str) -> tuple[bytes, str]:
    answer = ours.client.get_image_frame(
        datastoreId=ours.datastore_id,
        imageSetId=image_set,
        imageFrameInformation={"imageFrameId": frame_id},
    )
    return answer["imageFrameBlob"].read(), answer["contentType"]


def failure(ours: Clinic, image_set: str, document: Any, **arguments: Any) -> str | None:
    """Update an image set, and give the message with which the update fails."""
    latest = ours.get(image_set)["versionId"]
    ours.update(image_set, latest, document, **arguments)
    newest = ours.versions(image_set)[0]
    assert newest["imageSetState"] == "ACTIVE"
    assert newest["ImageSetWorkflowStatus"] == ("UPDATE_FAILED" if "message" in newest else "UPDATED")
    return newest.get("message")


def removal(ours: Clinic, image_set: str, text: str) -> str | None:
    latest = ours.get(image_set)["versionId"]
    ours.send_update(image_set, latest, {"DICOMUpdates": {"removableAttributes": text.encode()}})
    return ours.versions(image_set)[0].get("message")


class TestTheDocument:
    def test_is_json_in_gzip(self, ours: Clinic, primary: str) -> None:
        answer = ours.client.get_image_set_metadata(datastoreId=ours.datastore_id, imageSetId=primary)
        assert (answer["contentType"], answer["contentEncoding"]) == ("application/json", "gzip")
        document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        assert list(document) == ["SchemaVersion", "DatastoreID", "ImageSetID", "Patient", "Study"]
        assert document["SchemaVersion"] == "1.1"
        assert (document["DatastoreID"], document["ImageSetID"]) == (ours.datastore_id, primary)

    def test_has_the_attributes_of_a_file_at_their_levels(self, ours: Clinic) -> None:
        document = ours.metadata(imported(ours, a=file_of()))
        assert document["Patient"]["DICOM"] == {
            "PatientName": "DOE^JANE",
            "PatientID": "4711",
            "PatientBirthDate": None,
        }
        assert document["Study"]["DICOM"] == {
            "StudyDate": "20260131",
            "StudyTime": "101500",
            "AccessionNumber": "A1",
            "StudyInstanceUID": "1.2.3",
            "StudyID": "S1",
        }
        ((uid, series),) = document["Study"]["Series"].items()
        assert (uid, series["DICOM"]) == (
            "1.2.3.1",
            {"Modality": "CT", "SeriesInstanceUID": "1.2.3.1", "SeriesNumber": "3"},
        )
        instance = series["Instances"]["1.2.3.1.1"]["DICOM"]
        assert instance["ImageType"] == ["ORIGINAL", "PRIMARY"]
        assert instance["WindowCenter"] == ["40"]
        assert (instance["Rows"], instance["TransferSyntaxUID"]) == (2, "1.2.840.10008.1.2.1")
        assert "PixelData" not in instance

    def test_has_nested_and_private_attributes(self, ours: Clinic) -> None:
        from pydicom.dataset import Dataset

        item = Dataset()
        item.CodeValue = "121320"
        dataset_extra = {"DerivationCodeSequence": [item], "PatientComments": None}
        (instance,) = ours.instances(imported(ours, a=file_of(**dataset_extra))).values()
        assert instance["DICOM"]["DerivationCodeSequence"] == [{"CodeValue": "121320"}]

    def test_can_be_read_of_any_version(self, ours: Clinic, primary: str) -> None:
        ours.update(primary, "1", STUDY)
        ours.revert(primary, "2", to="1")
        descriptions = [
            ours.metadata(primary, versionId=each)["Study"]["DICOM"]["StudyDescription"] for each in "123"
        ]
        assert descriptions == ["SYNTHETIC", "CHEST", "SYNTHETIC"]
        arguments = {"datastoreId": ours.datastore_id, "imageSetId": primary, "versionId": "9"}
        assert error_of(ours.client.get_image_set_metadata, **arguments)[:2] == NOT_FOUND

    def test_is_not_consistent_while_an_update_runs(self, ours: Clinic, primary: str) -> None:
        takes_reads(9)
        ours.update(primary, "1", STUDY)
        arguments = {"datastoreId": ours.datastore_id, "imageSetId": primary}
        assert error_of(ours.client.get_image_set_metadata, **arguments) == (
            "ConflictException",
            409,
            "Requested ImageSet metadata is not consistent yet. Please retry after a few seconds.",
        )
        assert ours.metadata(primary, versionId="1")["SchemaVersion"] == "1.1"

    def test_of_a_source_can_be_read_while_its_copy_runs(self, ours: Clinic, primary: str) -> None:
        takes_reads(9)
        ours.copy(primary)
        assert ours.metadata(primary)["ImageSetID"] == primary

    def test_of_a_deleted_image_set_is_not_found(self, ours: Clinic, primary: str) -> None:
        ours.delete(primary)
        arguments = {"datastoreId": ours.datastore_id, "imageSetId": primary}
        assert error_of(ours.client.get_image_set_metadata, **arguments)[:2] == NOT_FOUND

    def test_of_a_loaded_image_set_is_made_from_its_tags(self, ours: Clinic) -> None:
        entry = {"versionId": "1", "imageSetState": "ACTIVE"}
        ours.backend.load_image_set(ours.datastore_id, "a" * 32, [entry])
        document = ours.metadata("a" * 32)
        tags = ours.search()[0]["DICOMTags"]
        assert document["Study"]["DICOM"]["StudyInstanceUID"] == tags["DICOMStudyInstanceUID"]
        assert list(document["Study"]["Series"]) == [tags["DICOMSeriesInstanceUID"]]
        assert len(ours.instances("a" * 32)) == 1


class TestAFrame:
    def test_of_htj2k_comes_back_as_it_was_imported(self, ours: Clinic) -> None:
        streams = [b"\xff\x4fone!", b"\xff\x4fthree!"]
        image_set = imported(ours, a=file_of(frames=streams))
        (instance,) = ours.instances(image_set).values()
        assert instance["StoredTransferSyntaxUID"] == HTJ2K
        entries = instance["ImageFrames"]
        assert [each["FrameSizeInBytes"] for each in entries] == [len(stream) for stream in streams]
        assert [frame(ours, image_set, each["ID"]) for each in entries] == [
            (stream, "image/jph") for stream in streams
        ]

    @pytest.mark.parametrize(
        ("storage", "content_type"), [("HTJ2K", "image/jph"), ("JPEG_2000_LOSSLESS", "image/j2c")]
    )
    def test_of_other_pixels_is_a_valid_stream_of_the_same_size(
        self, ours: Clinic, storage: str, content_type: str
    ) -> None:
        answer = ours.client.create_datastore(losslessStorageFormat=storage, clientToken="second")
        ours.datastore_id = answer["datastoreId"]
        image_set = imported(ours, a=file_of())
        (instance,) = ours.instances(image_set).values()
        (entry,) = instance["ImageFrames"]
        stream, found_type = frame(ours, image_set, entry["ID"])
        assert (found_type, len(stream)) == (content_type, entry["FrameSizeInBytes"])
        decoded = Image.open(BytesIO(stream))
        decoded.load()
        assert decoded.size == (4, 2)
        # Pillow scales 12 bits to 16.
        assert decoded.getextrema() == (entry["MinPixelValue"] * 16,) * 2
        full = entry["PixelDataChecksumFromBaseToFullResolution"][-1]
        pixels = entry["MaxPixelValue"].to_bytes(2, "little") * 8
        assert full == {"Width": 4, "Height": 2, "Checksum": zlib.crc32(pixels)}

    def test_goes_along_with_a_copy(self, ours: Clinic) -> None:
        image_set = imported(ours, a=file_of(frames=[b"\xff\x4fstream"]))
        copied = ours.not_primary(image_set)
        (instance,) = ours.instances(copied).values()
        assert frame(ours, copied, instance["ImageFrames"][0]["ID"])[0] == b"\xff\x4fstream"

    def test_that_does_not_exist_is_not_found(self, ours: Clinic, primary: str) -> None:
        assert error_of(frame, ours, primary, "0" * 32)[:2] == NOT_FOUND

    def test_of_a_synthetic_study_can_be_decoded(self, ours: Clinic, primary: str) -> None:
        for instance in ours.instances(primary).values():
            (entry,) = instance["ImageFrames"]
            decoded = Image.open(BytesIO(frame(ours, primary, entry["ID"])[0]))
            decoded.load()
            assert decoded.size == (64, 64)


class TestAnUpdate:
    def test_changes_each_level(self, ours: Clinic, copied: str) -> None:
        ((uid, _),) = ours.metadata(copied)["Study"]["Series"].items()
        first, second = ours.instances(copied)
        change = {
            "SchemaVersion": 1.1,
            "Patient": {"DICOM": {"PatientName": "ANON^ANON"}},
            "Study": {
                "DICOM": {"StudyDescription": "CHEST"},
                "Series": {
                    uid: {
                        "DICOM": {"Modality": "MR"},
                        "Instances": {first: {"DICOM": {"InstanceNumber": "7"}}},
                    }
                },
            },
        }
        assert failure(ours, copied, change) is None
        document = ours.metadata(copied)
        assert document["Patient"]["DICOM"]["PatientName"] == "ANON^ANON"
        assert document["Study"]["DICOM"]["StudyDescription"] == "CHEST"
        assert document["Study"]["Series"][uid]["DICOM"]["Modality"] == "MR"
        numbers = {k: v["DICOM"]["InstanceNumber"] for k, v in ours.instances(copied).items()}
        assert numbers == {first: "7", second: "2"}
        earlier = ours.instances(copied, versionId="1")
        assert earlier[first]["DICOM"]["InstanceNumber"] == "1"

    def test_removes_attributes_instances_and_series(self, ours: Clinic) -> None:
        image_set = imported(ours, a=file_of("1.2.3.1.1"), b=file_of("1.2.3.1.2"))
        attribute = '{"SchemaVersion": 1.1, "Study": {"DICOM": {"AccessionNumber": ""}}}'
        assert removal(ours, image_set, attribute) is None
        assert "AccessionNumber" not in ours.metadata(image_set)["Study"]["DICOM"]
        assert removal(ours, image_set, ours.naming(image_set, "1.2.3.1.1")) is None
        assert list(ours.instances(image_set)) == ["1.2.3.1.2"]

    @pytest.mark.parametrize(
        "text",
        [
            '{"SchemaVersion": 1.1, "Series": {"1.2.3.1": {}}}',
            '{"SchemaVersion": 1.1, "Study": {}, "Series": {"1.2.3.1": {}}}',
            '{"SchemaVersion": 1.1, "Study": {"Series": {"1.2.3.1": {}}}}',
            '{"SchemaVersion": 1.1, "Study": {"Series": {"1.2.3.1": {"Instances": {"1.2.3.1.1": {}}}}}}',
            '{"SchemaVersion": 1.1, "Study": {"Series": {"1.2.3.1": {"Instances": {"1.9": {}}}}}}',
            '{"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyInstanceUID": "1.2.3"}}}',
        ],
        ids=["no study", "beside the study", "all series", "all instances", "no instance", "a UID"],
    )
    def test_does_not_remove(self, ours: Clinic, text: str) -> None:
        image_set = imported(ours, a=file_of("1.2.3.1.1"))
        assert re.fullmatch(
            r"INVALID_REQUEST: .*removableAttributes .*\.", str(removal(ours, image_set, text))
        )
        assert list(ours.instances(image_set)) == ["1.2.3.1.1"]

    @pytest.mark.parametrize(
        ("level", "attributes"),
        [
            ("Study", {"PatientName": "X"}),
            ("Study", {"Modality": "CT"}),
            ("Patient", {"StudyDate": "20260101"}),
            ("Patient", {"NoSuchName": "X"}),
            ("Study", {"SchemaVersion": "2"}),
            ("Patient", {"PixelData": "AA=="}),
            ("Patient", {"FrameSizeInBytes": 1}),
            ("Study", {"StudyInstanceUID": "1.2"}),
            ("Study", {"StudyID": "2"}),
            ("Study", {"ProcedureCodeSequence": []}),
            ("Patient", {"OtherPatientNames": ["A", "B"]}),
            ("Patient", {"00101001": "X"}),
            ("Patient", {"00111001": "X"}),
        ],
    )
    def test_of_an_image_set_that_is_not_primary_is_refused(
        self, ours: Clinic, copied: str, level: str, attributes: dict[str, Any]
    ) -> None:
        before = ours.metadata(copied)
        message = failure(ours, copied, {"SchemaVersion": 1.1, level: {"DICOM": attributes}})
        assert re.fullmatch(r"INVALID_REQUEST: .*\.", str(message))
        assert ours.metadata(copied) == before

    @pytest.mark.parametrize(
        ("level", "attributes"),
        [
            ("Study", {"StudyInstanceUID": "1.2"}),
            ("Study", {"StudyID": "2"}),
            ("Study", {"ProcedureCodeSequence": []}),
            ("Patient", {"NoSuchName": "X"}),
            ("Patient", {"00111001": "X"}),
        ],
    )
    def test_of_an_image_set_that_is_not_primary_may_be_forced(
        self, ours: Clinic, copied: str, level: str, attributes: dict[str, Any]
    ) -> None:
        document = {"SchemaVersion": 1.1, level: {"DICOM": attributes}}
        assert failure(ours, copied, document, force=True) is None
        assert ours.metadata(copied)[level]["DICOM"].items() >= attributes.items()

    @pytest.mark.parametrize("force", [False, True])
    @pytest.mark.parametrize(
        "document",
        [
            {"Patient": {"DICOM": {"PatientName": "X"}}},
            {"Study": {"DICOM": {"StudyInstanceUID": "1.2"}}},
            {"Study": {"Series": {"": {"DICOM": {"Modality": "MR"}}}}},
            {"Study": {"Series": {"": {"DICOM": {"SeriesInstanceUID": "1.2"}}}}},
        ],
        ids=["patient", "study uid", "series", "series uid"],
    )
    def test_of_a_primary_image_set_is_refused_even_if_forced(
        self, ours: Clinic, primary: str, document: dict[str, Any], force: bool
    ) -> None:
        (uid,) = ours.metadata(primary)["Study"]["Series"]
        text = json.dumps({"SchemaVersion": 1.1, **document}).replace('""', f'"{uid}"')
        message = failure(ours, primary, text.encode(), force=force)
        assert str(message).endswith("cannot be updated for a primary ImageSet.")

    def test_of_the_study_reaches_the_patient_of_primary_image_sets(self, ours: Clinic) -> None:
        first, second = ours.import_image_sets(2)
        change = {"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": "ANON^ANON"}}}
        assert failure(ours, first, change, includeStudyImageSets=True) is None
        names = {ours.metadata(each)["Patient"]["DICOM"]["PatientName"] for each in (first, second)}
        assert names == {"ANON^ANON"}

    def test_changes_a_uid_of_a_series_with_its_instances(self, ours: Clinic, copied: str) -> None:
        (uid,) = ours.metadata(copied)["Study"]["Series"]
        first, second = ours.instances(copied)
        series = {"DICOM": {"SeriesInstanceUID": "1.2"}}
        series["Instances"] = {first: {"DICOM": {"SOPInstanceUID": "1.3"}}}
        change = {"SchemaVersion": 1.1, "Study": {"Series": {uid: series}}}
        assert failure(ours, copied, change, force=True) is None
        assert list(ours.metadata(copied)["Study"]["Series"]) == ["1.2"]
        assert set(ours.instances(copied)) == {"1.3", second}


class TestACopy:
    def test_of_a_subset_has_these_instances(self, ours: Clinic, primary: str) -> None:
        first, _ = ours.instances(primary)
        answer = ours.copy(primary, subset=ours.naming(primary, first))
        copied = answer["destinationImageSetProperties"]["imageSetId"]
        assert list(ours.instances(copied)) == [first]

    def test_of_a_series_has_all_its_instances(self, ours: Clinic, primary: str) -> None:
        answer = ours.copy(primary, subset=ours.naming(primary))
        copied = answer["destinationImageSetProperties"]["imageSetId"]
        assert ours.instances(copied) == ours.instances(primary)

    def test_of_an_instance_that_the_source_does_not_hold_fails(self, ours: Clinic, primary: str) -> None:
        answer = ours.copy(primary, subset=ours.naming(primary, "1.2.3"))
        copied = answer["destinationImageSetProperties"]["imageSetId"]
        assert ours.versions(copied)[0]["message"] == (
            "INVALID_REQUEST: copiableAttributes names an instance that the image set does not hold."
        )

    @pytest.mark.parametrize("force", [False, True])
    def test_of_instances_that_the_destination_has_fails_even_if_forced(
        self, ours: Clinic, primary: str, copied: str, force: bool
    ) -> None:
        ours.copy(copied, primary, force=force)
        newest = ours.versions(primary)[0]
        assert newest["ImageSetWorkflowStatus"] == "COPY_FAILED"
        assert newest["message"].endswith("already exist in DestinationImageSet.")
        assert len(ours.instances(primary)) == 2

    @pytest.mark.parametrize("level", ["Patient", "Study"])
    def test_between_different_patients_or_studies_fails_unless_it_is_forced(
        self, ours: Clinic, primary: str, level: str
    ) -> None:
        first, second = ours.instances(primary)
        source = ours.copy(primary, subset=ours.naming(primary, first))
        target = ours.copy(primary, subset=ours.naming(primary, second))
        source_id, target_id = (
            each["destinationImageSetProperties"]["imageSetId"] for each in (source, target)
        )
        keyword = {"Patient": "PatientName", "Study": "StudyDescription"}[level]
        ours.update(source_id, "1", {"SchemaVersion": 1.1, level: {"DICOM": {keyword: "X"}}})
        ours.copy(source_id, target_id, source_version="2")
        assert ours.versions(target_id)[0]["message"] == (
            f"INVALID_REQUEST:  {level} of SourceImageSet and DestinationImageSet don't match."
        )
        ours.copy(source_id, target_id, source_version="2", destination_version="2", force=True)
        assert set(ours.instances(target_id)) == {first, second}


def test_all_keywords_of_the_levels_are_in_the_dictionary_of_dicom() -> None:
    assert not [keyword for keyword in LEVEL_OF_KEYWORD if tag_for_keyword(keyword) is None]
