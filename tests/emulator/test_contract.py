"""What a request is checked for, and in which words it is refused."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from moto.core.request import Request
from moto.core.utils import camelcase_to_underscores

from airflow_imgver.emulator.contract import (
    SerializationException,
    ValidationException,
    check_request,
    compiled_pattern,
    read_request,
    service_model,
)
from airflow_imgver.emulator.sagemaker.responses import IMAGE_OPERATIONS as METHODS

DATASTORE = "d" * 32
IMAGE_SET = "1" * 32
IMAGE_OPERATIONS = {
    name for name in service_model("sagemaker").operation_names if camelcase_to_underscores(name) in METHODS
}
ASCII_TOKEN = r"\p{ASCII}{0,8192}"
UNICODE_TAG = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
ONE_ERROR = "1 validation error detected: "


def refusal(operation: str, service: str = "medical-imaging", **params: Any) -> str:
    with pytest.raises(ValidationException) as refused:
        check_request(service, operation, params)
    return refused.value.message


def refusal_of_listing(**params: Any) -> str:
    return refusal("ListImageSetVersions", **{"datastoreId": DATASTORE, "imageSetId": IMAGE_SET} | params)


def test_a_request_that_fits_passes() -> None:
    params = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "maxResults": 50, "nextToken": "~" * 8192}
    check_request("medical-imaging", "ListImageSetVersions", params)


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        (
            {"maxResults": 51},
            (
                "Value '51' at 'maxResults' failed to satisfy constraint: "
                "Member must have value less than or equal to 50"
            ),
        ),
        (
            {"maxResults": 0},
            (
                "Value '0' at 'maxResults' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ),
        ),
        (
            {"maxResults": "ten"},
            "Value 'ten' at 'maxResults' failed to satisfy constraint: Member must be an integer",
        ),
        (
            {"maxResults": True},
            "Value 'True' at 'maxResults' failed to satisfy constraint: Member must be an integer",
        ),
        (
            {"nextToken": ""},
            (
                "Value '' at 'nextToken' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            ),
        ),
        (
            {"nextToken": "grün"},
            (
                "Value 'grün' at 'nextToken' failed to satisfy constraint: "
                r"Member must satisfy regular expression pattern: \p{ASCII}{0,8192}"
            ),
        ),
        (
            {"imageSetId": None},
            "Value null at 'imageSetId' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_a_complaint_has_the_words_of_aws(params: dict[str, Any], complaint: str) -> None:
    assert refusal_of_listing(**params) == ONE_ERROR + complaint


@pytest.mark.parametrize(
    "id_", ["", "d" * 31, "d" * 33, "D" * 32, "d" * 32 + "\n", "d" * 31 + "é", " " + "d" * 31]
)
def test_an_id_is_32_digits_and_small_letters_and_nothing_else(id_: str) -> None:
    assert refusal_of_listing(datastoreId=id_).endswith("regular expression pattern: [0-9a-z]{32}")
    assert refusal_of_listing(imageSetId=id_).endswith("regular expression pattern: [0-9a-z]{32}")


def test_a_token_may_have_8192_characters_and_no_more() -> None:
    message = refusal_of_listing(nextToken="x" * 8193)
    assert message.endswith("Member must have length less than or equal to 8192")
    assert len(message) < 500


def test_all_complaints_are_made_at_once() -> None:
    message = refusal("ListImageSetVersions", datastoreId="X", maxResults=99)
    assert message.startswith("3 validation errors detected: ")
    assert all(f"at '{name}'" in message for name in ("datastoreId", "imageSetId", "maxResults"))


def test_an_enumeration_is_named_in_full() -> None:
    message = refusal("ListDICOMImportJobs", datastoreId=DATASTORE, jobStatus="DONE")
    assert message == (
        ONE_ERROR + "Value 'DONE' at 'jobStatus' failed to satisfy constraint: "
        "Member must satisfy enum value set: [SUBMITTED, IN_PROGRESS, COMPLETED, FAILED]"
    )


def test_a_complaint_deep_inside_tells_the_way() -> None:
    filters = [{"values": [{"createdAt": "yesterday"}], "operator": "EQUAL"}]
    message = refusal("SearchImageSets", datastoreId=DATASTORE, searchCriteria={"filters": filters})
    assert "at 'searchCriteria.filters.1.member.values.1.member.createdAt'" in message
    assert message.endswith("Member must be a timestamp")


def test_what_names_a_patient_is_not_quoted() -> None:
    filters = [{"values": [{"DICOMPatientId": "J. Doe " * 100}], "operator": "EQUAL"}]
    message = refusal("SearchImageSets", datastoreId=DATASTORE, searchCriteria={"filters": filters})
    assert message.endswith(
        "DICOMPatientId' failed to satisfy constraint: Member must have length less than or equal to 512"
    )
    assert "Doe" not in message


@pytest.mark.parametrize("updates", [{}, {"DICOMUpdates": {}, "revertToVersionId": "1"}])
def test_a_union_has_exactly_one_member(updates: dict[str, Any]) -> None:
    message = refusal(
        "UpdateImageSetMetadata",
        datastoreId=DATASTORE,
        imageSetId=IMAGE_SET,
        latestVersionId="1",
        updateImageSetMetadataUpdates=updates,
    )
    assert message == (
        ONE_ERROR + "Value at 'updateImageSetMetadataUpdates' failed to satisfy constraint: "
        "Member must have exactly one of: [DICOMUpdates, revertToVersionId]"
    )


def test_keys_and_values_of_a_map_are_checked() -> None:
    message = refusal("CreateDatastore", clientToken="t", tags={"aws:mine": "x" * 257})
    assert "at 'tags.key' failed to satisfy constraint: Member must satisfy regular expression" in message
    assert "at 'tags.aws:mine.member' failed to satisfy constraint: Member must have length less" in message


def test_a_list_has_its_length() -> None:
    filters = [{"values": [], "operator": "EQUAL"}]
    message = refusal("SearchImageSets", datastoreId=DATASTORE, searchCriteria={"filters": filters})
    assert message.endswith("Member must have length greater than or equal to 1")


def test_a_member_that_the_model_does_not_know_is_left_alone() -> None:
    check_request("medical-imaging", "ListDatastores", {"color": "blue"})


def test_another_service_is_checked_against_its_own_model() -> None:
    message = refusal("ListImageVersions", service="sagemaker", ImageName="-", MaxResults=101)
    assert message.startswith("2 validation errors detected: ")


def shapes_of(service: str) -> Iterator[Any]:
    """All shapes of the requests and answers that the embedded AWS serves."""
    model, seen = service_model(service), set()
    served = [name for name in model.operation_names if service != "sagemaker" or name in IMAGE_OPERATIONS]
    operations = [model.operation_model(name) for name in served]
    pending = [shape for one in operations for shape in (one.input_shape, one.output_shape)]
    while pending:
        shape = pending.pop()
        if shape is None or shape.name in seen:
            continue
        seen.add(shape.name)
        yield shape
        pending += getattr(shape, "members", {}).values()
        pending += [getattr(shape, part, None) for part in ("member", "key", "value")]


def patterns_of(service: str) -> set[str]:
    return {shape.metadata["pattern"] for shape in shapes_of(service) if "pattern" in shape.metadata}


def compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def test_python_compiles_all_patterns_of_the_served_operations_but_two() -> None:
    patterns = patterns_of("medical-imaging") | patterns_of("sagemaker")
    assert len(patterns) > 20
    assert {each for each in patterns if not compiles(each)} == {ASCII_TOKEN, UNICODE_TAG}
    for pattern in patterns:
        compiled_pattern(pattern)


def test_a_pattern_of_ascii_matches_ascii_alone() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    matched = [each for each in characters if compiled_pattern(ASCII_TOKEN).fullmatch(each)]
    assert matched == characters[:128]
    assert not compiled_pattern(ASCII_TOKEN).fullmatch("x" * 8193)


def test_a_pattern_of_unicode_categories_matches_these_categories() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    matched = {each for each in characters if compiled_pattern(UNICODE_TAG).fullmatch(each)}
    assert matched == {
        each for each in characters if unicodedata.category(each)[0] in "LZN" or each in "_.:/=+-@"
    }


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [(r"\d+", "12", "٣"), (r"\w+", "a_1", "é"), (r"^[a-z]$", "a", "a\n")],
)
def test_a_class_of_characters_means_ascii_alone(pattern: str, fits: str, does_not: str) -> None:
    assert compiled_pattern(pattern).fullmatch(fits)
    assert not compiled_pattern(pattern).fullmatch(does_not)


def read(operation: str, *, query: str = "", body: bytes = b"", **labels: str) -> dict[str, Any]:
    request = Request.from_primitives("POST", f"https://example.com/?{query}", {}, body)
    return read_request("medical-imaging", operation, request, labels)


def test_members_come_from_path_query_and_body() -> None:
    read_back = read(
        "CopyImageSet",
        query="force=true&promoteToPrimary=false",
        body=b'{"sourceImageSet": {"latestVersionId": "1", "unknown": 1}}',
        datastoreId=DATASTORE,
        sourceImageSetId=IMAGE_SET,
    )
    assert read_back == {
        "datastoreId": DATASTORE,
        "sourceImageSetId": IMAGE_SET,
        "force": True,
        "promoteToPrimary": False,
        "copyImageSetInformation": {"sourceImageSet": {"latestVersionId": "1"}},
    }


def test_times_are_aware_and_blobs_are_bytes() -> None:
    body = b'{"filters": [{"values": [{"createdAt": 1680027126.436}], "operator": "EQUAL"}]}'
    criteria = read("SearchImageSets", body=body, datastoreId=DATASTORE)["searchCriteria"]
    assert criteria["filters"][0]["values"][0]["createdAt"].isoformat() == "2023-03-28T18:12:06.436000+00:00"
    updates = read(
        "UpdateImageSetMetadata",
        query="latestVersion=1",
        body=b'{"DICOMUpdates": {"updatableAttributes": "e30="}}',
        datastoreId=DATASTORE,
        imageSetId=IMAGE_SET,
    )["updateImageSetMetadataUpdates"]
    assert updates["DICOMUpdates"]["updatableAttributes"] == b"{}"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"filters": "all"}', "filters' failed to satisfy constraint: Member must be a list"),
        (b'{"filters": {}}', "filters' failed to satisfy constraint: Member must be a list"),
        (b'{"sort": "up"}', "sort' failed to satisfy constraint: Member must be a structure"),
        (
            b'{"filters": [{"values": [{"isPrimary": "yes"}], "operator": "EQUAL"}]}',
            "isPrimary' failed to satisfy constraint: Member must be a boolean",
        ),
        (
            b'{"filters": [{"values": [{"createdAt": true}], "operator": "EQUAL"}]}',
            "createdAt' failed to satisfy constraint: Member must be a timestamp",
        ),
        (
            b'{"filters": [{"values": [{"DICOMPatientId": 7}], "operator": "EQUAL"}]}',
            "DICOMPatientId' failed to satisfy constraint: Member must be a string",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_refused_and_not_a_crash(body: bytes, complaint: str) -> None:
    with pytest.raises(ValidationException) as refused:
        read("SearchImageSets", body=body, datastoreId=DATASTORE)
    assert refused.value.message.endswith(complaint)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "The request body is not valid JSON"),
        (b"\xff", "The request body is not valid JSON"),
        ('{"filters": []}'.encode("utf-16"), "The request body is not valid JSON"),
        (b"[1]", "The request body must be a JSON object"),
        (b'{"sort": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "The request body is nested too deeply"),
        (b'{"sort": ' + b"[" * 900 + b"]" * 900 + b"}", ""),
    ],
)
def test_a_body_that_is_no_json_object_is_a_serialization_exception(body: bytes, complaint: str) -> None:
    expected = SerializationException if complaint else (SerializationException, ValidationException)
    with pytest.raises(expected) as refused:
        read("SearchImageSets", body=body, datastoreId=DATASTORE)
    assert complaint in refused.value.message


@pytest.mark.parametrize("number", ["ten", "1.5", "", "1_0", "٣", "1e1", " 5"])
def test_a_number_in_the_query_has_digits_alone(number: str) -> None:
    with pytest.raises(ValidationException, match="Member must be an integer"):
        read(
            "ListImageSetVersions", query=f"maxResults={number}", datastoreId=DATASTORE, imageSetId=IMAGE_SET
        )


def test_the_body_does_not_speak_for_the_path() -> None:
    with pytest.raises(ValidationException, match="Value null at 'datastoreId'"):
        read("StartDICOMImportJob", body=b'{"datastoreId": "' + DATASTORE.encode() + b'"}')
