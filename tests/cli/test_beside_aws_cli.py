"""Each listing beside the real AWS CLI's, over the same embedded AWS."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from processes import Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    image_set_entry,
    image_version_entry,
)

SETS = ("list-image-set-versions", "--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)
IMAGES = ("list-image-versions", "--image-name", IMAGE)
SERVICE = {SETS[0]: "medical-imaging", IMAGES[0]: "sagemaker"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")


@pytest.fixture(autouse=True)
def histories(emulator_url: str) -> None:
    from airflow_imgver.emulator.state import load

    images = [image_version_entry(number) for number in range(1, 24)]
    images[4] |= {"ImageVersionStatus": "CREATE_FAILED", "FailureReason": "no such base image"}
    sets = [image_set_entry(7), *(image_set_entry(number) for number in range(6, 1, -1))]
    sets[1] |= {"ImageSetWorkflowStatus": "UPDATE_FAILED", "message": MISMATCH, "overrides": {"forced": True}}
    sets.append(image_set_entry(1, "COPIED"))
    load({"healthimaging": {DATASTORE: {IMAGE_SET: sets}}, "sagemaker": {IMAGE: images}})


def as_numbers(value: Any) -> Any:
    """Times as the AWS CLI's first version prints them: the numbers that AWS sends."""
    if isinstance(value, dict):
        return {name: as_numbers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_numbers(member) for member in value]
    if isinstance(value, str) and TIME.fullmatch(value):
        seconds = datetime.fromisoformat(value).timestamp()
        return int(seconds) if seconds.is_integer() else seconds
    return value


COMBINATIONS = [
    (*SETS,),
    (*SETS, "--page-size", "2"),
    (*SETS, "--max-items", "3"),
    (*SETS, "--max-items", "3", "--page-size", "2"),
    (*SETS, "--max-items", "4", "--page-size", "2"),
    (*SETS, "--max-items", "7"),
    (*SETS, "--max-items", "99", "--page-size", "50"),
    (*SETS, "--no-paginate"),
    (
        *SETS,
        "--query",
        "imageSetPropertiesList[?ImageSetWorkflowStatus=='UPDATE_FAILED'].[versionId,message]",
    ),
    (*SETS, "--query", "imageSetPropertiesList[0].overrides"),
    (*SETS, "--query", "length(imageSetPropertiesList)"),
    (*SETS, "--max-items", "2", "--query", "NextToken"),
    (SETS[0], "--cli-input-json", json.dumps({"datastoreId": DATASTORE, "imageSetId": IMAGE_SET})),
    (
        SETS[0],
        "--cli-input-json",
        json.dumps({"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "maxResults": 3}),
    ),
    (*IMAGES,),
    (*IMAGES, "--sort-by", "VERSION", "--sort-order", "ASCENDING", "--page-size", "5"),
    (*IMAGES, "--sort-by", "LAST_MODIFIED_TIME", "--max-items", "12", "--page-size", "5"),
    (*IMAGES, "--creation-time-after", "2023-03-29T00:12:06Z", "--max-items", "4"),
    (*IMAGES, "--creation-time-before", "1680041526"),
    (*IMAGES, "--last-modified-time-after", "2023-03-29T00:12:06+00:00", "--sort-order", "ASCENDING"),
    (*IMAGES, "--no-paginate"),
    (*IMAGES, "--query", "ImageVersions[?ImageVersionStatus=='CREATE_FAILED']"),
    (*SETS, "--generate-cli-skeleton"),
    (*SETS, "--generate-cli-skeleton", "output"),
    (*IMAGES, "--generate-cli-skeleton", "output"),
]


@pytest.mark.parametrize(
    "arguments", COMBINATIONS, ids=lambda arguments: " ".join(arguments[0:1] + arguments[-3:])
)
def test_json_is_the_aws_clis_but_for_the_form_of_times(
    run: Run, aws: Run, arguments: tuple[str, ...]
) -> None:
    ours = run(*arguments, "--output", "json")
    theirs = aws(SERVICE[arguments[0]], *arguments, "--output", "json")

    assert (ours.status, ours.err) == (0, ""), ours.err
    assert theirs.status == 0, theirs.err
    assert as_numbers(ours.json) == as_numbers(theirs.json)


def same_page_size(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return arguments if "--page-size" in arguments else (*arguments, "--page-size", "20")


TEXTS = [
    same_page_size((*SETS,)),
    same_page_size((*SETS, "--max-items", "3", "--page-size", "2")),
    same_page_size((*SETS, "--query", "imageSetPropertiesList[].[versionId,ImageSetWorkflowStatus,message]")),
    same_page_size((*SETS, "--query", "imageSetPropertiesList[].versionId")),
    same_page_size((*SETS, "--query", "imageSetPropertiesList[].{id: versionId, all: [imageSetState]}")),
    same_page_size((*SETS, "--query", "imageSetPropertiesList[1].overrides.forced")),
    same_page_size((*SETS, "--query", "imageSetPropertiesList[].[versionId,[imageSetState]]")),
    (*SETS, "--no-paginate"),
    same_page_size((*IMAGES,)),
    same_page_size((*IMAGES, "--page-size", "10", "--query", "length(ImageVersions)")),
    same_page_size((*IMAGES, "--page-size", "10", "--query", "nothing")),
]


@pytest.mark.parametrize("arguments", TEXTS, ids=lambda arguments: " ".join(arguments[0:1] + arguments[-4:]))
def test_text_is_the_aws_clis_but_for_the_form_of_times(
    run: Run, aws: Run, arguments: tuple[str, ...]
) -> None:
    ours = run(*arguments, "--output", "text")
    theirs = aws(SERVICE[arguments[0]], *arguments, "--output", "text")

    assert (ours.status, ours.err) == (0, "")
    assert theirs.status == 0, theirs.err
    assert TIME.sub(lambda found: str(as_numbers(found[0])), ours.out) == theirs.out


@pytest.mark.parametrize(("cut", "pages"), [(1, (2, 3)), (4, (2, 50)), (5, (3, 2))])
def test_a_listing_that_either_cut_off_is_resumed_by_the_other(
    run: Run, aws: Run, cut: int, pages: tuple[int, int]
) -> None:
    first, second = (("--page-size", str(size)) for size in pages)
    whole = [str(number) for number in range(7, 0, -1)]

    def ours(*more: str) -> Any:
        return run(*SETS, *more, "--output", "json").json

    def theirs(*more: str) -> Any:
        return aws("medical-imaging", *SETS, *more, "--output", "json").json

    our_head = ours(*first, "--max-items", str(cut))
    their_head = theirs(*first, "--max-items", str(cut))
    # The AWS CLI passes over items of the first page alone, so it resumes rightly in pages of the same size.
    their_rest = theirs(*first, "--starting-token", our_head["NextToken"])
    our_rest = ours(*second, "--starting-token", their_head["NextToken"])

    assert our_head["NextToken"] == their_head["NextToken"]
    for rest in (our_rest, their_rest):
        assert [entry["versionId"] for entry in rest["imageSetPropertiesList"]] == whole[cut:]


def test_a_page_token_of_the_apis_own_is_where_both_start(run: Run, aws: Run) -> None:
    request = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "maxResults": 3}
    page = run(SETS[0], "--no-paginate", "--cli-input-json", json.dumps(request), "-o", "json").json
    following = (SETS[0], "--cli-input-json", json.dumps({**request, "nextToken": page["nextToken"]}))

    ours = run(*following, "--output", "json").json
    theirs = aws("medical-imaging", *following, "--output", "json").json

    assert [entry["versionId"] for entry in ours["imageSetPropertiesList"]] == ["4", "3", "2", "1"]
    assert as_numbers(ours) == as_numbers(theirs)


def test_an_image_that_is_not_there_is_an_error_to_both(run: Run, aws: Run) -> None:
    ours = run("list-image-versions", "--image-name", "nowhere")
    theirs = aws("sagemaker", "list-image-versions", "--image-name", "nowhere")

    assert ours.status == 1
    assert theirs.status != 0
    assert "ResourceNotFound" in ours.err
    assert "ResourceNotFound" in theirs.err
