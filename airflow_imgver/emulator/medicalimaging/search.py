"""The filters and the sort of SearchImageSets."""

from __future__ import annotations

from typing import Any

from airflow_imgver.emulator.medicalimaging.exceptions import ValidationException
from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet

_TIMES = ("createdAt", "updatedAt", "DICOMStudyDateAndTime")
DEFAULT_SORT = {"sortField": "updatedAt", "sortOrder": "DESC"}


def check_filters(filters: list[dict[str, Any]]) -> None:
    """
    Refuse filters that the service model accepts and the service does not.

    :raises ValidationException: the values do not fit the operator.
    """
    for search_filter in filters:
        operator, values = search_filter["operator"], search_filter["values"]
        names = [name for value in values for name in value]
        if len(values) != (2 if operator == "BETWEEN" else 1):
            wanted = "two values" if operator == "BETWEEN" else "one value"
            raise ValidationException(f"The operator {operator} takes {wanted}, got {len(values)}.")
        if operator == "BETWEEN" and (len(set(names)) != 1 or names[0] not in _TIMES):
            raise ValidationException(
                f"The operator BETWEEN takes two values of one of {_TIMES}, got {names}."
            )


def matches(image_set: ImageSet, filters: list[dict[str, Any]]) -> bool:
    """Check whether the latest version matches every filter; BETWEEN includes both ends."""
    return all(_meets(image_set, search_filter) for search_filter in filters)


def sort_key(image_set: ImageSet, field: str) -> tuple[Any, str]:
    """Give the key that sorts image sets by a field, and by their ids where the field is equal."""
    value = _comparable(field, _attribute(image_set, field))
    nothing = "" if field == "DICOMStudyDateAndTime" else 0.0
    return (nothing if value is None else value, image_set.image_set_id)


def summary(image_set: ImageSet) -> dict[str, Any]:
    """Describe the latest version in the form of SearchImageSets, where version numbers are integers."""
    return {
        "imageSetId": image_set.image_set_id,
        "version": image_set.latest.number,
        "createdAt": image_set.created_at,
        "updatedAt": image_set.latest.changed_at,
        "lastAccessedAt": image_set.latest.changed_at,
        "storageTier": "FREQUENT_ACCESS",
        "DICOMTags": image_set.latest.tags,
        "isPrimary": image_set.latest.properties.get("isPrimary"),
    }


def _meets(image_set: ImageSet, search_filter: dict[str, Any]) -> bool:
    field = next(iter(search_filter["values"][0]))
    found = _comparable(field, _attribute(image_set, field))
    if found is None:
        return False
    wanted = [_comparable(field, value[field]) for value in search_filter["values"]]
    least, most = wanted[0], wanted[-1]
    if field == "DICOMStudyDateAndTime" and found.startswith(most):
        # A date without a time, or a time without seconds, matches all times that begin with it.
        return True
    if field in ("createdAt", "updatedAt") and search_filter["operator"] == "EQUAL":
        # A client sends whole seconds, an image set has milliseconds.
        return int(found) == int(most)
    return bool(least <= found <= most)


def _attribute(image_set: ImageSet, field: str) -> Any:
    latest = image_set.latest
    if field == "createdAt":
        return image_set.created_at
    if field == "updatedAt":
        return latest.changed_at
    if field == "isPrimary":
        return image_set.is_primary
    if field == "DICOMStudyDateAndTime":
        return latest.tags if latest.tags.get("DICOMStudyDate") else None
    return latest.tags.get(field)


def _comparable(field: str, value: Any) -> Any:
    if value is None:
        return None
    if field == "DICOMStudyDateAndTime":
        # The texts of DICOM's dates and times sort like the times.
        return value.get("DICOMStudyDate", "") + value.get("DICOMStudyTime", "")
    return value.timestamp() if field in _TIMES else value
