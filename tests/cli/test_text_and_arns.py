"""Commands on AWS's odd texts, which never end an output half-way; and on versions that belong elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from processes import Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    Answer,
    connection_json,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
    stub_aws,
)

HOSTILE = "nul \x00 half \ud83d a pair"
STORABLE = "nul � half � a pair"
SET = ("--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)
WAIT = (*SET, "--timeout", "0", "--interval", "1")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:image-version"


@pytest.fixture
def hostile(environment: dict[str, str]) -> Any:
    """A stub of HealthImaging whose message no database and no UTF-8 file can take."""
    entries = [image_set_entry(1, "COPY_FAILED", message=HOSTILE)]
    with stub_aws(lambda _: Answer({"imageSetPropertiesList": entries})) as stub:
        environment["AIRFLOW_CONN_AWS_DEFAULT"] = connection_json(stub.url)
        yield stub


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
@pytest.mark.parametrize("more", [(), ("--no-paginate",)])
def test_a_list_is_whole_whatever_the_text(run: Run, form: str, read: Any, more: tuple[str, ...]) -> None:
    done = run("list-image-set-versions", *SET, "--output", form, *more)
    assert done.status == 0, done.err
    (entry,) = read(done.out)["imageSetPropertiesList"]
    assert entry["message"] == STORABLE


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("form", ["table", "plain", "text"])
def test_a_list_to_read_is_whole_too(run: Run, form: str) -> None:
    done = run("list-image-set-versions", *SET, "--output", form)
    assert done.status == 0, done.err
    assert "nul" in done.out
    assert "\x00" not in done.out


def test_a_query_that_makes_nan_of_a_text_is_json(run: Run) -> None:
    load_image_set(image_set_entry(1, message="nan"))
    query = "imageSetPropertiesList[0].to_number(message)"
    done = run("list-image-set-versions", *SET, "--query", query, "--output", "json")
    assert (done.status, done.out) == (0, "null\n")


@pytest.mark.usefixtures("hostile")
def test_a_wait_reports_the_reason_of_a_failure_in_one_line(run: Run) -> None:
    done = run("wait-image-set-version", *WAIT)
    assert (done.status, done.out) == (1, "")
    assert "nul \\x00 half \\ud83d a pair." in done.err


# --- versions that belong elsewhere ---


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (f"{ARN}/other/2", "is the ARN of a version of image other"),
        (f"{ARN.replace('us-east-1', 'eu-west-1')}/{IMAGE}/2", "is an ARN of eu-west-1"),
        (f"{ARN.replace('sagemaker', 'medical-imaging')}/{IMAGE}/2", "version must be a version number"),
    ],
)
def test_a_wait_refuses_the_arn_of_anything_else_before_any_request(
    run: Run, version: str, words: str
) -> None:
    load_image(image_version_entry(2))
    done = run("wait-image-version", "--image-name", IMAGE, "--version", version)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert list_calls() == 0


def test_a_wait_refuses_the_arn_of_another_account(run: Run) -> None:
    load_image(image_version_entry(2))
    version = f"{ARN.replace('123456789012', '999999999999')}/{IMAGE}/2"
    done = run("wait-image-version", "--image-name", IMAGE, "--version", version)
    assert (done.status, done.out) == (2, "")
    assert "Check the account" in done.err


def test_a_wait_takes_the_arn_of_its_own_image_and_the_version_0(run: Run) -> None:
    load_image(image_version_entry(0))
    for version in (f"{ARN}/{IMAGE}/0", "0"):
        done = run("wait-image-version", "--image-name", IMAGE, "--version", version)
        assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("version", "words"),
    [("0", "version must be 1 or more, not 0"), (f"{ARN}/{IMAGE}/2", "version must be a version number")],
)
def test_a_wait_on_an_image_set_refuses_version_0_and_arns(run: Run, version: str, words: str) -> None:
    load_image_set(image_set_entry(2))
    done = run("wait-image-set-version", *WAIT, "--version", version)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert list_calls() == 0
