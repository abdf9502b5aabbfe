"""Loads a state file: image sets, import jobs and images, with the histories that AWS would list."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from airflow_imgver.emulator.registration import register
from airflow_imgver.emulator.sagemaker.store import load_image
from airflow_imgver.emulator.state_document import Document, StateError, checked


def load(
    state: str | os.PathLike[str] | Mapping[str, Any],
    *,
    region: str = "us-east-1",
    account_id: str = DEFAULT_ACCOUNT_ID,
) -> None:
    """
    Put image sets, import jobs and images into the embedded AWS of this process.

    The document is ``{"healthimaging": {"<datastoreId>": {"<imageSetId>": [entry, ...]}}, "sagemaker":
    {"<imageName>": [entry, ...]}}``. An entry is what AWS lists: a member of ``imageSetPropertiesList`` or of
    ``ImageVersions``, in any order, its times as epoch seconds or as ISO 8601 (UTC where no zone is given).
    ``docs/embedded-aws.md`` has the members that it may hold besides.

    :param state: The path of a JSON file, or the document itself.
    :param region: The region of the image sets and images.
    :param account_id: Their account; moto's own account by default.
    :raises StateError: the document is malformed; then nothing is loaded.
    :raises OSError: the file is not readable.
    """
    register()
    document = checked(state) if isinstance(state, Mapping) else _checked_file(Path(state))
    # Not at the top: moto knows the package only once it is registered.
    from airflow_imgver.emulator.medicalimaging.models import medicalimaging_backends

    backend = medicalimaging_backends[account_id][region]
    with backend.lock:
        for datastore_id, datastore in document.datastores.items():
            backend.load_datastore(datastore_id)
            for image_set_id, entries in datastore.image_sets.items():
                backend.load_image_set(datastore_id, image_set_id, entries)
            for job in datastore.import_jobs:
                backend.load_import_job(datastore_id, job)
    for image_name, image in document.images.items():
        load_image(sagemaker_backends[account_id][region], image_name, image.versions, image.members)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        found = ascii(error.doc[error.pos]) if error.pos < len(error.doc) else "the end of the file"
        raise StateError(f"{where}: not JSON: {error.msg}, found {found}") from error
    except UnicodeDecodeError as error:
        raise StateError(
            f"not UTF-8 at byte {error.start}, which is {error.object[error.start]:#x}"
        ) from error
    except _Repetition as error:
        raise StateError(str(error)) from error


def _checked_file(path: Path) -> Document:
    try:
        return checked(_read(path))
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
