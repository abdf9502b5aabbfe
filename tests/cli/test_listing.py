"""`list-image-set-versions` and `list-image-versions`: what they print, and what they refuse."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import airflow
import pytest
import yaml
from processes import Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    SECRET,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
    stub_aws,
)

from airflow_imgver.text import as_plain

SETS = ("list-image-set-versions", "--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)
IMAGES = ("list-image-versions", "--image-name", IMAGE)


@pytest.fixture
def history(emulator_url: str) -> None:
    load_image_set(
        image_set_entry(3),
        image_set_entry(2, "COPY_FAILED", message=MISMATCH),
        image_set_entry(1, "COPIED", overrides={"forced": True}),
    )


@pytest.fixture
def images(emulator_url: str) -> None:
    load_image(*(image_version_entry(number) for number in range(1, 6)))


# --- the forms of --output ---


@pytest.mark.usefixtures("history")
def test_json_has_the_shape_of_the_aws_cli_and_times_in_utc(run: Run) -> None:
    response = run(*SETS, "--output", "json").json

    assert list(response) == ["imageSetPropertiesList"]
    assert response["imageSetPropertiesList"][1] == {
        "imageSetId": IMAGE_SET,
        "versionId": "2",
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "COPY_FAILED",
        "createdAt": "2023-03-28T18:12:06+00:00",
        "updatedAt": "2023-03-28T18:14:06+00:00",
        "message": MISMATCH,
    }


@pytest.mark.usefixtures("history")
def test_yaml_holds_what_json_holds(run: Run) -> None:
    assert yaml.safe_load(run(*SETS, "-o", "yaml").out) == run(*SETS, "-o", "json").json


@pytest.mark.usefixtures("history")
def test_the_table_is_the_default_and_begins_with_the_version_and_its_status(run: Run) -> None:
    head, _, first, *_ = run(*SETS, COLUMNS="200").out.splitlines()

    assert [name.strip() for name in head.split("|")][:3] == [
        "versionId",
        "imageSetState",
        "ImageSetWorkflowStatus",
    ]
    assert [cell.strip() for cell in first.split("|")][:6] == [
        "3",
        "ACTIVE",
        "UPDATED",
        "",
        "2023-03-28T18:12:06Z",
        "2023-03-28T18:15:06Z",
    ]


@pytest.mark.usefixtures("history")
def test_plain_has_a_line_for_each_version_under_a_head(run: Run) -> None:
    head, *lines = run(*SETS, "-o", "plain").out.splitlines()

    assert head.split()[:2] == ["versionId", "imageSetState"]
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]


def test_plain_shows_an_id_that_looks_like_a_number_as_it_is(run: Run, emulator_url: str) -> None:
    from airflow_imgver.emulator.state import load

    odd = "1234567890123456789012345678901e"[:-2] + "e1"
    load({"healthimaging": {DATASTORE: {odd: [image_set_entry(1) | {"imageSetId": odd}]}}})

    done = run("list-image-set-versions", "--datastore-id", DATASTORE, "--image-set-id", odd, "-o", "plain")

    assert odd in done.out


@pytest.mark.usefixtures("history")
def test_text_has_a_line_for_each_version_and_one_for_what_it_nests(run: Run) -> None:
    lines = [line.split("\t") for line in run(*SETS, "-o", "text").out.splitlines()]

    assert [line[0] for line in lines] == [*["IMAGESETPROPERTIESLIST"] * 3, "OVERRIDES"]
    assert [line[-1] for line in lines] == ["3", "2", "1", "True"]


def test_a_message_can_neither_break_a_line_nor_color_a_terminal(run: Run) -> None:
    entry = image_set_entry(1, "COPY_FAILED", message="one\ntwo\t\x1b[31m\u202ered[/bold]")
    with stub_aws(lambda _: Answer({"imageSetPropertiesList": [entry]})) as stub:
        connection = connection_json(stub.url)
        shown = {
            form: run(*SETS, "-o", form, COLUMNS="200", AIRFLOW_CONN_AWS_DEFAULT=connection)
            for form in ("table", "plain", "text", "json")
        }

    for form, done in shown.items():
        assert done.status == 0, done.err
        assert "\x1b" not in done.out, form
        assert "\u202e" not in done.out, form
    assert len(shown["text"].out.splitlines()) == 1
    assert json.loads(shown["json"].out)["imageSetPropertiesList"][0]["message"] == entry["message"]


def test_an_empty_listing_is_no_data_for_a_person_and_an_empty_list_for_a_program(run: Run) -> None:
    with stub_aws(lambda _: Answer({"ImageVersions": []})) as stub:
        connection = connection_json(stub.url)

        assert run(*IMAGES, AIRFLOW_CONN_AWS_DEFAULT=connection).out == "No data found\n"
        assert run(*IMAGES, "-o", "json", AIRFLOW_CONN_AWS_DEFAULT=connection).json == {"ImageVersions": []}


@pytest.mark.usefixtures("images")
def test_the_table_prints_a_truncated_listings_token_on_stderr(run: Run) -> None:
    token = run(*IMAGES, "--max-items", "2", "-o", "json").json["NextToken"]

    assert f"--starting-token {token}" in run(*IMAGES, "--max-items", "2").err


# --- the request ---


@pytest.mark.usefixtures("images")
def test_filters_and_sort_reach_aws(run: Run) -> None:
    done = run(
        *IMAGES,
        *("--creation-time-after", "2023-03-28T20:00:00", "--creation-time-before", "1680041526"),
        *("--sort-by", "VERSION", "--sort-order", "ASCENDING", "-o", "json"),
    )

    # Created at 18:12:06 and as many hours later as the version's number; epoch 1680041526 is 22:12:06.
    assert [entry["Version"] for entry in done.json["ImageVersions"]] == [2, 3, 4]


@pytest.mark.usefixtures("history")
def test_an_option_overrides_the_json_beside_it(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"datastoreId": DATASTORE, "imageSetId": "0" * 32}))

    done = run(
        "list-image-set-versions",
        *("--cli-input-json", f"file://{request}", "--image-set-id", IMAGE_SET, "-o", "json"),
    )

    assert len(done.json["imageSetPropertiesList"]) == 3


@pytest.mark.usefixtures("images")
def test_a_skeleton_that_is_filled_in_is_a_request(run: Run) -> None:
    skeleton = json.loads(run("list-image-versions", "--generate-cli-skeleton").out)
    # botocore fills a choice, for example the order, with any of its values.
    filled = {**skeleton, "ImageName": IMAGE, "MaxResults": 2, "SortBy": "VERSION", "SortOrder": "DESCENDING"}
    for name in [name for name in filled if "Time" in name or name == "NextToken"]:
        del filled[name]

    answer = run("list-image-versions", "--cli-input-json", json.dumps(filled), "-o", "json").json

    assert [entry["Version"] for entry in answer["ImageVersions"]] == [5, 4, 3, 2, 1]
    assert list_calls() == 3


def test_a_skeleton_asks_aws_nothing(run: Run) -> None:
    done = run(*SETS, "--generate-cli-skeleton", "output", AIRFLOW_CONN_AWS_DEFAULT="no connection at all")

    assert done.json["imageSetPropertiesList"][0]["versionId"] == "versionId"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list-image-versions"], "--image-name must be given"),
        (["list-image-set-versions", "--image-set-id", IMAGE_SET], "--datastore-id must be given"),
        (["list-image-versions", "--generate-cli-skeleton", "output"], "--image-name must be given"),
        ([*IMAGES, "--image-name", "-".join("ab") + "--"], "image_name must be 1 to 63"),
        ([*IMAGES, "--query", "ImageVersions[?"], "is not a JMESPath expression"),
        ([*IMAGES, "--starting-token", "nonsense"], "does not resume this listing"),
        ([*IMAGES, "--no-paginate", "--max-items", "3"], "--max-items cannot go with --no-paginate"),
        ([*IMAGES, "--cli-input-json", "{"], "is not JSON"),
        ([*IMAGES, "--cli-input-json", "[]"], "must be a JSON object"),
        ([*IMAGES, "--cli-input-json", '{"Name": "x"}'], "has no member Name"),
        ([*IMAGES, "--cli-input-json", '{"MaxResults": "x"}'], "Invalid type for parameter MaxResults"),
        ([*IMAGES, "--cli-input-json", "file:///no/such/file"], "cannot be read"),
        ([*IMAGES, "--creation-time-after", "yesterday"], "must be a time in ISO 8601"),
        ([*IMAGES, "--endpoint-url", "localhost"], "must begin with http"),
        ([*IMAGES, "--page-size", "0"], "invalid positive int"),
        ([*IMAGES, "--cli-read-timeout", "nan"], "is not a number of seconds"),
        ([*IMAGES, "--sort-by", "NAME"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_a_mistake_is_reported_without_asking_aws(run: Run, arguments: list[str], message: str) -> None:
    before = list_calls()

    done = run(*arguments)

    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert list_calls() == before


# --- AWS, and how it is reached ---


def test_a_missing_image_set_is_one_line_on_stderr_and_status_1(run: Run) -> None:
    done = run(*SETS)

    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "ResourceNotFoundException" in done.err


def test_debug_shows_the_traceback_and_what_was_sent_but_no_credentials(run: Run, emulator_url: str) -> None:
    connection = connection_json(emulator_url, password=SECRET, aws_session_token=f"token-{SECRET}")

    done = run(*SETS, "--debug", AIRFLOW_CONN_AWS_DEFAULT=connection)

    assert done.status == 1
    assert "Traceback" in done.err
    assert "listImageSetVersions" in done.err
    assert SECRET not in done.err
    assert "Signature=" not in done.err


@pytest.mark.usefixtures("images")
def test_the_endpoint_and_the_region_of_the_command_line_win(run: Run, emulator_url: str) -> None:
    elsewhere = connection_json("http://127.0.0.1:9", region_name="eu-west-1")
    options = ("--endpoint-url", emulator_url, "--region", "us-east-1", "-o", "json")

    assert run(*IMAGES, *options, AIRFLOW_CONN_AWS_DEFAULT=elsewhere).json["ImageVersions"]


@pytest.mark.usefixtures("images")
def test_another_connection_can_be_named(run: Run, emulator_url: str) -> None:
    done = run(
        *IMAGES,
        *("--aws-conn-id", "aws_other", "-o", "json"),
        AIRFLOW_CONN_AWS_OTHER=connection_json(emulator_url),
        AIRFLOW_CONN_AWS_DEFAULT=connection_json("http://127.0.0.1:9"),
    )

    assert len(done.json["ImageVersions"]) == 5


@pytest.mark.skipif(
    airflow.__version__ == "3.1.0", reason="Airflow 3.1.0 itself breaks where a connection is not there"
)
def test_a_missing_connection_is_reported(run: Run) -> None:
    done = run(*IMAGES, "--aws-conn-id", "nowhere")

    assert (done.status, done.out) == (1, "")
    assert "nowhere" in done.err


def test_no_sign_request_sends_no_signature_and_keeps_the_rest_of_the_connection(run: Run) -> None:
    def answer(_: Asked) -> Answer:
        return Answer({"ImageVersions": []})

    with stub_aws(answer) as stub:
        connection = connection_json(stub.url, config_kwargs={"user_agent_extra": "kept/1"})
        run(*IMAGES, "--no-sign-request", AIRFLOW_CONN_AWS_DEFAULT=connection)
        run(*IMAGES, AIRFLOW_CONN_AWS_DEFAULT=connection)

    unsigned, signed = stub.asked
    assert "authorization" not in unsigned.headers
    assert "authorization" in signed.headers
    assert "kept/1" in unsigned.headers["user-agent"]


def test_the_read_timeout_of_the_command_line_is_kept_to(run: Run) -> None:
    with stub_aws(lambda _: Answer({"ImageVersions": []}, hang=True)) as stub:
        connection = connection_json(stub.url, config_kwargs={"retries": {"total_max_attempts": 1}})
        done = run(*IMAGES, "--cli-read-timeout", "0.3", AIRFLOW_CONN_AWS_DEFAULT=connection)

    assert done.status == 1
    assert "ReadTimeoutError" in done.err or "timed out" in done.err


def test_the_ca_bundle_of_the_command_line_is_opened(run: Run, emulator_url: str) -> None:
    secure = emulator_url.replace("http://", "https://")

    done = run(*IMAGES, "--ca-bundle", "/no/such/bundle", "--endpoint-url", secure)

    assert done.status == 1
    assert "No such file" in done.err


ENTRIES = {
    "usual": [image_set_entry(2, "COPY_FAILED", message=MISMATCH), image_set_entry(1, "COPIED")],
    "wide": [
        image_set_entry(2, "COPY_FAILED", message=MISMATCH, isPrimary=True),
        image_set_entry(1, "COPYING_WITH_READ_ONLY_ACCESS", "LOCKED", overrides={"forced": True}),
    ],
}


@pytest.mark.parametrize("columns", [60, 80, 120, 160, 250])
@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_a_terminal_of_any_width_is_shown_every_word_in_one_piece(
    entries: list[Any], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = on_a_terminal(entries, columns, monkeypatch)

    words = {
        *MISMATCH.split(),
        *("2023-03-28", "18:13:06Z"),
        *(entry["ImageSetWorkflowStatus"] for entry in entries),
        *("forced" for entry in entries if "overrides" in entry),
    }
    assert max(map(len, shown.splitlines())) <= columns
    assert not {word for word in words if word not in shown}


def test_a_terminal_of_80_columns_is_shown_a_table_and_a_narrow_one_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = on_a_terminal(ENTRIES["usual"], 80, monkeypatch)
    narrow = on_a_terminal(ENTRIES["usual"], 60, monkeypatch)

    assert any(line.startswith("2       | ACTIVE | COPY_FAILED | ") for line in wide.splitlines())
    assert "|" not in narrow
    assert "ImageSetWorkflowStatus  COPY_FAILED" in narrow
    assert narrow.index("COPY_FAILED") < narrow.index("\n\nversionId") < narrow.index("COPIED")


def on_a_terminal(entries: list[Any], columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal shows of a listing, without its colors."""
    from airflow_imgver.cli.output import write
    from airflow_imgver.services.healthimaging import HEALTHIMAGING

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    response = as_plain({"imageSetPropertiesList": entries})
    write(response, "table", terminal, service=HEALTHIMAGING, color="off")
    return "\n".join(
        line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    )


class Terminal(StringIO):
    """A terminal, as wide as COLUMNS says."""

    def isatty(self) -> bool:
        return True
