"""Checks the document of a state against the service models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from botocore.model import StructureShape

from airflow_imgver.emulator.contract import compiled_pattern, service_model
from airflow_imgver.emulator.sagemaker.models import VERSION_PROPERTIES

if TYPE_CHECKING:
    from botocore.model import Shape

# AWS extends this enumeration: a state may hold a status that does not exist yet, for a test of it.
_OPEN_ENUMERATIONS = frozenset({"ImageSetWorkflowStatus"})
_IMPORT_JOBS = "importJobs"
# The members that DescribeImage shows, besides those of its versions.
_IMAGE_MEMBERS = ("RoleArn", "DisplayName", "Description")
_LONGEST_QUOTE = 100

Entry = dict[str, Any]


@dataclass
class Datastore:
    """The versions of image sets by their ids, and the import jobs."""

    image_sets: dict[str, list[Entry]] = field(default_factory=dict)
    import_jobs: list[Entry] = field(default_factory=list)


@dataclass
class Image:
    """The versions of an image, and its own members."""

    versions: list[Entry]
    members: Entry = field(default_factory=dict)


@dataclass
class Document:
    """A document that is well formed."""

    datastores: dict[str, Datastore] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)


class StateError(ValueError):
    """A state file, or its document, is malformed; the message has the place and the reason."""


def checked(document: Any) -> Document:
    """
    Check a document.

    :raises StateError: the document is malformed.
    """
    _expect(isinstance(document, Mapping), "$", "must be an object")
    for name in document:
        _expect(name in ("healthimaging", "sagemaker"), str(name), "unknown: healthimaging or sagemaker")
    found = Document()
    for datastore_id, members, place in _members(document.get("healthimaging", {}), "healthimaging"):
        _expect_pattern("medical-imaging", "DatastoreId", datastore_id, place)
        found.datastores[datastore_id] = _datastore(datastore_id, members, place)
    for image_name, value, place in _members(document.get("sagemaker", {}), "sagemaker"):
        _expect_pattern("sagemaker", "ImageName", image_name, place)
        _expect(
            image_name.lower() not in map(str.lower, found.images),
            place,
            "differs from another image in case alone",
        )
        found.images[image_name] = _image(image_name, value, place)
    return found


def _datastore(datastore_id: str, members: Any, place: str) -> Datastore:
    datastore = Datastore()
    for name, value, inner in _members(members, place):
        if name == _IMPORT_JOBS:
            datastore.import_jobs = _jobs(datastore_id, value, inner)
        else:
            _expect_pattern("medical-imaging", "ImageSetId", name, inner)
            datastore.image_sets[name] = _image_set(name, value, inner)
    return datastore


def _jobs(datastore_id: str, value: Any, place: str) -> list[Entry]:
    jobs = _entries("medical-imaging", "DICOMImportJobProperties", "jobId", value, place)
    for index, job in enumerate(jobs):
        _expect(
            job["datastoreId"] == datastore_id,
            f"{place}[{index}].datastoreId",
            f"is {job['datastoreId']!r}, under the data store {datastore_id!r}",
        )
    return jobs


def _image_set(image_set_id: str, entries: Any, place: str) -> list[Entry]:
    more = {"DICOMTags": service_model("medical-imaging").shape_for("DICOMTags")}
    found = _entries("medical-imaging", "ImageSetProperties", "versionId", entries, place, more)
    _expect(bool(found), place, "an image set has at least one version")
    for index, entry in enumerate(found):
        _expect(
            entry["imageSetId"] == image_set_id,
            f"{place}[{index}].imageSetId",
            f"is {entry['imageSetId']!r}, under the image set {image_set_id!r}",
        )
    return found


def _image(image_name: str, value: Any, place: str) -> Image:
    if isinstance(value, list):
        return Image(_image_versions(image_name, value, place))
    _expect(isinstance(value, Mapping), place, "must be a list of entries, or an object with ImageVersions")
    shapes = _shapes("DescribeImageResponse", _IMAGE_MEMBERS)
    known = ", ".join((*shapes, "ImageVersions"))
    for name in value:
        _expect(name in shapes or name == "ImageVersions", f"{place}.{name}", f"unknown; known are {known}")
    members = {
        name: _member(shapes[name], value[name], f"{place}.{name}") for name in value if name in shapes
    }
    versions = _image_versions(image_name, value.get("ImageVersions", []), f"{place}.ImageVersions")
    return Image(versions, members)


def _image_versions(image_name: str, entries: Any, place: str) -> list[Entry]:
    more = _shapes("DescribeImageVersionResponse", VERSION_PROPERTIES)
    found = _entries("sagemaker", "ImageVersion", "Version", entries, place, more)
    for index, entry in enumerate(found):
        # SageMaker writes an image's name in lower case where it is part of an ARN.
        endings = {
            "ImageArn": f":image/{image_name.lower()}",
            "ImageVersionArn": f":image-version/{image_name.lower()}/{entry['Version']}",
        }
        for member, ending in endings.items():
            _expect(
                entry[member].endswith(ending),
                f"{place}[{index}].{member}",
                f"is {entry[member]!r}; it must end in {ending!r}",
            )
    return found


def _shapes(structure: str, names: tuple[str, ...]) -> dict[str, Shape]:
    members = cast("StructureShape", service_model("sagemaker").shape_for(structure)).members
    return {name: members[name] for name in names}


def _entries(
    service: str,
    shape_name: str,
    identity: str,
    entries: Any,
    place: str,
    more: Mapping[str, Shape] | None = None,
) -> list[Entry]:
    _expect(isinstance(entries, list), place, "must be a list of entries")
    shape = cast("StructureShape", service_model(service).shape_for(shape_name))
    found = [_structure(shape, entry, f"{place}[{index}]", more) for index, entry in enumerate(entries)]
    first_at: dict[Any, int] = {}
    for index, entry in enumerate(found):
        value = entry[identity]
        first = first_at.setdefault(value if identity == "jobId" else int(value), index)
        _expect(
            first == index, f"{place}[{index}].{identity}", f"{entry[identity]!r} is also that of [{first}]"
        )
    return found


def _structure(
    shape: StructureShape, value: Any, place: str, more: Mapping[str, Shape] | None = None
) -> Entry:
    _expect(isinstance(value, Mapping), place, "must be an object")
    members = {**shape.members, **(more or {})}
    for name in value:
        _expect(name in members, f"{place}.{name}", f"unknown; known are {', '.join(members)}")
    for name in shape.required_members:
        _expect(name in value, f"{place}.{name}", "missing; AWS always returns it")
    return {name: _member(members[name], value[name], f"{place}.{name}") for name in value}


def _member(shape: Shape, value: Any, place: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, value, place)
    if shape.type_name == "timestamp":
        return _time(value, place)
    if shape.type_name == "boolean":
        _expect(isinstance(value, bool), place, f"is {value!r}; it must be true or false")
    elif shape.type_name == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool)
        _expect(
            fits and value >= shape.metadata.get("min", value), place, f"is {value!r}; it must be a number"
        )
    else:
        _expect_text(shape, value, place)
    return value


def _expect_text(shape: Shape, value: Any, place: str) -> None:
    # A value that may name a patient is never quoted.
    shown = "not a value that AWS lists" if shape.metadata.get("sensitive") else f"is {_quoted(value)}"
    _expect(isinstance(value, str), place, f"{shown}; it must be a text")
    allowed = shape.metadata.get("enum", [])
    if allowed and shape.name not in _OPEN_ENUMERATIONS:
        _expect(value in allowed, place, f"{shown}; it must be one of {', '.join(allowed)}")
    longest = shape.metadata.get("max", len(value))
    _expect(len(value) <= longest, place, f"is {len(value)} characters long; {longest} is the most")
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled_pattern(pattern).fullmatch(value):
        found = _unfit_character(pattern, value)
        raise StateError(f"{place}: {shown}; it must match {pattern}{found}")


def _quoted(value: Any) -> str:
    # ASCII, so that a letter of another alphabet and a character without width are seen.
    text = ascii(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _unfit_character(pattern: str, value: str) -> str:
    """Find the first character that a pattern does not allow, by putting it among characters that fit."""
    for kept, filler in (("0123456789abcdefghijklmnopqrstuvwxyz", "a"), ("0123456789", "0")):
        fitting = [each if each in kept else filler for each in value]
        if not compiled_pattern(pattern).fullmatch("".join(fitting)):
            continue
        for place, character in enumerate(value):
            tried = [*fitting[:place], character, *fitting[place + 1 :]]
            if not compiled_pattern(pattern).fullmatch("".join(tried)):
                return f"; character {place + 1} is {character!a}"
    return ""


def _time(value: Any, place: str) -> datetime:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(
        number or isinstance(value, str | datetime),
        place,
        f"is {value!r}; it must be a time, in epoch seconds or as ISO 8601",
    )
    try:
        time = (
            datetime.fromtimestamp(value, UTC)
            if number
            else value
            if isinstance(value, datetime)
            else datetime.fromisoformat(value)
        )
    except (OverflowError, ValueError, OSError):
        raise StateError(
            f"{place}: is {value!r}; it must be a time, in epoch seconds or as ISO 8601"
        ) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _members(value: Any, place: str) -> Iterator[tuple[str, Any, str]]:
    _expect(isinstance(value, Mapping), place, "must be an object")
    for name, inner in value.items():
        yield name, inner, f"{place}.{name}"


def _expect_pattern(service: str, shape_name: str, value: Any, place: str) -> None:
    _expect_text(service_model(service).shape_for(shape_name), value, place)


def _expect(condition: bool, place: str, complaint: str) -> None:
    if not condition:
        raise StateError(f"{place}: {complaint}")
