"""Attributes of any shape: an update applies them or refuses them with a reason, and never breaks."""

from __future__ import annotations

import gzip
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_imgver.emulator.medicalimaging.contents import Contents
from airflow_imgver.emulator.medicalimaging.dicom_files import document_of, synthetic_study
from airflow_imgver.emulator.medicalimaging.metadata import InvalidAttributesError, selected, updated

FILES = synthetic_study("", "s3://scans/series=1/")
SERIES = FILES[0].series_uid
NAMES = [
    "SchemaVersion",
    "Patient",
    "Study",
    "Series",
    "Instances",
    "DICOM",
    "PatientName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SeriesNumber",
    "ImageFrames",
    "PixelData",
    "00111001",
    "NoSuchName",
    "",
    SERIES,
    *(each.uid for each in FILES),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["1.2", SERIES])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)
ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
LEVEL = st.fixed_dictionaries({}, optional={"DICOM": ATTRIBUTES, "Instances": VALUES})
INSTANCES = st.dictionaries(st.sampled_from([each.uid for each in FILES]), LEVEL, max_size=2)
SERIES_LEVEL = st.fixed_dictionaries({}, optional={"DICOM": ATTRIBUTES, "Instances": INSTANCES})
STUDY = st.fixed_dictionaries(
    {}, optional={"DICOM": ATTRIBUTES, "Series": st.dictionaries(st.just(SERIES), SERIES_LEVEL)}
)
REQUESTS = VALUES | st.fixed_dictionaries(
    {"SchemaVersion": st.just(1.1)}, optional={"Patient": LEVEL, "Study": STUDY}
)
FLAGS = st.fixed_dictionaries(
    {"force": st.booleans(), "primary": st.booleans(), "include_study": st.booleans()}
)


@settings(max_examples=400, deadline=None)
@given(
    updates=st.dictionaries(st.sampled_from(["updatableAttributes", "removableAttributes"]), REQUESTS),
    flags=FLAGS,
)
def test_an_update_applies_any_attributes_or_refuses_them(updates: dict[str, Any], flags: Any) -> None:
    before = Contents(document_of(FILES))
    kept = json.dumps(before.document)
    try:
        after = updated(before, {name: json.dumps(each).encode() for name, each in updates.items()}, **flags)
    except InvalidAttributesError:
        after = before
    sent = json.loads(gzip.decompress(after.compressed("d" * 32, "1" * 32)))
    assert sent["Study"]["Series"]
    assert after.tags["DICOMStudyInstanceUID"]
    assert json.dumps(before.document) == kept


@settings(max_examples=200, deadline=None)
@given(REQUESTS)
def test_a_copy_takes_any_subset_or_refuses_it(request: Any) -> None:
    source = Contents(document_of(FILES))
    try:
        subset = selected(source, json.dumps(request))
    except InvalidAttributesError:
        return
    assert subset.instances
    assert subset.instances.keys() <= source.instances.keys()
