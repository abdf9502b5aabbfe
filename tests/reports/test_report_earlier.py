"""The reports before this one: compared with, kept in a bounded file, and never needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from histories import MADE_AT, MIDNIGHT, gathered, hours, image_set, version
from support import (
    DATASTORE,
    MISMATCH,
    client_of,
    context_of,
    image_set_entry,
    logged,
)

from airflow_imgver.emulator import calls
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import InvalidOutputError
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.earlier import FORMAT, REPORTS_KEPT, WITH_FINDINGS, Earlier
from airflow_imgver.reports.findings import KEYS_KEPT, KeysOfKind
from airflow_imgver.reports.page import render

SUBJECT = "a data store"
DAY = datetime(2026, 11, 20, tzinfo=UTC)
NOON = timedelta(hours=12)


# --- the comparison -------------------------------------------------------------------------------------


def report_of(day: int, *failed: int, stuck: tuple[int, ...] = (), **more: Any) -> Contents:
    """A report on a day before, with image sets that failed or are stuck, by number."""
    ago = timedelta(days=day)
    interval: dict[str, Any] = {
        "after": MIDNIGHT - ago - timedelta(days=1),
        "before": MIDNIGHT - ago,
        "made_at": MADE_AT - ago,
    }
    most = max((*failed, *stuck), default=-1)
    histories = []
    for at in range(most + 1):
        if at in failed:
            histories.append([version(1, "COPY_FAILED", ago + hours(8), message=MISMATCH)])
        elif at in stuck:
            histories.append([version(1, "COPYING", ago + hours(8), "LOCKED")])
        else:
            histories.append([version(1, "CREATED", ago + hours(8))])
    return gathered(histories, **(interval | more))[0]


def after(*reports: Contents, run: str | None = None) -> Earlier:
    """The file after some reports, as it is read."""
    earlier = Earlier(SUBJECT)
    for contents in reports:
        earlier = Earlier.read(earlier.including(contents, run), SUBJECT)
    return earlier


def names(keys: Any) -> set[str]:
    return {name for name, _ in keys}


def test_findings_are_new_still_there_or_gone() -> None:
    since = after(report_of(1, 1, 2, stuck=(3,))).since(report_of(0, 2, 3), None)
    assert since is not None
    failed, stuck = since.changes["failed"], since.changes["stuck"]
    assert names(failed.new) == {image_set(3)}
    assert names(failed.still) == {image_set(2)}
    assert names(failed.gone) == {image_set(1)}
    assert (names(stuck.new), names(stuck.gone)) == (set(), {image_set(3)})


def test_the_first_report_has_nothing_to_compare_with() -> None:
    assert Earlier(SUBJECT).since(report_of(0, 1), None) is None


def test_the_same_interval_again_is_compared_with_the_one_before_it() -> None:
    file = after(report_of(1, 1), report_of(0, 1, 2))
    again = file.since(report_of(0, 1, 2, made_at=MADE_AT + timedelta(hours=1)), None)
    assert again is not None
    assert again.last.before == MIDNIGHT - timedelta(days=1)
    assert names(again.changes["failed"].new) == {image_set(2)}
    assert len(again.trend) == 2
    assert len(json.loads(file.including(report_of(0, 1), None))["reports"]) == 2


def test_a_retry_of_a_run_without_an_interval_is_not_compared_with_itself() -> None:
    everything: dict[str, Any] = {"after": None, "before": None}
    file = after(report_of(0, 1, **everything), run="manual__1")
    assert file.since(report_of(0, 1, **everything), "manual__1") is None
    later = file.since(report_of(0, 1, **everything, made_at=MADE_AT + timedelta(days=1)), "manual__2")
    assert later is not None
    assert names(later.changes["failed"].still) == {image_set(1)}


def test_a_report_on_a_day_long_ago_is_not_compared_with_a_later_one() -> None:
    file = after(report_of(0, 1))
    assert file.since(report_of(5, 1), None) is None
    kept = json.loads(file.including(report_of(5, 1), None))["reports"]
    assert [each["updated_before"] for each in kept] == sorted(each["updated_before"] for each in kept)


def test_the_file_keeps_a_bounded_number_of_reports_and_the_findings_of_the_last_ones() -> None:
    file = after(*(report_of(day, 1, 2) for day in range(REPORTS_KEPT + 5, 0, -1)))
    assert len(file.reports) == REPORTS_KEPT
    assert [bool(each.findings) for each in file.reports].count(True) == WITH_FINDINGS
    since = file.since(report_of(0, 1), None)
    assert since is not None
    assert len(since.trend) == REPORTS_KEPT
    assert since.trend[-1].counts["failed"] == 1
    assert {each.counts["failed"] for each in since.trend[:-1]} == {2}


def test_too_many_findings_are_not_compared_and_not_kept() -> None:
    keys = KeysOfKind()
    for at in range(KEYS_KEPT + 10):
        keys.add((f"{at:032d}", 1))
    assert keys.too_many
    assert keys.keys == set()
    contents = report_of(0, 1)
    contents.keys["failed"] = keys
    file = after(contents)
    assert "failed" not in file.reports[-1].findings
    since = file.since(report_of(-1, 1), None)
    assert since is not None
    assert set(since.changes) == {"stuck", "unreadable"}


def test_the_page_says_what_changed_and_marks_what_is_new() -> None:
    contents = report_of(0, 2, 3)
    html = render(contents, [], since=after(report_of(1, 1, 2)).since(contents, None))
    assert "1 new, 1 still there, 1 gone" in html
    assert html.count('<span class="new">new</span>') == 1
    assert "Gone: 1 finding" in html
    assert "Compared with the report on 2026-03-12 00:00:00 UTC to 2026-03-13 00:00:00 UTC" in html
    assert "Since the last report" not in render(contents, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not the summary of a report"),
        ('{"format": "x"}', "not the summary of a report"),
        (json.dumps({"format": FORMAT + 1, "subject": SUBJECT, "reports": []}), "format is 2"),
        (json.dumps({"format": FORMAT, "subject": "another", "reports": []}), "about 'another'"),
        (json.dumps({"format": FORMAT, "subject": SUBJECT}), "incomplete"),
        (json.dumps({"format": FORMAT, "subject": SUBJECT, "reports": [{}]}), "incomplete"),
        (json.dumps({"format": FORMAT, "subject": SUBJECT, "reports": 3}), "incomplete"),
        (json.dumps({"format": FORMAT, "subject": SUBJECT, "reports": ["x"]}), "incomplete"),
    ],
)
def test_a_file_that_is_broken_foreign_or_newer_says_so(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Earlier.read(text, SUBJECT)


# --- the file, of a whole report ------------------------------------------------------------------------


def set_id(letter: str) -> str:
    return letter * 32


def store(**sets: list[tuple[str, datetime]]) -> None:
    """Image sets of the embedded AWS: by letter, the status of each version and the time of its change."""
    load(
        {
            "healthimaging": {
                DATASTORE: {
                    set_id(letter): [
                        image_set_entry(
                            number, status, imageSetId=set_id(letter), updatedAt=changed, message=MISMATCH
                        )
                        for number, (status, changed) in enumerate(history, 1)
                    ][::-1]
                    for letter, history in sets.items()
                }
            }
        }
    )


@pytest.fixture(autouse=True)
def aws(aws_connection: str) -> Iterator[None]:
    store(a=[("COPY_FAILED", DAY + NOON)], b=[("CREATED", DAY + NOON)])
    return


def ran(*outputs: str, day: datetime | None = DAY, run: str = "run", **more: Any) -> dict[str, Any]:
    interval = {} if day is None else {"updated_after": day, "updated_before": day + timedelta(days=1)}
    operator = HealthImagingVersionReportOperator(
        task_id="report", datastore_id=DATASTORE, outputs=list(outputs), **interval, **more
    )
    summary: dict[str, Any] = operator.execute(context_of(run_id=run))
    return summary


def test_a_report_compares_with_the_summary_beside_its_page(tmp_path: Path) -> None:
    page = str(tmp_path / "page.html")
    assert ran(page, day=None, run="one")["since"] is None
    store(a=[("COPY_FAILED", DAY + NOON), ("COPIED", DAY + NOON)], c=[("UPDATE_FAILED", DAY + NOON)])
    since = ran(page, day=None, run="two")["since"]
    assert since["failed"] == {"new": 1, "still": 0, "gone": 1}
    assert since["stuck"] == {"new": 0, "still": 0, "gone": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "page.summary.json"]
    assert "1 new, 0 still there, 1 gone" in Path(page).read_text()


def test_the_summary_has_ids_and_counts_and_no_text_of_awss(tmp_path: Path) -> None:
    ran(str(tmp_path / "page.html"))
    text = (tmp_path / "page.summary.json").read_text()
    assert set_id("a") in text
    assert "INVALID_REQUEST" not in text
    (report,) = json.loads(text)["reports"]
    assert set(report) == {"updated_after", "updated_before", "run", "made_at", "needs_attention", "findings"}


def test_what_failed_the_day_before_and_still_does_is_in_the_next_report_of_a_day(tmp_path: Path) -> None:
    file = str(tmp_path / "all.summary.json")
    ran(str(tmp_path / "20.html"), summary_file=file)
    second = ran(str(tmp_path / "21.html"), day=DAY + timedelta(days=1), summary_file=file)
    assert second["since"]["failed"] == {"new": 0, "still": 1, "gone": 0}
    assert second["headline"] == "1 failed"
    assert [failure["id"] for failure in second["failures"]] == [set_id("a")]


def test_what_was_solved_or_deleted_since_is_gone_and_not_in_the_next_report(tmp_path: Path) -> None:
    store(a=[("COPY_FAILED", DAY + NOON)], d=[("COPY_FAILED", DAY + NOON)])
    file = str(tmp_path / "all.summary.json")
    ran(str(tmp_path / "20.html"), summary_file=file)
    Path(file).write_text(Path(file).read_text().replace(set_id("d"), "9" * 32))  # which AWS does not know
    store(
        a=[("COPY_FAILED", DAY + NOON), ("COPIED", DAY + timedelta(days=9))],
        d=[("COPIED", DAY + NOON)],
    )
    second = ran(str(tmp_path / "21.html"), day=DAY + timedelta(days=1), summary_file=file)
    assert second["since"]["failed"] == {"new": 0, "still": 0, "gone": 2}
    assert second["needs_attention"] == {"failed": 0, "stuck": 0, "unreadable": 0}
    assert second["read"] == 0


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"{}", b'{"format": 99}'])
def test_a_summary_that_cannot_be_used_costs_the_comparison_only(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "page.summary.json"
    file.write_bytes(content)
    with logged() as printed:
        assert ran(str(tmp_path / "page.html"))["since"] is None
    assert len(printed.about("No comparison with an earlier report")) == 1
    assert json.loads(file.read_text())["format"] == FORMAT, "the next report has something to compare with"


def test_a_summary_that_cannot_be_written_leaves_the_report_complete(tmp_path: Path) -> None:
    (tmp_path / "page.summary.json").mkdir()
    with logged() as printed:
        assert ran(str(tmp_path / "page.html"))["rows"] == 2
    assert (tmp_path / "page.html").exists()
    assert len(printed.about("the next report has nothing to compare with")) == 1


def test_the_ids_in_a_summary_are_checked_before_they_are_listed(tmp_path: Path) -> None:
    page, file = str(tmp_path / "page.html"), tmp_path / "page.summary.json"
    ran(page)
    file.write_text(file.read_text().replace(set_id("a"), "../../etc"))
    second = ran(page, day=DAY + timedelta(days=1))
    assert second["unreadable"] == 0
    assert second["since"]["failed"]["gone"] == 1


def test_a_report_without_a_page_has_no_summary_unless_it_is_asked_for(tmp_path: Path) -> None:
    ran(str(tmp_path / "rows.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    ran(str(tmp_path / "rows.csv"), summary_file=str(tmp_path / "kept.json"))
    assert (tmp_path / "kept.json").exists()


def test_a_summary_file_of_another_format_is_refused_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutputError, match=r"The name of summary_file must end in \.json"):
        ran(str(tmp_path / "rows.csv"), summary_file=str(tmp_path / "kept.txt"))
    assert calls() == {}


def test_the_summary_is_found_in_s3_too(emulator_url: str) -> None:
    with closing(client_of("s3", emulator_url)) as s3:
        s3.create_bucket(Bucket="reports")
        assert ran("s3://reports/day/page.html", run="one", day=None)["since"] is None
        second = ran("s3://reports/day/page.html", run="two", day=None)
        keys = {each["Key"] for each in s3.list_objects_v2(Bucket="reports")["Contents"]}
    assert second["since"]["failed"] == {"new": 0, "still": 1, "gone": 0}
    assert keys == {"day/page.html", "day/page.summary.json"}
    assert (
        "https://console.aws.amazon.com/s3/object/reports?region=us-east-1&amp;prefix=day/page.html"
        in (second["html"])
    )


def test_the_summary_is_found_on_another_storage_too() -> None:
    attach("memory", fs=fsspec.filesystem("memory"))
    page = "memory://compared/page.html"
    ran(page, run="one", day=None)
    assert ran(page, run="two", day=None)["since"]["failed"]["still"] == 1
    assert ObjectStoragePath("memory://compared/page.summary.json").exists()
