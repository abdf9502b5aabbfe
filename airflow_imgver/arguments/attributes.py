"""Readers of DICOM attributes in the form of HealthImaging's requests. Their errors quote no value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_imgver.arguments.literals import json_value
from airflow_imgver.exceptions import InvalidIdentityError

SCHEMA_VERSION = 1.1
# https://docs.aws.amazon.com/healthimaging/latest/devguide/endpoints-quotas.html: 10 KB for an update's
# payload. The API's model allows 260,000 characters for the instances of a copy.
MOST_BYTES_OF_AN_UPDATE = 10 * 1024
MOST_CHARACTERS_OF_A_COPY = 260_000

_UID = re.compile(r"[0-9.]{1,64}")


def attributes_text(value: Any, name: str) -> str | None:
    """
    Read attributes, and return the JSON text that the API takes.

    :param value: a dictionary, its JSON, or the text that a template makes of a dictionary: ``Patient`` and
        ``Study``, with ``DICOM`` at each level. A missing ``SchemaVersion`` is added. None, "" and "None"
        mean none.
    :param name: the argument's name, for the error.
    :raises InvalidIdentityError: a series or an instance is not named by a UID.
    :raises ValueError: it is not JSON, or does not have this form.
    """
    document = json_value(value, name)
    if document is None:
        return None
    _check_form(document, name)
    try:
        return json.dumps(
            {"SchemaVersion": SCHEMA_VERSION, **document}, allow_nan=False, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError):
        raise ValueError(
            f"{name} has a value that JSON cannot hold. Use texts, numbers, booleans, None, lists and "
            "dictionaries."
        ) from None


def check_update_size(*texts: str | None) -> None:
    """
    Check the size of an update, for which AWS would leave a failed version or refuse the request.

    :raises ValueError: it is greater than AWS's quota.
    """
    size = sum(len(text.encode()) for text in texts if text)
    if size > MOST_BYTES_OF_AN_UPDATE:
        raise ValueError(
            f"updates and removals are {size} bytes together, and HealthImaging takes "
            f"{MOST_BYTES_OF_AN_UPDATE} in one update. Divide them into several updates."
        )


def check_copy_size(text: str | None) -> None:
    """
    Check the size of the list of instances of a copy.

    :raises ValueError: it is longer than the API's limit.
    """
    if text and len(text) > MOST_CHARACTERS_OF_A_COPY:
        raise ValueError(
            f"copiable_attributes is {len(text)} characters long, and CopyImageSet takes "
            f"{MOST_CHARACTERS_OF_A_COPY}. Name whole series, or divide the copy."
        )


def _check_form(document: Mapping[str, Any], name: str) -> None:
    top = _level(document, name, ("SchemaVersion", "Patient", "Study"))
    if not top.keys() & {"Patient", "Study"}:
        raise ValueError(f"{name} must have the member Patient or the member Study.")
    patient = _level(top.get("Patient"), f"{name}.Patient", ("DICOM",))
    _level(patient.get("DICOM"), f"{name}.Patient.DICOM")
    study = _level(top.get("Study"), f"{name}.Study", ("DICOM", "Series"))
    _level(study.get("DICOM"), f"{name}.Study.DICOM")
    all_series = _level(study.get("Series"), f"{name}.Study.Series", uids=True)
    for series in all_series.values():
        place = f"{name}.Study.Series.<UID>"
        levels = _level(series, place, ("DICOM", "Instances"))
        _level(levels.get("DICOM"), f"{place}.DICOM")
        for instance in _level(levels.get("Instances"), f"{place}.Instances", uids=True).values():
            inner = _level(instance, f"{place}.Instances.<UID>", ("DICOM",))
            _level(inner.get("DICOM"), f"{place}.Instances.<UID>.DICOM")


def _level(
    value: Any, place: str, members: tuple[str, ...] | None = None, *, uids: bool = False
) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{place} must be a dictionary whose keys are texts.")
    if members is not None and not value.keys() <= set(members):
        raise ValueError(
            f"{place} has a member that HealthImaging does not know at this level. It may have "
            f"{' and '.join(members)}; the attributes of a level belong into its DICOM."
        )
    if uids and not all(_UID.fullmatch(key) for key in value):
        raise InvalidIdentityError(
            f"{place} must name each by its UID: digits and dots, 64 characters at the most."
        )
    return value
