"""Loads a state file: image sets and images with the histories that AWS would list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.model import StructureShape
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from airflow_imgver.emulator.contract import compiled_pattern, service_model
from airflow_imgver.emulator.registration import register
from airflow_imgver.emulator.sagemaker.store import load_image

if TYPE_CHECKING:
    from botocore.model import Shape

# AWS extends this enumeration: a state may hold a status that does not exist yet, for a test of it.
_OPEN_ENUMERATIONS = frozenset({"ImageSetWorkflowStatus"})

Entry = dict[str, Any]
Datastores = dict[str, dict[str, list[Entry]]]
"""The versions of image sets, by data store and image set."""
Images = dict[str, list[Entry]]
"""The versions of images, by name."""


class StateError(ValueError):
    """A state file, or its document, is malformed; the message has the place and the reason."""


def load(
    state: str | os.PathLike[str] | Mapping[str, Any],
    *,
    region: str = "us-east-1",
    account_id: str = DEFAULT_ACCOUNT_ID,
) -> None:
    """
    Put image sets and images into the embedded AWS of this process.

    The document is ``{"healthimaging": {"<datastoreId>": {"<imageSetId>": [entry, ...]}}, "sagemaker":
    {"<imageName>": [entry, ...]}}``. An entry is what AWS lists: a member of ``imageSetPropertiesList`` or of
    ``ImageVersions``, in any order, its times as epoch seconds or as ISO 8601 (UTC where no zone is given).

    :param state: The path of a JSON file, or the document itself.
    :param region: The region of the image sets and images.
    :param account_id: Their account; moto's own account by default.
    :raises StateError: the document is malformed; then nothing is loaded.
    :raises OSError: the file is not readable.
    """
    register()
    if isinstance(state, Mapping):
        healthimaging, sagemaker = _checked(state)
    else:
        healthimaging, sagemaker = _checked_file(Path(state))
    # Not at the top: moto knows the package only once it is registered.
    from airflow_imgver.emulator.medicalimaging.models import medicalimaging_backends

    backend = medicalimaging_backends[account_id][region]
    for datastore_id, image_sets in healthimaging.items():
        backend.load_datastore(datastore_id)
        for image_set_id, entries in image_sets.items():
            backend.load_image_set(datastore_id, image_set_id, entries)
    for image_name, entries in sagemaker.items():
        load_image(sagemaker_backends[account_id][region], image_name, entries)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise StateError(f"{where}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise StateError(f"not UTF-8 at byte {error.start}") from error
    except _Repetition as error:
        raise StateError(str(error)) from error


def _checked_file(path: Path) -> tuple[Datastores, Images]:
    try:
        return _checked(_read(path))
    except StateError as error:
        raise StateError(f"{path}: {error}") from None


class _Repetition(Exception):
    """A JSON object has a member twice, of which Python would silently keep the last."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Repetition(f"{twice!r} is twice in one object")
    return members


def _checked(document: Any) -> tuple[Datastores, Images]:
    _expect(isinstance(document, Mapping), "$", "must be an object")
    for name in document:
        _expect(name in ("healthimaging", "sagemaker"), str(name), "unknown: healthimaging or sagemaker")
    datastores: Datastores = {}
    for datastore_id, image_sets_of_it, place in _members(document.get("healthimaging", {}), "healthimaging"):
        _expect_pattern("medical-imaging", "DatastoreId", datastore_id, place)
        datastores[datastore_id] = {}
        for image_set_id, entries, inner in _members(image_sets_of_it, place):
            _expect_pattern("medical-imaging", "ImageSetId", image_set_id, inner)
            datastores[datastore_id][image_set_id] = _image_set(image_set_id, entries, inner)
    images: Images = {}
    for image_name, entries, place in _members(document.get("sagemaker", {}), "sagemaker"):
        _expect_pattern("sagemaker", "ImageName", image_name, place)
        _expect(
            image_name.lower() not in map(str.lower, images),
            place,
            "differs from another image in case alone",
        )
        images[image_name] = _image(image_name, entries, place)
    return datastores, images


def _image_set(image_set_id: str, entries: Any, place: str) -> list[Entry]:
    checked = _entries("medical-imaging", "ImageSetProperties", "versionId", entries, place)
    _expect(bool(checked), place, "an image set has at least one version")
    for index, entry in enumerate(checked):
        _expect(
            entry["imageSetId"] == image_set_id,
            f"{place}[{index}].imageSetId",
            f"is {entry['imageSetId']!r}, under the image set {image_set_id!r}",
        )
    return checked


def _image(image_name: str, entries: Any, place: str) -> list[Entry]:
    checked = _entries("sagemaker", "ImageVersion", "Version", entries, place)
    for index, entry in enumerate(checked):
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
    return checked


def _entries(service: str, shape_name: str, identity: str, entries: Any, place: str) -> list[Entry]:
    _expect(isinstance(entries, list), place, "must be a list of entries")
    shape = cast("StructureShape", service_model(service).shape_for(shape_name))
    checked = [_structure(shape, entry, f"{place}[{index}]") for index, entry in enumerate(entries)]
    first_at: dict[int, int] = {}
    for index, entry in enumerate(checked):
        first = first_at.setdefault(int(entry[identity]), index)
        _expect(
            first == index, f"{place}[{index}].{identity}", f"{entry[identity]!r} is also that of [{first}]"
        )
    return checked


def _structure(shape: StructureShape, value: Any, place: str) -> Entry:
    _expect(isinstance(value, Mapping), place, "must be an object")
    for name in value:
        _expect(name in shape.members, f"{place}.{name}", f"unknown; known are {', '.join(shape.members)}")
    for name in shape.required_members:
        _expect(name in value, f"{place}.{name}", "missing; AWS always returns it")
    return {name: _member(shape.members[name], value[name], f"{place}.{name}") for name in value}


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
    _expect(isinstance(value, str), place, f"is {value!r}; it must be a text")
    allowed = shape.metadata.get("enum", [])
    if allowed and shape.name not in _OPEN_ENUMERATIONS:
        _expect(value in allowed, place, f"is {value!r}; it must be one of {', '.join(allowed)}")
    longest = shape.metadata.get("max", len(value))
    _expect(len(value) <= longest, place, f"is {len(value)} characters long; {longest} is the most")
    pattern = shape.metadata.get("pattern")
    _expect(
        pattern is None or bool(compiled_pattern(pattern).fullmatch(value)),
        place,
        f"is {value!r}; it must match {pattern}",
    )


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
