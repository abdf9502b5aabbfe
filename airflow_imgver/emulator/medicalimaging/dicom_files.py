"""Reads DICOM Part 10 files for an import, and makes a synthetic study where there are none."""

from __future__ import annotations

import base64
import re
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.medicalimaging.contents import (
    Document,
    instance_entry,
    synthetic_instance,
    uid_of,
)
from airflow_imgver.emulator.medicalimaging.frames import CONTENT_TYPES, STORED_AS
from airflow_imgver.emulator.medicalimaging.levels import LEVEL_OF_KEYWORD

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset, FileDataset

_NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"}
_BYTES = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}
_PIXELS = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_SYNTHETIC_SERIES, _SYNTHETIC_INSTANCES = 2, 2


class NotImportedError(ValueError):
    """A file cannot be imported; the message is the reason, and quotes no value of the file."""


@dataclass(frozen=True)
class ImportedFile:
    """
    One instance that an import has read.

    :param name: The key of the object in the bucket.
    :param levels: The attributes of Patient, Study and Series.
    :param uid: The SOP Instance UID.
    :param instance: The instance in AWS's schema.
    :param frames: The image frames that are kept as they were imported, by their ids.
    """

    name: str
    levels: dict[str, dict[str, Any]]
    uid: str
    instance: dict[str, Any]
    frames: dict[str, bytes] = field(default_factory=dict)

    @property
    def series_uid(self) -> str:
        """The Series Instance UID."""
        return str(self.levels["Series"]["SeriesInstanceUID"])


def document_of(files: list[ImportedFile]) -> Document:
    """Give the metadata of an image set with instances that agree in Patient, Study and Series."""
    levels, uid = files[0].levels, files[0].series_uid
    series = {"DICOM": levels["Series"], "Instances": {each.uid: each.instance for each in files}}
    return {
        "Patient": {"DICOM": levels["Patient"]},
        "Study": {"DICOM": levels["Study"], "Series": {uid: series}},
    }


def read_file(name: str, content: bytes, lossless_storage_format: str) -> ImportedFile:
    """
    Read a DICOM Part 10 file.

    :param name: The key of the object in the bucket.
    :param content: The file.
    :param lossless_storage_format: The format to which the data store transcodes.
    :raises NotImportedError: the file is not DICOM Part 10, or lacks an attribute that an import needs.
    """
    # Not at the top: pydicom takes a third of a second, which only an import of files needs.
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        # A warning of pydicom quotes values of the file.
        with warnings.catch_warnings(action="ignore"):
            dataset = pydicom.dcmread(BytesIO(content))
            attributes, representations = _attributes_of(dataset)
            transfer_syntax = str(attributes.get("TransferSyntaxUID"))
            frames = _frames_of(dataset, transfer_syntax)
    except NotImportedError:
        raise
    except InvalidDicomError:
        raise NotImportedError("The file is not a DICOM Part 10 file") from None
    except Exception as broken:  # noqa: BLE001
        # A damaged file fails anywhere in pydicom, whose messages quote values too.
        raise NotImportedError(f"The file cannot be parsed as DICOM: {type(broken).__name__}") from None
    for keyword in ("TransferSyntaxUID", *_UIDS):
        if not re.fullmatch(r"[0-9.]{1,64}", str(attributes.get(keyword))):
            raise NotImportedError(f"DICOM attribute {keyword} does not exist or is not valid")
    levels: dict[str, dict[str, Any]] = {"Patient": {}, "Study": {}, "Series": {}, "Instance": {}}
    for keyword, value in attributes.items():
        levels[LEVEL_OF_KEYWORD.get(keyword, "Instance")][keyword] = value
    stored = transfer_syntax if transfer_syntax in CONTENT_TYPES else STORED_AS[lossless_storage_format]
    instance = instance_entry(levels.pop("Instance"), representations, stored, frames)
    kept = {
        entry["ID"]: frame
        for entry, frame in zip(instance["ImageFrames"], frames, strict=True)
        if frame is not None
    }
    return ImportedFile(name, levels, str(attributes["SOPInstanceUID"]), instance, kept)


def synthetic_study(prefix: str, source: str) -> list[ImportedFile]:
    """
    Make the instances of a small study.

    It has two series of two instances, or N series for a URI that ends in ``series=N/``.

    :param prefix: The prefix of the names.
    :param source: The URI from which all UIDs follow, so that the same URI always holds the same study.
    """
    counted = re.search(r"/series=([1-9][0-9]{0,2})/?$", source)
    number = uid_of("study", source)[-6:]
    patient = {"PatientName": "SYNTHETIC^PATIENT", "PatientID": f"SYNTHETIC-{number}", "PatientSex": None}
    study = {
        "StudyInstanceUID": uid_of("study", source),
        "StudyID": number,
        "StudyDate": "20260101",
        "StudyTime": "120000",
        "StudyDescription": "SYNTHETIC",
        "AccessionNumber": number,
    }
    return [
        _synthetic_file(prefix, source, patient, study, series, instance)
        for series in range(1, (int(counted[1]) if counted else _SYNTHETIC_SERIES) + 1)
        for instance in range(1, _SYNTHETIC_INSTANCES + 1)
    ]


def _synthetic_file(
    prefix: str, source: str, patient: dict[str, Any], study: dict[str, Any], series: int, instance: int
) -> ImportedFile:
    attributes = {
        "Modality": "OT",
        "SeriesInstanceUID": uid_of("series", f"{source}/{series}"),
        "SeriesNumber": str(series),
    }
    uid, entry = synthetic_instance(attributes["SeriesInstanceUID"], instance)
    levels = {"Patient": patient, "Study": study, "Series": attributes}
    return ImportedFile(f"{prefix}synthetic-{series}-{instance}.dcm", levels, uid, entry)


def _attributes_of(dataset: FileDataset) -> tuple[dict[str, Any], dict[str, str]]:
    attributes, representations = {}, {}
    for element in [*dataset.file_meta, *dataset]:
        name = element.keyword or f"{element.tag.group:04X}{element.tag.element:04X}"
        if name in _PIXELS or element.tag.element == 0:
            continue
        if not element.keyword:
            representations[name] = element.VR
        attributes[name] = _value_of(element)
    return attributes, representations


def _value_of(element: DataElement) -> Any:
    if element.VR == "SQ":
        return [_nested(item) for item in element.value]
    if element.is_empty:
        return None
    if element.VR in _BYTES and isinstance(element.value, bytes):
        return base64.b64encode(element.value).decode()
    values = element.value if element.VM > 1 else [element.value]
    converted = [value if element.VR in _NUMBERS else str(value) for value in values]
    return converted if _is_multivalued(element) else converted[0]


def _nested(item: Dataset) -> dict[str, Any]:
    return {element.keyword: _value_of(element) for element in item if element.keyword}


def _is_multivalued(element: DataElement) -> bool:
    from pydicom.datadict import dictionary_has_tag, dictionary_VM

    multiplicity = dictionary_VM(element.tag) if dictionary_has_tag(element.tag) else "1"
    return element.VM > 1 or multiplicity != "1"


def _frames_of(dataset: FileDataset, transfer_syntax: str) -> list[bytes | None]:
    if "PixelData" not in dataset:
        return []
    from pydicom.encaps import generate_frames

    number = int(dataset.get("NumberOfFrames") or 1)
    frames: list[bytes | None] = []
    if transfer_syntax in CONTENT_TYPES:
        frames += generate_frames(dataset.PixelData, number_of_frames=number)
    elif 1 <= number <= len(dataset.PixelData):
        frames += [None] * number
    if len(frames) != number:
        raise NotImportedError("DICOM attribute NumberOfFrames does not match the pixel data")
    return frames
