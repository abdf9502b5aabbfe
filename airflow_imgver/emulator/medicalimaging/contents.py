"""The DICOM metadata of a version: the document of GetImageSetMetadata, and the tags of SearchImageSets."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from typing import Any

from airflow_imgver.emulator.medicalimaging.frames import frame_entry

# The members of DICOMTags, spelled as SearchImageSets answers them.
DICOMTags = dict[str, Any]
# Patient and Study of AWS's schema 1.1. No document is changed once a version has it.
Document = dict[str, Any]

_TAGS = {
    "Patient": {
        "PatientID": "DICOMPatientId",
        "PatientName": "DICOMPatientName",
        "PatientBirthDate": "DICOMPatientBirthDate",
        "PatientSex": "DICOMPatientSex",
    },
    "Study": {
        "StudyInstanceUID": "DICOMStudyInstanceUID",
        "StudyID": "DICOMStudyId",
        "StudyDescription": "DICOMStudyDescription",
        "AccessionNumber": "DICOMAccessionNumber",
        "StudyDate": "DICOMStudyDate",
        "StudyTime": "DICOMStudyTime",
    },
    "Series": {
        "SeriesInstanceUID": "DICOMSeriesInstanceUID",
        "Modality": "DICOMSeriesModality",
        "BodyPartExamined": "DICOMSeriesBodyPart",
        "SeriesNumber": "DICOMSeriesNumber",
    },
}

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_HTJ2K = "1.2.840.10008.1.2.4.202"


class Contents:
    """
    The metadata of one version.

    :param document: Patient and Study of the document.
    :param tags: The tags, for an image set whose document is made from them when it is first read.
    """

    def __init__(self, document: Document | None = None, *, tags: DICOMTags | None = None) -> None:
        if document is not None:
            self.document = document
        if tags is not None:
            self.tags = tags

    @functools.cached_property
    def document(self) -> Document:
        """Patient and Study of the document."""
        return _document_of(self.tags)

    @functools.cached_property
    def tags(self) -> DICOMTags:
        """The attributes that SearchImageSets shows."""
        return _tags_of(self.document)

    @property
    def instances(self) -> dict[str, dict[str, Any]]:
        """The instances of all series, by their SOP Instance UIDs."""
        return {
            uid: instance
            for series in self.document["Study"]["Series"].values()
            for uid, instance in series["Instances"].items()
        }

    @functools.cached_property
    def frames(self) -> dict[str, dict[str, Any]]:
        """The instance of each image frame, by the ids of the frames."""
        return {
            frame["ID"]: instance for instance in self.instances.values() for frame in instance["ImageFrames"]
        }

    def compressed(self, datastore_id: str, image_set_id: str) -> bytes:
        """Give the document as GetImageSetMetadata sends it: JSON in gzip."""
        header = {"SchemaVersion": "1.1", "DatastoreID": datastore_id, "ImageSetID": image_set_id}
        return gzip.compress(json.dumps(header | self.document).encode(), compresslevel=1, mtime=0)


def uid_of(*names: str) -> str:
    """Make a DICOM UID, the same for the same names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def synthetic_instance(series_uid: str, number: int) -> tuple[str, dict[str, Any]]:
    """
    Make an instance of a series with one small image frame.

    :param series_uid: The Series Instance UID.
    :param number: The number of the instance in the series.
    :return: The SOP Instance UID and the instance.
    """
    uid = uid_of("instance", series_uid, str(number))
    attributes = {
        "TransferSyntaxUID": "1.2.840.10008.1.2.1",
        "SOPClassUID": _SECONDARY_CAPTURE,
        "SOPInstanceUID": uid,
        "InstanceNumber": str(number),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 64,
        "Columns": 64,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }
    return uid, instance_entry(attributes, {}, _HTJ2K, [None])


def instance_entry(
    attributes: dict[str, Any],
    representations: dict[str, str],
    stored_transfer_syntax: str,
    frames: list[bytes | None],
) -> dict[str, Any]:
    """
    Give an instance in AWS's schema.

    :param attributes: Its attributes by their keywords.
    :param representations: The value representations of its private attributes.
    :param stored_transfer_syntax: The transfer syntax in which HealthImaging keeps its frames.
    :param frames: The image frames as they were imported; None for a frame that is not kept.
    """
    uid = attributes["SOPInstanceUID"]
    return {
        "DICOM": attributes,
        "DICOMVRs": representations,
        "StoredTransferSyntaxUID": stored_transfer_syntax,
        "ChecksumType": "DECOMPRESSED",
        "ImageFrames": [
            frame_entry(
                hashlib.sha256(f"{uid}/{number}".encode()).hexdigest()[:32],
                attributes,
                stored_transfer_syntax,
                frame,
            )
            for number, frame in enumerate(frames, start=1)
        ],
    }


def _tags_of(document: Document) -> DICOMTags:
    (first, *_) = document["Study"]["Series"].values()
    attributes = {
        "Patient": document["Patient"]["DICOM"],
        "Study": document["Study"]["DICOM"],
        "Series": first["DICOM"],
    }
    tags: DICOMTags = {}
    for level, names in _TAGS.items():
        for keyword, tag in names.items():
            value = attributes[level].get(keyword)
            if tag == "DICOMSeriesNumber":
                value = _as_integer(value)
            elif value is not None:
                value = str(value).strip()
            if value is not None:
                tags[tag] = value
    return tags


def _document_of(tags: DICOMTags) -> Document:
    attributes = {
        level: {keyword: tags[tag] for keyword, tag in names.items() if tag in tags}
        for level, names in _TAGS.items()
    }
    series_uid = tags["DICOMSeriesInstanceUID"]
    if "SeriesNumber" in attributes["Series"]:
        attributes["Series"]["SeriesNumber"] = str(attributes["Series"]["SeriesNumber"])
    series = {
        "DICOM": attributes["Series"],
        "Instances": dict([synthetic_instance(series_uid, 1)]),
    }
    return {
        "Patient": {"DICOM": attributes["Patient"]},
        "Study": {"DICOM": attributes["Study"], "Series": {series_uid: series}},
    }


def _as_integer(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
