"""The operators that list versions: what goes to XCom, queries, templates, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    TaskInstance,
    context_of,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import (
    AwsCallError,
    InvalidIdentityError,
    InvalidQueryError,
    InvalidTokenError,
    ResourceMissingError,
)
from airflow_imgver.operators.healthimaging import HealthImagingListImageSetVersionsOperator
from airflow_imgver.operators.sagemaker_image import SageMakerListImageVersionsOperator
from airflow_imgver.text import as_plain

HISTORY = [
    image_set_entry(4),
    image_set_entry(3),
    image_set_entry(2, "COPY_FAILED", message=MISMATCH),
    image_set_entry(1, "COPIED", overrides={"forced": True}, isPrimary=True),
]
IMAGES = [image_version_entry(number) for number in (3, 2, 1)]


@pytest.fixture(autouse=True)
def histories(aws_connection: str) -> None:
    load_image_set(*HISTORY)
    load_image(*IMAGES)


def list_image_set(**more: Any) -> HealthImagingListImageSetVersionsOperator:
    given = {"task_id": "list", "datastore_id": DATASTORE, "image_set_id": IMAGE_SET}
    return HealthImagingListImageSetVersionsOperator(**{**given, **more})


def list_image(**more: Any) -> SageMakerListImageVersionsOperator:
    return SageMakerListImageVersionsOperator(**{"task_id": "list", "image_name": IMAGE, **more})


def done(operator: Any) -> tuple[Any, dict[str, Any]]:
    """What an operator returns, and what else it has pushed, but for the link."""
    ti = TaskInstance()
    returned = operator.execute(context_of(ti))
    link = operator.operator_extra_links[0].key
    return returned, {key: value for key, value in ti.xcoms.items() if key != link}


@pytest.mark.parametrize(("make", "entries"), [(list_image_set, HISTORY), (list_image, IMAGES)])
def test_the_list_goes_to_xcom_plain_with_awss_names_and_order(make: Any, entries: Any) -> None:
    returned, pushed = done(make())
    assert returned == as_plain(entries)
    assert json.loads(json.dumps(returned)) == returned
    assert pushed == {}


def test_times_are_text_in_utc_and_numbers_stay_numbers() -> None:
    (first, *_), _ = done(list_image())
    assert first["CreationTime"] == "2023-03-28T21:12:06+00:00"
    assert first["Version"] == 3


@pytest.mark.parametrize("make", [list_image_set, list_image])
def test_a_cut_listing_pushes_the_token_that_resumes_it(make: Any) -> None:
    whole, _ = done(make())
    seen, pushed = done(make(max_items=2))
    rest, end = done(make(starting_token=pushed["next_token"], page_size=1))
    assert len(seen) == 2
    assert seen + rest == whole
    assert end == {}


def test_a_listing_that_is_cut_between_two_pages_pushes_its_token_too() -> None:
    returned, pushed = done(list_image_set(max_items=2, page_size=2))
    assert [entry["versionId"] for entry in returned] == ["4", "3"]
    rest, _ = done(list_image_set(starting_token=pushed["next_token"]))
    assert [entry["versionId"] for entry in rest] == ["2", "1"]


@pytest.mark.parametrize("max_items", [3, 4, 100])
def test_a_listing_that_is_whole_pushes_no_token(max_items: int) -> None:
    assert done(list_image(max_items=max_items))[1] == {}


def test_nothing_is_pushed_where_the_task_pushes_nothing() -> None:
    ti = TaskInstance()
    list_image(max_items=1, do_xcom_push=False).execute(context_of(ti))
    assert ti.xcoms == {}


def test_the_console_link_is_pushed() -> None:
    ti = TaskInstance()
    list_image().execute(context_of(ti))
    assert ti.xcoms["sagemaker_image"] == {
        "region_name": "us-east-1",
        "aws_domain": "aws.amazon.com",
        "image_name": IMAGE,
    }


@pytest.mark.parametrize("empty", ["", None])
def test_what_a_template_rendered_to_nothing_is_left_out(empty: Any) -> None:
    operator = list_image(
        page_size=empty, max_items=empty, starting_token=empty, query=empty, creation_time_after=empty
    )
    assert len(done(operator)[0]) == 3


def test_numbers_and_tokens_may_be_templates() -> None:
    _, pushed = done(list_image_set(max_items=1))
    operator = list_image_set(
        image_set_id="{{ made }}", page_size="{{ 1 }}", max_items="{{ 2 }}", starting_token="{{ token }}"
    )
    operator.render_template_fields(context_of(made=IMAGE_SET, token=pushed["next_token"]))
    returned, _ = done(operator)
    assert [entry["versionId"] for entry in returned] == ["3", "2"]


def test_filters_and_sorts_reach_aws() -> None:
    after = list_image(creation_time_after="2023-03-28T20:00:00", sort_by="VERSION", sort_order="ASCENDING")
    assert [entry["Version"] for entry in done(after)[0]] == [2, 3]


# --- queries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("imageSetPropertiesList[].versionId", ["4", "3", "2", "1"]),
        ("length(imageSetPropertiesList)", 4),
        ("imageSetPropertiesList[?ImageSetWorkflowStatus=='COPY_FAILED'].message | [0]", MISMATCH),
        ("max_by(imageSetPropertiesList, &to_number(versionId)).versionId", "4"),
        ("imageSetPropertiesList[0].updatedAt", "2023-03-28T18:16:06+00:00"),
        ("nothing.of.the.kind", None),
    ],
)
def test_a_query_is_put_to_the_whole_response(query: str, expected: Any) -> None:
    assert done(list_image_set(query=query))[0] == expected


def test_a_query_sees_the_resume_token_of_a_cut_listing() -> None:
    returned, pushed = done(list_image(query="[length(ImageVersions), NextToken]", max_items=2))
    assert returned == [2, pushed["next_token"]]
    assert done(list_image(query="NextToken"))[0] is None


@pytest.mark.parametrize(
    ("query", "position"), [("imageSetPropertiesList[", 23), ("a..b", 2), ("[?x==]", 5), ("a b", 2)]
)
def test_a_query_that_is_none_is_refused_with_its_position_before_any_request(
    query: str, position: int
) -> None:
    with pytest.raises(InvalidQueryError, match=f"error is at position {position}"):
        done(list_image_set(query=query))
    assert list_calls() == 0


@pytest.mark.parametrize("query", ["'open", "#"])
def test_a_query_with_a_bad_character_is_refused_before_any_request(query: str) -> None:
    with pytest.raises(InvalidQueryError):
        done(list_image_set(query=query))
    assert list_calls() == 0


@pytest.mark.parametrize("query", ["length(imageSetPropertiesList[0].isPrimary)", "no_such_function(@)"])
def test_a_query_that_does_not_fit_the_response_is_named(query: str) -> None:
    with pytest.raises(InvalidQueryError, match="cannot be evaluated"):
        done(list_image_set(query=query))


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"image_set_id": "SHORT"}, InvalidIdentityError),
        ({"starting_token": "abc"}, InvalidTokenError),
        ({"max_items": "many"}, ValueError),
        ({"max_items": 0}, ValueError),
        ({"page_size": "-1"}, ValueError),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_any_request(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(bad))):
        done(list_image_set(**bad))
    assert list_calls() == 0


def test_a_missing_image_is_named() -> None:
    with pytest.raises(
        ResourceMissingError, match=r"ListImageVersions: .*The call was for image no-such-image"
    ):
        done(list_image(image_name="no-such-image"))


def test_a_refusal_is_named() -> None:
    denied = {"code": "AccessDeniedException", "message": "not yours"}
    inject_fault("medical-imaging", "ListImageSetVersions", error=denied)
    with pytest.raises(AwsCallError, match="not yours"):
        done(list_image_set())
