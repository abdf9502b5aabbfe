"""DICOM Part 10 files, for tests to import."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

EXPLICIT = "1.2.840.10008.1.2.1"
HTJ2K = "1.2.840.10008.1.2.4.202"
CT = "1.2.840.10008.5.1.4.1.1.2"


def file_of(
    instance: str = "1.2.3.1.1",
    *,
    series: str = "1.2.3.1",
    study: str = "1.2.3",
    frames: list[bytes] | None = None,
    **attributes: Any,
) -> bytes:
    """Write a CT slice of 4 by 2 pixels; frames make it one of HTJ2K."""
    dataset = Dataset()
    given = {
        "SOPClassUID": CT,
        "SOPInstanceUID": instance,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "PatientName": "DOE^JANE",
        "PatientID": "4711",
        "PatientBirthDate": "",
        "StudyDate": "20260131",
        "StudyTime": "101500",
        "StudyID": "S1",
        "AccessionNumber": "A1",
        "Modality": "CT",
        "SeriesNumber": "3",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "WindowCenter": "40",
        "Rows": 2,
        "Columns": 4,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        **attributes,
    }
    for keyword, value in given.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if frames is None:
        dataset.PixelData = struct.pack("<8H", *range(8))
    else:
        dataset.NumberOfFrames = attributes.get("NumberOfFrames", str(len(frames)))
        dataset.PixelData = encapsulate(frames)
        dataset["PixelData"].is_undefined_length = True
    return written(dataset, HTJ2K if frames else EXPLICIT)


def written(dataset: Dataset, transfer_syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2")
    meta.TransferSyntaxUID = UID(transfer_syntax)
    file = FileDataset(None, dataset, file_meta=meta, preamble=bytes(128))
    target = BytesIO()
    file.save_as(target, enforce_file_format=True)
    return target.getvalue()
