"""Image sets of a study in the embedded AWS, with what identifies its patient."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support import DATASTORE, image_set_entry, wait_for

from airflow_imgver.emulator import calls
from airflow_imgver.emulator.state import load

STUDY = "1.2.840.113619.2.55.3.604688119.971.1508917300.441"
ACCESSION = "ACC-7781-JOHN"
PATIENT = ("DOE^JOHN", "PAT-19700101")
SECRETS = (STUDY, ACCESSION, *PATIENT)


def image_set_id(number: int) -> str:
    return f"{number:032d}"


def series_of(number: int) -> str:
    return f"{STUDY}.{number}"


def add(*numbers: int, **more: Any) -> None:
    """Put image sets of the study into the embedded AWS of this process, beside those that are there."""
    load(
        {"healthimaging": {DATASTORE: {image_set_id(number): [entry(number, **more)] for number in numbers}}}
    )


def entry(number: int, status: str = "CREATED", state: str = "ACTIVE", **tags: Any) -> dict[str, Any]:
    """The first version of an image set of the study."""
    dicom = {
        "DICOMAccessionNumber": ACCESSION,
        "DICOMStudyInstanceUID": STUDY,
        "DICOMSeriesInstanceUID": series_of(number),
        "DICOMPatientName": PATIENT[0],
        "DICOMPatientId": PATIENT[1],
        **tags,
    }
    return image_set_entry(1, status, state, imageSetId=image_set_id(number), DICOMTags=dicom)


def searches() -> int:
    """How many searches the embedded AWS has had."""
    return int(calls().get("medical-imaging", {}).get("SearchImageSets", 0))


@contextmanager
def once(condition: Callable[[], Any], do: Callable[[], None]) -> Iterator[None]:
    """Do something when a condition holds, beside what the test does meanwhile."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            wait_for(condition, seconds=30)
            do()
        except BaseException as error:  # noqa: BLE001  # the test raises it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failed, failed
