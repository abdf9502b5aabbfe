"""`report`: the operator's report at a prompt, its exit status, and what is printed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import CHECKOUT, PROGRAM, Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    connection_json,
    context_of,
    image_set_entry,
    image_version_entry,
    load_image,
    load_image_set,
)

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator

SETS = ("report", "--datastore-id", DATASTORE, "--image-set-ids", IMAGE_SET)


@pytest.fixture
def failed(emulator_url: str) -> None:
    """An image set whose copy failed."""
    load_image_set(image_set_entry(2, "COPY_FAILED", message=MISMATCH), image_set_entry(1, "COPIED"))


@pytest.mark.usefixtures("failed")
def test_a_report_prints_its_headline_and_its_files(run: Run, tmp_path: Path) -> None:
    page, rows = tmp_path / "a.html", tmp_path / "a.csv"

    done = run(*SETS, "--outputs", str(page), str(rows))

    assert (done.status, done.err) == (0, "")
    headline, about, *files = done.out.splitlines()
    assert headline == "1 failed"
    assert about == (
        f"2 versions of 1 image set: 1 image set by id in data store {DATASTORE}, us-east-1, "
        "changes of all the past"
    )
    assert files == [str(page), str(rows)]
    assert "COPY_FAILED" in page.read_text()
    assert "COPY_FAILED" in rows.read_text()


@pytest.mark.usefixtures("failed", "aws_connection")
def test_the_summary_is_the_operators(run: Run, tmp_path: Path) -> None:
    output = str(tmp_path / "a.jsonl")
    operator = HealthImagingVersionReportOperator(
        task_id="report", datastore_id=DATASTORE, image_set_ids=[IMAGE_SET], outputs=[output]
    )
    expected = operator.execute(context_of())
    rows = Path(output).read_bytes()

    printed = run(*SETS, "--outputs", output, "-o", "json").json

    assert printed.pop("made_at") >= expected.pop("made_at")
    assert printed == expected
    ages = [[json.loads(line) for line in text.splitlines()] for text in (rows, Path(output).read_bytes())]
    assert [{**row, "age_seconds": 0} for row in ages[0]] == [{**row, "age_seconds": 0} for row in ages[1]]


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize(
    ("kinds", "status"), [("failed", 1), ("failed,stuck", 1), ("stuck", 0), ("stuck,unreadable", 0)]
)
def test_fail_on_decides_the_status_after_the_report_is_written(
    run: Run, tmp_path: Path, kinds: str, status: int
) -> None:
    done = run(*SETS, "--outputs", str(tmp_path / "a.csv"), "--fail-on", kinds)

    assert done.status == status
    assert done.out.startswith("1 failed\n")
    assert done.err == ("--fail-on: 1 failed.\n" if status else "")
    assert (tmp_path / "a.csv").exists()


def test_a_failure_that_a_good_version_followed_fails_nothing(
    run: Run, emulator_url: str, tmp_path: Path
) -> None:
    load_image_set(
        image_set_entry(3, "COPIED"), image_set_entry(2, "COPY_FAILED"), image_set_entry(1, "COPIED")
    )

    done = run(*SETS, "--outputs", str(tmp_path / "a.csv"), "--fail-on", "failed,stuck,unreadable")

    assert (done.status, done.out.splitlines()[0]) == (0, "Nothing needs attention")


def test_images_are_reported_by_name_or_by_a_part_of_it(run: Run, emulator_url: str, tmp_path: Path) -> None:
    load_image(image_version_entry(2, "CREATE_FAILED"), image_version_entry(1))
    output = str(tmp_path / "a.jsonl")

    for choice in (("--image-names", IMAGE), ("--name-contains", IMAGE[:4]), ("--service", "sagemaker")):
        done = run("report", *choice, "--outputs", output, "-o", "json")
        assert done.json["needs_attention"] == {"failed": 1, "stuck": 0, "unreadable": 0}, choice


def test_an_interval_and_stuck_after_are_the_operators(run: Run, emulator_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    load_image_set(image_set_entry(1, "UPDATING_SOMEHOW", "LOCKED", updatedAt=now - timedelta(minutes=30)))
    output = str(tmp_path / "a.csv")

    summary = run(*SETS, "--outputs", output, "--stuck-after", "PT20M", "-o", "json").json
    interval = ("--updated-after", "2026-01-01", "--updated-before", "2026-01-02T00:00:00Z")
    day = run(*SETS, "--outputs", output, *interval, "-o", "json").json

    assert summary["needs_attention"]["stuck"] == 1
    assert (day["updated_after"], day["updated_before"]) == (
        "2026-01-01T00:00:00+00:00",
        "2026-01-02T00:00:00+00:00",
    )


@pytest.mark.usefixtures("failed")
def test_a_second_report_compares_with_the_first(run: Run, tmp_path: Path) -> None:
    page = str(tmp_path / "a.html")
    assert run(*SETS, "--outputs", page, "-o", "json").json["since"] is None

    since = run(*SETS, "--outputs", page, "-o", "json").json["since"]

    assert since["failed"] == {"new": 0, "still": 1, "gone": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--outputs", "a.csv"), "Choose what to report on: one of --datastore-id"),
        (("--datastore-id", DATASTORE, "--image-names", "a", "--outputs", "a.csv"), "different services"),
        (("--service", "sagemaker", "--datastore-id", DATASTORE, "--outputs", "a.csv"), "cannot go with"),
        (("--image-set-ids", IMAGE_SET, "--outputs", "a.csv"), "--datastore-id must be given"),
        (("--datastore-id", "clinic", "--outputs", "a.csv"), "datastore_id must be 32 digits"),
        (("--datastore-id", DATASTORE, "--outputs", "a.txt"), "must end in .html, .csv"),
        (("--datastore-id", DATASTORE, "--outputs", "a.csv", "--stuck-after", "soon"), "stuck_after must be"),
        (("--image-names", "a", "--name-contains", "a", "--outputs", "a.csv"), "not both"),
        (
            ("--datastore-id", DATASTORE, "--outputs", "a.csv", "--fail-on", "superseded"),
            "is not among failed",
        ),
        (("--datastore-id", DATASTORE), "--outputs"),
    ],
)
def test_what_cannot_be_is_status_2_before_any_request(
    run: Run, emulator_url: str, arguments: tuple[str, ...], words: str
) -> None:
    done = run("report", *arguments)

    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert calls() == {}


def test_a_search_that_is_refused_is_status_1_with_awss_words(
    run: Run, emulator_url: str, tmp_path: Path
) -> None:
    inject_fault("medical-imaging", "SearchImageSets", error={"code": "AccessDeniedException"}, times=None)

    done = run("report", "--datastore-id", DATASTORE, "--outputs", str(tmp_path / "a.csv"))

    assert done.status == 1
    assert "AccessDeniedException from SearchImageSets" in done.err
    assert not (tmp_path / "a.csv").exists()


def test_nothing_that_could_be_read_is_status_1(run: Run, emulator_url: str, tmp_path: Path) -> None:
    done = run(*SETS[:-1], "9" * 32, "--outputs", str(tmp_path / "a.csv"))

    assert done.status == 1
    assert "1 of 1 image sets could not be read" in done.err


@pytest.mark.usefixtures("failed")
def test_a_terminal_shows_a_bar_and_stdout_has_only_the_result(emulator_url: str, tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    environment: dict[str, Any] = {
        "AIRFLOW_CONN_AWS_DEFAULT": connection_json(emulator_url),
        "COLUMNS": "80",
        "TERM": "xterm",
        "PYTHONPATH": str(CHECKOUT),
    }
    with subprocess.Popen(
        [*PROGRAM, *SETS, "--outputs", str(tmp_path / "a.csv")],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | environment,
        text=True,
    ) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=100)
    shown = b""
    while True:
        try:
            some = os.read(terminal, 4096)
        except OSError:  # Linux's end of a terminal that nobody writes to
            break
        if not some:
            break
        shown += some
    os.close(terminal)

    assert process.returncode == 0
    assert "Listing image sets" in shown.decode()
    assert out.splitlines()[0] == "1 failed"
