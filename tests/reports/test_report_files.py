"""The files of a report: what they contain, and that they appear whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import string
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from histories import of_builds
from hypothesis import given, settings
from hypothesis import strategies as st
from support import client_of

from airflow_imgver.emulator import serve
from airflow_imgver.exceptions import InvalidOutputError, ReportNotPublishedError
from airflow_imgver.reports.contents import FINDINGS_SHOWN, ROWS_SHOWN, Contents
from airflow_imgver.reports.files import Files
from airflow_imgver.reports.outputs import outputs_of
from airflow_imgver.reports.rows import Attention, Row, Scope, rows_of
from airflow_imgver.reports.tables import REPLACEMENT, ROWS_A_GROUP, cell
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.text import storable
from airflow_imgver.versions import read_entry

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
SCOPE = Scope("data store d", "us-east-1", NOW - timedelta(days=1), NOW, timedelta(hours=1), made_at=NOW)
IDENTITY = {"datastore_id": "d" * 32, "image_set_id": "a" * 32}
STATUSES = [
    "CREATED",
    "COPIED",
    "COPYING",
    "COPYING_WITH_READ_ONLY_ACCESS",
    "COPY_FAILED",
    "UPDATING",
    "UPDATING_FOR_STUDY_CONSISTENCY",
    "UPDATED",
    "UPDATE_FAILED",
    "DELETING",
    "DELETED",
    "IMPORTING",
    "IMPORTED",
    "IMPORT_FAILED",
]


def entry(number: int, status: str = "UPDATED", **more: Any) -> dict[str, Any]:
    """A version as HealthImaging lists it."""
    state = "DELETED" if status == "DELETED" else "LOCKED" if "ING" in status else "ACTIVE"
    return {
        "imageSetId": "a" * 32,
        "versionId": str(number),
        "imageSetState": state,
        "ImageSetWorkflowStatus": status,
        "createdAt": NOW - timedelta(days=3),
        "updatedAt": NOW - timedelta(hours=2),
    } | more


def of(*entries: dict[str, Any]) -> list[Row]:
    return rows_of(
        HEALTHIMAGING, SCOPE, IDENTITY, [read_entry(each, HEALTHIMAGING.fields) for each in entries]
    )


def written(folder: Path, *some: list[Row]) -> tuple[list[dict[str, str]], list[Row], list[Row]]:
    """The rows, as CSV, JSON Lines and Parquet give them back."""
    outputs = outputs_of([str(folder / f"report{suffix}") for suffix in (".csv", ".jsonl", ".parquet")])
    contents = Contents(HEALTHIMAGING, SCOPE)
    with Files(outputs, HEALTHIMAGING) as files:
        for each in some:
            files.add(each)
            contents.add(each)
        paths = [Path(path) for path in files.publish(contents)]
    with paths[0].open(newline="", encoding="utf-8") as file:
        from_csv = list(csv.DictReader(file))
    from_lines = [json.loads(line) for line in paths[1].read_text("utf-8").split("\n")[:-1]]
    return from_csv, from_lines, pyarrow.parquet.read_table(paths[2]).to_pylist()


# --- rows and what they add up to -------------------------------------------------------------------------


def test_a_row_has_awss_members_and_what_the_rule_says_of_them() -> None:
    message = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."
    failed = entry(
        10, "COPY_FAILED", message=message, overrides={"forced": True}, isPrimary=True, more="than known"
    )

    (row,) = of(failed)

    assert row.values == {
        "datastoreId": "d" * 32,
        "imageSetId": "a" * 32,
        "versionId": 10,
        "imageSetState": "ACTIVE",
        "ImageSetWorkflowStatus": "COPY_FAILED",
        "isPrimary": True,
        "overrides.forced": True,
        "createdAt": NOW - timedelta(days=3),
        "updatedAt": NOW - timedelta(hours=2),
        "deletedAt": None,
        "message": message,
        "phase": "failed",
        "is_latest": True,
        "age_seconds": 7200,
        "attention": "failed",
        "good_successor": None,
    }


@pytest.mark.parametrize(
    ("versions", "good"),
    [
        ([("COPY_FAILED", 2), ("COPIED", 1)], None),
        ([("COPIED", 3), ("COPY_FAILED", 2)], 3),
        ([("UPDATED", 9), ("COPIED", 3), ("COPY_FAILED", 2)], 9),
        ([("UPDATING", 3), ("COPY_FAILED", 2), ("COPIED", 1)], None),
        ([("UPDATE_FAILED", 4), ("COPIED", 3), ("COPY_FAILED", 2)], 3),
    ],
)
def test_a_failure_names_the_latest_good_version_after_it(
    versions: list[tuple[str, int]], good: int | None
) -> None:
    rows = of(*(entry(number, status) for status, number in versions))
    (failed,) = [row for row in rows if row.status.number == 2]
    assert failed.good_successor == failed.values["good_successor"] == good
    assert all(row.good_successor is None for row in rows if row.status.phase != "failed")


def test_a_deletion_that_failed_is_not_solved_by_a_later_version() -> None:
    contents, rows = of_builds()
    (row,) = [row for row in rows if row.status.status == "DELETE_FAILED"]
    assert row.status.number < 4
    assert (row.good_successor, row.is_open) == (None, True)
    assert contents.needs_attention["failed"] == 2


def test_the_latest_is_the_greatest_number_whatever_the_order() -> None:
    assert [row.values["is_latest"] for row in of(entry(9), entry(10), entry(2))] == [False, True, False]


@pytest.mark.parametrize(
    ("entries", "attention"),
    [
        ([entry(2), entry(1)], [None, "superseded"]),
        ([entry(2, "DELETED"), entry(1)], [None, None]),
        ([entry(2, "UPDATING"), entry(1)], ["stuck", "superseded"]),
        ([entry(2, "UPDATING", updatedAt=NOW - timedelta(minutes=59)), entry(1)], [None, "superseded"]),
        ([entry(2), entry(1, "COPY_FAILED")], [None, "failed"]),
        ([entry(2), entry(1, "COPY_FAILED", updatedAt=NOW - timedelta(days=2))], [None, "superseded"]),
        ([entry(1, "COPY_FAILED", updatedAt=NOW - timedelta(days=2))], ["failed"]),
        ([entry(1, "SUNBATHING", imageSetState="LOCKED")], ["stuck"]),
    ],
)
def test_what_needs_a_person(entries: list[dict[str, Any]], attention: list[str | None]) -> None:
    assert [row.attention for row in of(*entries)] == attention


def test_older_versions_of_a_sagemaker_image_need_no_attention() -> None:
    versions = [
        {"Version": number, "ImageVersionStatus": "CREATED", "CreationTime": NOW, "LastModifiedTime": NOW}
        for number in (2, 1)
    ]

    statuses = [read_entry(each, SAGEMAKER_IMAGE.fields) for each in versions]
    found = rows_of(SAGEMAKER_IMAGE, SCOPE, {"image_name": "studio"}, statuses)

    assert [(row.name, row.status.number, row.attention) for row in found] == [
        ("studio", 2, None),
        ("studio", 1, None),
    ]


def test_a_value_that_a_column_cannot_hold_is_left_out() -> None:
    (row,) = of(entry(1, message={"not": "text"}, isPrimary="yes", createdAt="yesterday"))

    assert (row.values["message"], row.values["isPrimary"], row.values["createdAt"]) == (None, None, None)


def test_a_clock_behind_awss_makes_no_negative_age() -> None:
    assert of(entry(1, updatedAt=NOW + timedelta(seconds=5)))[0].age_seconds == 0


histories = st.lists(
    st.tuples(
        st.sampled_from([*STATUSES, "SUNBATHING"]),
        st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),
        st.none() | st.text(st.characters(codec=None), max_size=60),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(histories)
def test_whatever_the_history_each_version_is_a_row_in_every_file(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, datetime, str | None]]
) -> None:
    entries = [
        entry(number, status, updatedAt=at) | ({} if message is None else {"message": message})
        for number, (status, at, message) in reversed(list(enumerate(history, start=1)))
    ]
    made = of(*entries)
    contents = Contents(HEALTHIMAGING, SCOPE)
    contents.add(made)

    from_csv, from_lines, from_parquet = written(tmp_path_factory.mktemp("report"), made)

    assert len(from_csv) == len(from_lines) == len(from_parquet) == len(entries) == contents.rows
    for given_entry, line, row in zip(entries, from_lines, from_parquet, strict=True):
        for name, value in given_entry.items():
            if name in ("versionId", "createdAt", "updatedAt"):
                continue
            assert line[name] == row[name] == (storable(value) if isinstance(value, str) else value)
        assert line["versionId"] == row["versionId"] == int(given_entry["versionId"])
        assert datetime.fromisoformat(line["updatedAt"]) == row["updatedAt"] == given_entry["updatedAt"]
    for attention in Attention:
        assert contents.findings[attention].count == sum(
            line["attention"] == attention for line in from_lines
        )
    assert sum(contents.by_status.values()) == len(entries)


def test_no_more_is_kept_for_more_rows() -> None:
    contents = Contents(HEALTHIMAGING, SCOPE)
    for _ in range(3 * ROWS_SHOWN):
        contents.add(of(entry(2, "COPY_FAILED"), entry(1)))
        contents.add_unreadable("a" * 32, "gone")

    assert contents.read == 3 * ROWS_SHOWN
    assert contents.rows == 6 * ROWS_SHOWN
    assert len(contents.shown) == ROWS_SHOWN
    assert len(contents.findings[Attention.FAILED].first) == FINDINGS_SHOWN
    assert contents.findings[Attention.FAILED].count == 3 * ROWS_SHOWN
    assert len(contents.unreadable) == FINDINGS_SHOWN
    assert contents.unreadable_count == 3 * ROWS_SHOWN


# --- the tables -----------------------------------------------------------------------------------------


def test_parquet_has_real_types_and_more_than_one_group(tmp_path: Path) -> None:
    made = of(entry(1, "COPIED"))
    outputs = outputs_of([str(tmp_path / "report.parquet")])
    with Files(outputs, HEALTHIMAGING) as files:
        for _ in range(ROWS_A_GROUP + 1):
            files.add(made)
        (path,) = files.publish(Contents(HEALTHIMAGING, SCOPE))

    found = pyarrow.parquet.ParquetFile(path)

    assert found.metadata.num_rows == ROWS_A_GROUP + 1
    assert found.metadata.num_row_groups == 2
    types = dict(zip(found.schema_arrow.names, found.schema_arrow.types, strict=True))
    assert types["versionId"] == types["age_seconds"] == pyarrow.int64()
    assert types["updatedAt"] == pyarrow.timestamp("us", tz="UTC")
    assert types["isPrimary"] == types["is_latest"] == pyarrow.bool_()
    found.close()


HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\t=1+1",
    "\n=1+1",
    "\uff1d1+1",
    "<script>alert(1)</script>",
    'a "quoted", comma\r\nand a line',
    "nul \x00 bell \x07 escape \x1b[31m",
    "\u202egnp.exe",
    "line\u2028separator\x85next",
    "half \ud83d a pair",
]


FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def test_three_thousand_rows_of_hostile_messages_come_back_as_they_were(tmp_path: Path) -> None:
    dice = random.Random(7)
    messages = [*HOSTILE] + [
        "".join(dice.choices("=+-@\t\r\n\x00\x1b\",;<>&'\u202e\u2066\ud83d\u0301" + string.printable, k=40))
        for _ in range(3000 - len(HOSTILE))
    ]
    made = of(*[entry(number, "COPY_FAILED", message=text) for number, text in enumerate(messages, 1)])

    from_csv, from_lines, from_parquet = written(tmp_path, made)

    stored = list(map(storable, messages))
    assert [line["message"] for line in from_lines] == [row["message"] for row in from_parquet] == stored
    assert len(from_csv) == 3000
    for row, text in zip(from_csv, stored, strict=True):
        shown = row["message"]
        # Whatever a reader takes for a separator, no cell is a formula.
        assert not any(part.lstrip()[:1] in FORMULA for part in re.split(r"[;,|\t\r\n]", shown))
        assert shown == cell(text)
        visible = "".join(each if each in "\t\r\n" or " " <= each != "\x7f" else REPLACEMENT for each in text)
        assert shown.replace("'", "") == visible.replace("'", "")


def test_a_csv_cell_says_true_and_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    (row,), *_ = written(tmp_path, of(entry(1, isPrimary=True)))

    assert (row["isPrimary"], row["message"], row["versionId"]) == ("true", "", "1")
    assert row["updatedAt"] == "2026-11-21T04:00:00+00:00"


# --- whole or not at all --------------------------------------------------------------------------------


def test_nothing_shows_before_all_is_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    outputs = outputs_of([str(tmp_path / "deep" / "report.csv"), str(tmp_path / "deep" / "report.jsonl")])
    with Files(outputs, HEALTHIMAGING) as files:
        files.add(of(entry(1)))
        assert list(tmp_path.iterdir()) == []
        files.publish(Contents(HEALTHIMAGING, SCOPE))

    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["report.csv", "report.jsonl"]


def test_a_report_that_fails_half_way_leaves_the_one_of_before(tmp_path: Path) -> None:
    place = tmp_path / "report.csv"
    place.write_text("of yesterday")

    def report() -> None:
        with Files(outputs_of([str(place)]), HEALTHIMAGING) as files:
            files.add(of(entry(1)))
            raise RuntimeError("AWS is gone")

    with pytest.raises(RuntimeError, match="AWS is gone"):
        report()

    assert place.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [place]


def test_a_place_that_cannot_be_written_to_leaves_all_as_they_were(tmp_path: Path) -> None:
    first = tmp_path / "report.csv"
    first.write_text("of yesterday")
    outputs = outputs_of([str(first), str(tmp_path / "file" / "report.jsonl")])
    # After the check of the outputs.
    (tmp_path / "file").write_text("no folder")

    with Files(outputs, HEALTHIMAGING) as files, pytest.raises((FileExistsError, NotADirectoryError)):
        files.publish(Contents(HEALTHIMAGING, SCOPE))

    assert first.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "report.csv"]


def test_what_could_not_be_moved_into_its_place_is_named(tmp_path: Path) -> None:
    outputs = outputs_of([str(tmp_path / "report.csv"), str(tmp_path / "taken.jsonl")])
    (tmp_path / "taken.jsonl").mkdir()

    with (
        Files(outputs, HEALTHIMAGING) as files,
        pytest.raises(ReportNotPublishedError, match=r"are new: .*report\.csv\."),
    ):
        files.publish(Contents(HEALTHIMAGING, SCOPE))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "taken.jsonl"]


KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from airflow_imgver.reports import files, outputs
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Scope
from airflow_imgver.services.healthimaging import HEALTHIMAGING

now = datetime(2026, 11, 21, tzinfo=UTC)
scope = Scope("d", "us-east-1", None, None, timedelta(hours=1), now)
files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with files.Files(outputs.outputs_of([sys.argv[1]]), HEALTHIMAGING) as report:
    report.publish(Contents(HEALTHIMAGING, scope))
"""


def test_a_run_that_is_killed_leaves_no_half_report_and_the_next_one_clears_up(tmp_path: Path) -> None:
    place = tmp_path / "report.csv"
    other = tmp_path / ".another.csv.0.part"
    other.touch()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(place)], env=os.environ, timeout=100, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not place.exists()
    assert len(list(tmp_path.glob(".report.csv.*.part"))) == 1

    with Files(outputs_of([str(place)]), HEALTHIMAGING) as files:
        files.publish(Contents(HEALTHIMAGING, SCOPE))

    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "report.csv"]


def test_a_report_goes_to_s3_with_the_connection_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as url:
        extra = {"region_name": "us-east-1", "endpoint_url": url}
        connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_REPORTS", json.dumps(connection))
        places = ["s3://reports/daily/report.jsonl", "s3://reports@reports/r.csv"]
        with closing(client_of("s3", url)) as client:
            client.create_bucket(Bucket="reports")
            outputs = outputs_of(places, {"aws_conn_id": "reports"})
            with Files(outputs, HEALTHIMAGING) as files:
                files.add(of(entry(1)))
                assert "Contents" not in client.list_objects_v2(Bucket="reports")
                paths = files.publish(Contents(HEALTHIMAGING, SCOPE))
            stored = client.get_object(Bucket="reports", Key="daily/report.jsonl")["Body"].read()
            keys = [each["Key"] for each in client.list_objects_v2(Bucket="reports")["Contents"]]

    assert json.loads(stored)["versionId"] == 1
    assert keys == ["daily/report.jsonl", "r.csv"]
    assert paths == ["s3://reports@reports/daily/report.jsonl", "s3://reports@reports/r.csv"]


def test_a_report_goes_to_any_storage_that_airflow_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec
    from airflow.sdk.io import attach

    storage = fsspec.filesystem("memory")
    attach("memory", fs=storage)
    with Files(outputs_of(["memory://reports/daily/report.jsonl"]), HEALTHIMAGING) as files:
        files.add(of(entry(1)))
        files.publish(Contents(HEALTHIMAGING, SCOPE))

    assert [path for path in storage.find("/") if "report" in path] == ["/reports/daily/report.jsonl"]


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ([], "must be a list of paths"),
        ("report.csv", "must be a list of paths"),
        ([7], "must contain paths"),
        (["report.xlsx"], "must end in .html, .csv, .jsonl, .parquet"),
        (["folder.csv/"], "must end in"),
        (["a.csv", "./a.csv"], "twice"),
        (["nowhere://a/report.csv"], "Airflow cannot write to"),
        (["s3://bucket.csv"], "needs a bucket and a key"),
    ],
)
def test_a_place_that_cannot_be_is_refused(outputs: Any, why: str) -> None:
    with pytest.raises(InvalidOutputError, match=why):
        outputs_of(outputs)


def test_a_library_that_is_missing_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_imgver.reports.outputs.find_spec", lambda name: None)

    with pytest.raises(InvalidOutputError, match=r"pyarrow: pip install 'airflow-provider-imgver\[report\]'"):
        outputs_of(["report.parquet"])
