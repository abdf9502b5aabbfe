"""
What a search for image sets goes by: the readers of its arguments.

A DICOM UID or an accession number may identify a patient, so no error here shows a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_imgver.arguments.times import time_value
from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.text import joined

ATTRIBUTES = {
    "study_instance_uid": "DICOMStudyInstanceUID",
    "series_instance_uid": "DICOMSeriesInstanceUID",
    "accession_number": "DICOMAccessionNumber",
}
"""The arguments, and the members of SearchImageSets' filters."""

# The lengths and the pattern of the API's model.
_LONGEST = 512
_UID = re.compile(r"[0-9.]{1,512}")


@dataclass(frozen=True, slots=True)
class SearchedAttribute:
    """
    The DICOM attribute that a search goes by.

    :param name: the argument, for example ``study_instance_uid``.
    :param value: its value; not in the ``repr``, because it may identify a patient.
    """

    name: str
    value: str = field(repr=False)

    @property
    def member(self) -> str:
        """The member of the API's filter, for example ``DICOMStudyInstanceUID``."""
        return ATTRIBUTES[self.name]


def searched_attribute(**given: Any) -> SearchedAttribute | None:
    """
    Read the attribute of a search.

    :param given: argument to value; None is not given.
    :return: the attribute; None where none is given.
    :raises InvalidIdentityError: a value cannot be valid; does not show it.
    :raises ValueError: there are several.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if len(values) > 1:
        raise ValueError(f"A search goes by one attribute, and there are {len(values)}: {', '.join(values)}.")
    for name, value in values.items():
        return SearchedAttribute(name, attribute_value(value, name))
    return None


def attribute_value(value: Any, name: str) -> str:
    """
    Read a DICOM UID or an accession number.

    :param value: the text; a native template makes a number of digits, which is the text without loss where
        it is a whole one.
    :param name: the argument's name, for the error.
    :raises InvalidIdentityError: it cannot be valid; does not show it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value in ("", "None"):
        raise InvalidIdentityError(f"{name} is empty: the XCom or template that it comes from was empty.")
    if name == "accession_number":
        rule = f"a text of at most {_LONGEST} characters"
        valid = isinstance(value, str) and len(value) <= _LONGEST
    else:
        rule = "a DICOM UID, of digits and dots"
        valid = isinstance(value, str) and _UID.fullmatch(value) is not None
    if not valid:
        lost = (
            " A native template made a number of it, and digits were lost. Leave out "
            "render_template_as_native_obj, or pass the value from a task instead of a template."
            if isinstance(value, float)
            else ""
        )
        raise InvalidIdentityError(
            f"{name} must be {rule}. The value, of type {type(value).__name__}, is not shown, because it may "
            f"identify a patient.{lost}"
        )
    return str(value)


WAYS = ("image_set_id", *ATTRIBUTES, "all_in_datastore")
"""The ways to name the image sets of a gate."""


def way_of(given: Mapping[str, Any], *, updated_after: Any = None) -> str:
    """
    Return the one argument that names the image sets of a gate.

    :param given: argument to value; None and False are not given.
    :param updated_after: the argument of that name.
    :raises ValueError: there is none, or there are several.
    """
    everything = given.get("all_in_datastore")
    if not isinstance(everything, bool):
        raise ValueError(f"all_in_datastore must be True or False, not {everything!r}.")  # noqa: TRY004
    named = [name for name in WAYS if given.get(name) is not None and given.get(name) is not False]
    if len(named) != 1:
        found = f"{joined(named)} are given" if named else "none is given"
        raise ValueError(f"Give exactly one of {', '.join(WAYS[:-1])} and {WAYS[-1]}=True; {found}.")
    if updated_after is not None and named != ["all_in_datastore"]:
        raise ValueError(f"updated_after goes with all_in_datastore=True, and not with {named[0]}.")
    return named[0]


def search_arguments(way: str, value: Any, updated_after: Any) -> dict[str, Any]:
    """
    Return the arguments of the hook's ``iter_image_set_ids`` for a gate, once its templates are rendered.

    :param way: the argument that names the image sets.
    :param value: its value.
    :param updated_after: the time that the author gave; None where there is none.
    :raises InvalidIdentityError: the value cannot be valid; does not show it.
    :raises ValueError: the time cannot be read.
    """
    if way != "all_in_datastore":
        return {way: attribute_value(value, way)}
    if updated_after is not None and time_value(updated_after, "updated_after") is None:
        raise ValueError("updated_after is empty: the XCom or template that it comes from was empty.")
    return {"updated_after": updated_after}
