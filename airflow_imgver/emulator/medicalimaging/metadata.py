"""The DICOM attributes of an image set that SearchImageSets can filter by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from airflow_imgver.emulator.medicalimaging.image_sets import DICOMTags

_TAG_OF_KEYWORD = {
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

# "Setting this flag will force the UpdateImageSetMetadata operation for the following attributes".
_NEED_FORCE = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyID"}


class InvalidAttributesError(ValueError):
    """The attributes in a request cannot be applied to the image set."""


def _uid(*names: str) -> str:
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def tags_of_series(*, study: str, series: str) -> DICOMTags:
    """Make the DICOM attributes of a synthetic series, the same for the same names."""
    return {
        "DICOMStudyInstanceUID": _uid("study", study),
        "DICOMSeriesInstanceUID": _uid("series", series),
    }


def with_series_of(tags: DICOMTags, sibling: DICOMTags) -> DICOMTags:
    """Give a sibling of the same study new Patient and Study attributes; it keeps its Series attributes."""
    own = set(_TAG_OF_KEYWORD["Series"].values())
    shared = {tag: value for tag, value in tags.items() if tag not in own}
    return shared | {tag: value for tag, value in sibling.items() if tag in own}


def updated(tags: DICOMTags, updates: dict[str, bytes], *, force: bool) -> DICOMTags:
    """
    Apply ``DICOMUpdates`` to the attributes of a version.

    :param tags: The attributes before.
    :param updates: ``updatableAttributes`` and ``removableAttributes``, each a JSON text.
    :param force: Also allow changes of identifiers.
    :raises InvalidAttributesError: a text is not valid, or changes an identifier without ``force``.
    """
    after = dict(tags)
    for name in ("removableAttributes", "updatableAttributes"):
        if name not in updates:
            continue
        for level, attributes in _levels(name, parsed(name, updates[name]), tags):
            identifiers = ", ".join(sorted(_NEED_FORCE & attributes.keys()))
            if identifiers and not force:
                raise InvalidAttributesError(f"{name} changes {identifiers}, which needs force.")
            if name == "removableAttributes":
                attributes = dict.fromkeys(attributes)
            _change(after, name, _TAG_OF_KEYWORD.get(level, {}), attributes)
    return after


def _change(tags: DICOMTags, name: str, tag_of_keyword: dict[str, str], attributes: dict[str, Any]) -> None:
    for keyword in sorted(tag_of_keyword.keys() & attributes.keys()):
        tag, value = tag_of_keyword[keyword], attributes[keyword]
        if tag in ("DICOMStudyInstanceUID", "DICOMSeriesInstanceUID"):
            if not isinstance(value, str) or not re.fullmatch(r"[0-9.]{1,64}", value):
                raise InvalidAttributesError(f"{keyword} in {name} must be a UID.")
        elif tag == "DICOMSeriesNumber" and not isinstance(value, int | None):
            raise InvalidAttributesError(f"{keyword} in {name} must be a number.")
        tags.pop(tag, None)
        if value is not None:
            tags[tag] = value if tag == "DICOMSeriesNumber" else str(value)


def parsed(name: str, text: str | bytes) -> dict[str, Any]:
    """
    Parse a text of attributes: a JSON object with a ``SchemaVersion`` and a ``Patient`` or a ``Study``.

    The error quotes no value: a version's message shows it, and the text may name a patient.

    :param name: The name of the member that holds the text.
    :raises InvalidAttributesError: the text is not valid.
    """
    try:
        document = json.loads(text)
    except ValueError as broken:
        raise InvalidAttributesError(f"{name} is not valid JSON.") from broken
    if not isinstance(document, dict) or "SchemaVersion" not in document:
        raise InvalidAttributesError(f"{name} must be a JSON object with a SchemaVersion.")
    if not document.keys() & {"Patient", "Study"}:
        raise InvalidAttributesError(f"{name} must have a Patient or a Study.")
    return document


def _levels(name: str, document: dict[str, Any], tags: DICOMTags) -> Iterator[tuple[str, dict[str, Any]]]:
    for level in ("Patient", "Study"):
        yield level, _object(name, f"{level}.DICOM", _object(name, level, document.get(level)).get("DICOM"))
    all_series = _object(name, "Study.Series", _object(name, "Study", document.get("Study")).get("Series"))
    for series_uid, series in all_series.items():
        if series_uid != tags["DICOMSeriesInstanceUID"]:
            raise InvalidAttributesError(f"{name} names a series that the image set does not hold.")
        yield "Series", _object(name, "Series.DICOM", _object(name, "Series", series).get("DICOM"))
        instances = _object(name, "Instances", series.get("Instances"))
        for instance in instances.values():
            yield (
                "Instance",
                _object(name, "Instance.DICOM", _object(name, "Instance", instance).get("DICOM")),
            )


def _object(name: str, place: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InvalidAttributesError(f"{place} in {name} must be a JSON object.")
    return value or {}
