"""Applies the attributes of a request to the metadata of an image set, by the rules of HealthImaging."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from airflow_imgver.emulator.medicalimaging.contents import Contents, Document
from airflow_imgver.emulator.medicalimaging.levels import is_private, level_of

# https://docs.aws.amazon.com/healthimaging/latest/devguide/dicom-metadata-constraints.html
_GENERATED = {
    "SchemaVersion",
    "DatastoreID",
    "ImageSetID",
    "PixelData",
    "Checksum",
    "Width",
    "Height",
    "MinPixelValue",
    "MaxPixelValue",
    "FrameSizeInBytes",
    "ImageFrames",
    "DICOMVRs",
}
_UIDS = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
_NEED_FORCE = {*_UIDS, "StudyID"}


class InvalidAttributesError(ValueError):
    """The attributes of a request cannot be applied to the image set. The message quotes no value."""


@dataclass(frozen=True)
class _Target:
    """One ``DICOM`` object of a request, or one series or instance to remove."""

    level: str
    series_uid: str | None
    instance_uid: str | None
    attributes: dict[str, Any]
    whole: bool = False


def updated(
    contents: Contents, updates: dict[str, bytes], *, force: bool, primary: bool, include_study: bool
) -> Contents:
    """
    Apply ``DICOMUpdates`` to the metadata of a version.

    :param contents: The metadata before.
    :param updates: ``updatableAttributes`` and ``removableAttributes``, each a JSON text.
    :param force: Also allow the changes that AWS allows with ``force`` alone.
    :param primary: The image set is primary, which allows fewer changes.
    :param include_study: The update is for all primary image sets of the study, so that they stay consistent.
    :raises InvalidAttributesError: a text is not valid, or a change is not allowed.
    """
    document = _copied(contents.document)
    for name in ("removableAttributes", "updatableAttributes"):
        if name not in updates:
            continue
        # Backwards, so that an instance comes before a change of the UID of its series.
        for target in reversed(list(_targets(name, parsed(name, updates[name]), document))):
            _check(name, target, force=force, primary=primary, include_study=include_study)
            if name == "updatableAttributes":
                _update(document, target)
            else:
                _remove(document, target)
    if not any(series["Instances"] for series in document["Study"]["Series"].values()):
        raise InvalidAttributesError("removableAttributes removes all instances of the image set.")
    return Contents(document)


def with_study_of(updated: Contents, sibling: Contents) -> Contents:
    """Give another image set of a study the Patient and Study attributes of the updated one."""
    study = {**updated.document["Study"], "Series": sibling.document["Study"]["Series"]}
    return Contents({"Patient": updated.document["Patient"], "Study": study})


def selected(contents: Contents, text: bytes | str) -> Contents:
    """
    Give the instances that ``copiableAttributes`` names; all instances of a series that it names alone.

    :raises InvalidAttributesError: the text is not valid, or names a series or an instance that does not
        exist.
    """
    name = "copiableAttributes"
    document = _copied(contents.document)
    wanted: dict[str, set[str]] = {}
    for target in _targets(name, parsed(name, text), document):
        if target.series_uid is not None:
            chosen = wanted.setdefault(target.series_uid, set())
            if target.instance_uid is not None:
                chosen.add(target.instance_uid)
    all_series = document["Study"]["Series"]
    document["Study"]["Series"] = {
        uid: series
        | {"Instances": {k: v for k, v in series["Instances"].items() if not wanted[uid] or k in wanted[uid]}}
        for uid, series in all_series.items()
        if uid in wanted
    }
    if not document["Study"]["Series"]:
        raise InvalidAttributesError(f"{name} names no series.")
    return Contents(document)


def merged(into: Contents, added: Contents) -> Contents:
    """Add the instances of one version to another, in place of instances with the same SOP Instance UID."""
    document = _copied(into.document)
    for uid, series in added.document["Study"]["Series"].items():
        target = document["Study"]["Series"].setdefault(uid, {"DICOM": series["DICOM"], "Instances": {}})
        target["Instances"] |= series["Instances"]
    return Contents(document)


def parsed(name: str, text: str | bytes) -> dict[str, Any]:
    """
    Parse a text of attributes: a JSON object with a ``SchemaVersion`` and a ``Patient`` or a ``Study``.

    :param name: The name of the member that holds the text.
    :raises InvalidAttributesError: the text is not valid.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise InvalidAttributesError(f"{name} is not valid JSON.") from broken
    if not isinstance(document, dict) or "SchemaVersion" not in document:
        raise InvalidAttributesError(f"{name} must be a JSON object with a SchemaVersion.")
    if not document.keys() & {"Patient", "Study"}:
        raise InvalidAttributesError(f"{name} must have a Patient or a Study.")
    return document


def _targets(name: str, request: dict[str, Any], document: Document) -> Iterator[_Target]:
    _object(name, "the document", request, {"SchemaVersion", "Patient", "Study"})
    patient = _object(name, "Patient", request.get("Patient"), {"DICOM"})
    yield _Target("Patient", None, None, _object(name, "Patient.DICOM", patient.get("DICOM")))
    study = _object(name, "Study", request.get("Study"), {"DICOM", "Series"})
    yield _Target("Study", None, None, _object(name, "Study.DICOM", study.get("DICOM")))
    for uid, value in _object(name, "Study.Series", study.get("Series")).items():
        existing = document["Study"]["Series"].get(uid)
        if existing is None:
            raise InvalidAttributesError(f"{name} names a series that the image set does not hold.")
        series = _object(name, "Series", value, {"DICOM", "Instances"})
        attributes = _object(name, "Series.DICOM", series.get("DICOM"))
        yield _Target("Series", uid, None, attributes, whole=not series)
        for instance_uid, inner in _object(name, "Instances", series.get("Instances")).items():
            if instance_uid not in existing["Instances"]:
                raise InvalidAttributesError(f"{name} names an instance that the image set does not hold.")
            instance = _object(name, "Instance", inner, {"DICOM"})
            attributes = _object(name, "Instance.DICOM", instance.get("DICOM"))
            yield _Target("Instance", uid, instance_uid, attributes, whole=not instance)


def _object(name: str, place: str, value: Any, members: set[str] | None = None) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InvalidAttributesError(f"{place} in {name} must be a JSON object.")
    for member in value or () if members else ():
        if member not in (members or ()):
            reason = "cannot be changed" if member in _GENERATED else "is unknown"
            raise InvalidAttributesError(f"{place} in {name} has a member that {reason}.")
    return value or {}


def _check(name: str, target: _Target, *, force: bool, primary: bool, include_study: bool) -> None:
    if primary and target.attributes and target.level in ("Patient", "Series"):
        allowed = target.level == "Patient" and include_study
        if not allowed:
            raise InvalidAttributesError(
                f"{name} changes the {target.level} level, which cannot be updated for a primary ImageSet."
            )
    for keyword, value in target.attributes.items():
        if keyword in _GENERATED:
            raise InvalidAttributesError(f"{name} changes {keyword}, which cannot be updated.")
        if keyword in _UIDS and primary:
            raise InvalidAttributesError(
                f"{name} changes {keyword}, which cannot be updated for a primary ImageSet."
            )
        if keyword in _UIDS and name == "removableAttributes":
            raise InvalidAttributesError(f"{name} has {keyword}, which cannot be removed.")
        if keyword in _NEED_FORCE and not force:
            raise InvalidAttributesError(f"{name} changes {keyword}, which needs force.")
        _check_keyword(name, target.level, keyword, force=force)
        if name == "updatableAttributes":
            _check_value(name, keyword, value, force=force)


def _check_keyword(name: str, level: str, keyword: str, *, force: bool) -> None:
    if is_private(keyword):
        if not force:
            raise InvalidAttributesError(f"{name} changes a private attribute, which needs force.")
        return
    expected = level_of(keyword)
    if expected is None and not force:
        raise InvalidAttributesError(f"{name} has a name at the {level} level that is not a DICOM attribute.")
    if expected not in (None, level):
        raise InvalidAttributesError(f"{keyword} in {name} belongs to the {expected} level, not to {level}.")


def _check_value(name: str, keyword: str, value: Any, *, force: bool) -> None:
    if keyword in _UIDS and not (isinstance(value, str) and re.fullmatch(r"[0-9.]{1,64}", value)):
        raise InvalidAttributesError(f"{keyword} in {name} must be a UID.")
    if keyword == "SeriesNumber" and not re.fullmatch(r"[+-]?[0-9]{1,9}", str(value).strip()):
        raise InvalidAttributesError(f"{keyword} in {name} must be a number.")
    if isinstance(value, list | dict) and not force:
        kind = "nested" if keyword.endswith("Sequence") or isinstance(value, dict) else "multivalued"
        raise InvalidAttributesError(f"{keyword} in {name} is {kind}, which needs force.")


def _update(document: Document, target: _Target) -> None:
    attributes, changes = _attributes_of(document, target), target.attributes
    attributes |= changes
    all_series = document["Study"]["Series"]
    if target.series_uid is None:
        return
    series = all_series[target.series_uid]
    if target.level == "Series" and "SeriesInstanceUID" in changes:
        _rename(all_series, target.series_uid, changes["SeriesInstanceUID"])
    if target.instance_uid is not None and "SOPInstanceUID" in changes:
        _rename(series["Instances"], target.instance_uid, changes["SOPInstanceUID"])


def _rename(members: dict[str, Any], old: str, new: str) -> None:
    if new != old and new in members:
        raise InvalidAttributesError("updatableAttributes changes a UID to one that the image set holds.")
    members[new] = members.pop(old)


def _remove(document: Document, target: _Target) -> None:
    all_series = document["Study"]["Series"]
    if target.whole and target.instance_uid is not None and target.series_uid is not None:
        del all_series[target.series_uid]["Instances"][target.instance_uid]
    elif target.whole and target.series_uid is not None:
        del all_series[target.series_uid]
    else:
        attributes = _attributes_of(document, target)
        for keyword in target.attributes:
            attributes.pop(keyword, None)


def _attributes_of(document: Document, target: _Target) -> dict[str, Any]:
    """Give the attributes of a level to write to; those of an instance are copied only now."""
    if target.level in ("Patient", "Study"):
        return cast("dict[str, Any]", document[target.level]["DICOM"])
    series = document["Study"]["Series"][target.series_uid]
    if target.instance_uid is None:
        return cast("dict[str, Any]", series["DICOM"])
    instance = series["Instances"][target.instance_uid]
    copied = instance | {"DICOM": dict(instance["DICOM"])}
    series["Instances"][target.instance_uid] = copied
    return cast("dict[str, Any]", copied["DICOM"])


def _copied(document: Document) -> Document:
    """Copy a document down to its series; an instance is shared until something writes to it."""
    study = document["Study"]
    return {
        "Patient": {"DICOM": dict(document["Patient"]["DICOM"])},
        "Study": {
            "DICOM": dict(study["DICOM"]),
            "Series": {
                uid: {"DICOM": dict(series["DICOM"]), "Instances": dict(series["Instances"])}
                for uid, series in study["Series"].items()
            },
        },
    }
