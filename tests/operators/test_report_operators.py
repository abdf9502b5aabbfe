"""The operators that report: what is reported, what goes to XCom, what is refused, what fails."""

from __future__ import annotations

import copy
import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from support import (
    DATASTORE,
    MISMATCH,
    TaskInstance,
    client_of,
    context_of,
    image_set_entry,
    image_version_entry,
    list_calls,
    logged,
    wait_for,
)

from airflow_imgver.emulator import calls, inject_fault
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import AwsCallError, InvalidIdentityError, UnreadableError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.links.report import VersionReportLink
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.operators.sagemaker_image import SageMakerImageVersionReportOperator

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
NOON = DAY + timedelta(hours=12)
YESTERDAY = {"updated_after": DAY, "updated_before": NEXT_DAY}


def set_id(letter: str) -> str:
    return letter * 32


def history(letter: str, *versions: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """An image set and its versions, newest first; the first one given is the oldest."""
    entries = [
        image_set_entry(number, **{"imageSetId": set_id(letter), "createdAt": NOON, **version})
        for number, version in enumerate(versions, 1)
    ]
    return {set_id(letter): entries[::-1]}


def changed(at: datetime, status: str = "UPDATED", state: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    return {"updatedAt": at, "status": status, "state": state, **more}


FAILED = changed(NOON + timedelta(hours=1), "COPY_FAILED", message=MISMATCH)
STORE = {
    **history("a", changed(NOON - timedelta(hours=1)), changed(NOON)),
    **history("b", changed(NOON - timedelta(days=9), "COPIED"), FAILED),
    **history("c", changed(NOON - timedelta(days=3))),
    **history("d", changed(NOON), changed(NEXT_DAY + timedelta(minutes=5))),
    **history("e", changed(NEXT_DAY + timedelta(minutes=6))),
}


@pytest.fixture(autouse=True)
def store(aws_connection: str) -> None:
    load({"healthimaging": {DATASTORE: STORE}})


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "2026-11-20" / "versions.jsonl"


def image_set_report(report: Path, **more: Any) -> HealthImagingVersionReportOperator:
    given = {"task_id": "report", "datastore_id": DATASTORE, "outputs": [str(report)]}
    return HealthImagingVersionReportOperator(**{**given, **more})


def image_report(report: Path, **more: Any) -> SageMakerImageVersionReportOperator:
    return SageMakerImageVersionReportOperator(**{"task_id": "report", "outputs": [str(report)], **more})


def ran(operator: Any) -> dict[str, Any]:
    returned: dict[str, Any] = operator.execute(context_of())
    return returned


def reported(report: Path, name: str = "imageSetId") -> list[tuple[str, int]]:
    """The versions in a report, by name and number, in its order."""
    number = "versionId" if name == "imageSetId" else "Version"
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    return [(line[name], line[number]) for line in lines]


# --- what is reported: image sets -----------------------------------------------------------------------


def test_without_an_interval_every_version_in_the_data_store_is_reported(report: Path) -> None:
    ran(image_set_report(report))
    assert sorted(reported(report)) == sorted(
        (image_set, int(entry["versionId"])) for image_set, entries in STORE.items() for entry in entries
    )


def test_with_an_interval_image_sets_that_changed_in_it_are_reported_with_all_versions_the_last_changed_first(
    report: Path,
) -> None:
    summed_up = ran(image_set_report(report, **YESTERDAY))
    # The one behind the interval comes last.
    assert reported(report) == [(set_id(letter), number) for letter in ("b", "a", "d") for number in (2, 1)]
    assert summed_up["read"] == 3
    assert summed_up["rows"] == 6


def test_only_image_sets_that_changed_since_are_listed(report: Path) -> None:
    ran(image_set_report(report, **YESTERDAY))
    # Not c: its last change is three days before.
    assert list_calls() == 4


def test_one_that_changed_in_the_interval_and_again_since_is_reported_and_one_that_only_did_since_is_not(
    report: Path,
) -> None:
    ran(image_set_report(report, **YESTERDAY))
    image_sets = {image_set for image_set, _ in reported(report)}
    assert set_id("d") in image_sets
    assert set_id("e") not in image_sets


def test_one_that_became_stuck_at_the_end_of_the_interval_before_is_reported(report: Path) -> None:
    locked = changed(DAY - timedelta(minutes=30), "UPDATING_SOMEHOW", "LOCKED")
    load({"healthimaging": {DATASTORE: {**STORE, **history("f", changed(NOON), locked)}}})
    summed_up = ran(image_set_report(report, **YESTERDAY))
    assert (set_id("f"), 2) in reported(report)
    assert summed_up["attention"]["stuck"] == 1


def test_stuck_after_says_how_long_is_too_long(report: Path) -> None:
    locked = changed(datetime.now(UTC) - timedelta(minutes=30), "UPDATING_SOMEHOW", "LOCKED")
    load({"healthimaging": {DATASTORE: history("f", locked)}})
    for stuck_after, stuck in ((timedelta(hours=1), 0), ("PT20M", 1), (1200, 1), ("3600", 0)):
        assert ran(image_set_report(report, stuck_after=stuck_after))["attention"]["stuck"] == stuck


@pytest.mark.parametrize(
    "given",
    [
        [set_id("c"), set_id("a"), set_id("c")],
        f"['{set_id('c')}', '{set_id('a')}']",
        (set_id("c"), set_id("a")),
    ],
    ids=["a list", "the text of one", "a tuple"],
)
def test_image_sets_that_are_named_are_reported_in_that_order_each_once_and_none_is_searched_for(
    given: Any, report: Path
) -> None:
    ran(image_set_report(report, image_set_ids=given, **YESTERDAY))
    assert reported(report) == [(set_id("c"), 1), (set_id("a"), 2), (set_id("a"), 1)]
    assert "SearchImageSets" not in calls()["medical-imaging"]


def test_an_interval_in_which_nothing_changed_makes_an_empty_report(report: Path) -> None:
    summed_up = ran(image_set_report(report, updated_after="2025-01-01", updated_before="2025-01-02"))
    assert reported(report) == []
    assert summed_up["rows"] == summed_up["read"] == 0
    assert summed_up["paths"] == [str(report)]


def test_a_list_that_came_out_empty_makes_an_empty_report(report: Path) -> None:
    assert ran(image_set_report(report, image_set_ids="[]"))["rows"] == 0
    assert reported(report) == []


# --- what is reported: images ---------------------------------------------------------------------------

IMAGES = {
    "studio-ct": [
        image_version_entry(2, CreationTime=NOON, LastModifiedTime=NOON),
        image_version_entry(1, "CREATE_FAILED", FailureReason="no such base image"),
    ],
    "studio-mr": [image_version_entry(1)],
    "other": [image_version_entry(1, CreationTime=NOON, LastModifiedTime=NOON)],
}


@pytest.fixture
def images() -> None:
    load(
        {
            "sagemaker": {
                name: [
                    entry
                    | {
                        "ImageArn": f"arn:aws:sagemaker:us-east-1:123456789012:image/{name}",
                        "ImageVersionArn": (
                            f"arn:aws:sagemaker:us-east-1:123456789012:image-version/{name}/{entry['Version']}"
                        ),
                    }
                    for entry in entries
                ]
                for name, entries in IMAGES.items()
            }
        }
    )


@pytest.mark.usefixtures("images")
def test_images_are_reported_all_by_part_of_a_name_or_by_names(report: Path) -> None:
    ran(image_report(report))
    assert {name for name, _ in reported(report, "ImageName")} == set(IMAGES)
    ran(image_report(report, name_contains="studio"))
    assert {name for name, _ in reported(report, "ImageName")} == {"studio-ct", "studio-mr"}
    ran(image_report(report, image_names=["other", "studio-mr"]))
    assert reported(report, "ImageName") == [("other", 1), ("studio-mr", 1)]


@pytest.mark.usefixtures("images")
def test_with_an_interval_images_are_reported_of_which_a_version_changed_in_it(report: Path) -> None:
    summed_up = ran(image_report(report, name_contains="studio", **YESTERDAY))
    assert reported(report, "ImageName") == [("studio-ct", 2), ("studio-ct", 1)]
    assert summed_up["read"] == 1


@pytest.mark.usefixtures("images")
def test_names_and_a_part_of_a_name_together_are_refused(report: Path) -> None:
    with pytest.raises(ValueError, match="image_names or name_contains, not both"):
        ran(image_report(report, image_names=["other"], name_contains="o"))
    assert calls() == {}


# --- XCom -----------------------------------------------------------------------------------------------


def test_the_summary_counts_and_names_and_says_where_the_report_is(report: Path) -> None:
    summed_up = ran(image_set_report(report, **YESTERDAY))
    assert json.loads(json.dumps(summed_up)) == summed_up
    made_at = datetime.fromisoformat(summed_up.pop("made_at"))
    assert datetime.now(UTC) - made_at < timedelta(minutes=1)
    html = summed_up.pop("html")
    assert summed_up == {
        "headline": "1 failed",
        "text": (
            f"1 failed: data store {DATASTORE}, "
            "changes of 2026-11-20 00:00:00 UTC to 2026-11-21 00:00:00 UTC\n"
            f"First: COPY_FAILED, version 2 of image set {set_id('b')}: {MISMATCH}\n"
            f"{report}"
        ),
        "needs_attention": {"failed": 1, "stuck": 0, "unreadable": 0},
        "since": None,
        "read": 3,
        "rows": 6,
        "phases": {"busy": 0, "ready": 5, "failed": 1, "deleted": 0},
        "attention": {"failed": 1, "stuck": 0, "superseded": 3},
        "failures": [
            {
                "id": set_id("b"),
                "version": 2,
                "status": "COPY_FAILED",
                "message": MISMATCH,
                "good_successor": None,
                "anchor": f"failed-{set_id('b')}-2",
            }
        ],
        "unreadable": 0,
        "unreadable_first": [],
        "paths": [str(report)],
        "updated_after": "2026-11-20T00:00:00+00:00",
        "updated_before": "2026-11-21T00:00:00+00:00",
    }
    assert html.startswith("<p><strong>1 failed: data store")
    assert html.endswith(f"<p><code>{report}</code></p>")


def test_the_summary_stays_small_whatever_the_size_of_the_store(report: Path) -> None:
    failed = {"status": "UPDATE_FAILED", "message": "x" * 2000}
    entries = {
        f"{number:032d}": [image_set_entry(1, **failed, imageSetId=f"{number:032d}")] for number in range(300)
    }
    load({"healthimaging": {DATASTORE: entries}})
    summed_up = ran(image_set_report(report))
    assert summed_up["attention"]["failed"] == 301
    assert len(summed_up["failures"]) == 20
    assert len(json.dumps(summed_up)) < 12_000


def test_patient_data_of_the_search_appears_nowhere(tmp_path: Path) -> None:
    conn = HealthImagingHook().conn
    patient = {"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": "MISTER^CT", "PatientID": "CT-7"}}}
    conn.update_image_set_metadata(
        datastoreId=DATASTORE,
        imageSetId=set_id("a"),
        latestVersionId="2",
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": json.dumps(patient).encode()}},
    )
    found = conn.search_image_sets(datastoreId=DATASTORE)["imageSetsMetadataSummaries"]
    values = {str(value) for summary in found for value in summary["DICOMTags"].values()}
    assert {"MISTER^CT", "CT-7"} <= values
    ti = TaskInstance()
    with logged() as printed:
        outputs = [str(tmp_path / f"report.{suffix}") for suffix in ("csv", "jsonl", "html", "parquet")]
        summed_up = image_set_report(tmp_path, outputs=outputs).execute(context_of(ti))
    written = b"".join(Path(path).read_bytes() for path in summed_up["paths"])
    assert set_id("a").encode() in written
    for where in (printed.getvalue(), json.dumps(summed_up), str(ti.xcoms), written.decode("latin-1")):
        assert not [value for value in values if value in where]


# --- what cannot be read --------------------------------------------------------------------------------


def denied(times: int | None) -> None:
    inject_fault(
        "medical-imaging",
        "ListImageSetVersions",
        error={"code": "AccessDeniedException", "message": "not yours"},
        times=times,
    )


def test_one_that_is_denied_is_counted_and_named_and_the_others_are_reported(report: Path) -> None:
    denied(1)
    with logged() as printed:
        summed_up = ran(image_set_report(report))
    assert summed_up["unreadable"] == 1
    assert summed_up["read"] == len(STORE) - 1
    (first,) = summed_up["unreadable_first"]
    assert first["id"] in STORE
    assert "AccessDeniedException from ListImageSetVersions: not yours" in first["reason"]
    assert first["id"] not in {image_set for image_set, _ in reported(report)}
    assert len(printed.about("AccessDeniedException from ListImageSetVersions: not yours")) == 1


def test_an_image_set_that_is_deleted_between_search_and_list_is_reported_with_awss_reason(
    report: Path,
) -> None:
    gone = "9" * 32
    summed_up = ran(image_set_report(report, image_set_ids=[set_id("a"), gone]))
    (first,) = summed_up["unreadable_first"]
    assert first["id"] == gone
    assert "ResourceNotFoundException" in first["reason"]
    assert {image_set for image_set, _ in reported(report)} == {set_id("a")}


def test_throttling_that_passes_leaves_no_mark(report: Path) -> None:
    inject_fault(
        "medical-imaging", "ListImageSetVersions", error={"code": "ThrottlingException"}, times=4, every=2
    )
    summed_up = ran(image_set_report(report))
    assert summed_up["unreadable"] == 0
    assert summed_up["read"] == len(STORE)


def test_told_to_the_task_fails_after_the_report_and_its_summary_are_there(report: Path) -> None:
    denied(1)
    ti = TaskInstance()
    with pytest.raises(UnreadableError, match=r"1 of 5 image sets could not be read.*not yours") as raised:
        image_set_report(report, fail_on_unreadable=True).execute(context_of(ti))
    assert str(report) in str(raised.value)
    assert ti.xcoms["return_value"]["unreadable"] == 1
    assert len({image_set for image_set, _ in reported(report)}) == len(STORE) - 1


def test_where_nothing_could_be_read_the_task_fails_and_the_report_of_before_stays(report: Path) -> None:
    ran(image_set_report(report))
    before = report.read_bytes()
    denied(None)
    with pytest.raises(UnreadableError, match=r"5 of 5 image sets could not be read.*No file was written"):
        ran(image_set_report(report))
    assert report.read_bytes() == before
    assert [path.name for path in report.parent.iterdir()] == [report.name]


def test_where_the_search_is_refused_the_task_fails_with_its_reason_and_writes_nothing(report: Path) -> None:
    inject_fault("medical-imaging", "SearchImageSets", error={"code": "AccessDeniedException"}, times=None)
    with pytest.raises(AwsCallError, match=f"from SearchImageSets: .* data store {DATASTORE}"):
        ran(image_set_report(report))
    assert not report.exists()


def test_a_task_that_is_stopped_ends_soon_and_writes_nothing(
    report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject_fault("medical-imaging", "ListImageSetVersions", kind="http-500", times=None)
    operator = image_set_report(report)
    warned = operator._persist_link

    def stop_once_the_run_has_begun(*given: Any) -> None:
        warned(*given)
        operator.on_kill()

    monkeypatch.setattr(operator, "_persist_link", stop_once_the_run_has_begun)
    operator.on_kill()  # before it has begun, there is nothing to stop
    with pytest.raises(RuntimeError, match="stopped before it was complete"):
        ran(operator)
    assert not report.exists()
    wait_for(lambda: not [each for each in threading.enumerate() if each.name.startswith("imgver-")])


# --- arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"datastore_id": "clinic"}, "datastore_id must be 32 digits"),
        ({"image_set_ids": [set_id("a"), "b"]}, "At position 1 of image_set_ids: image_set_id must be"),
        ({"image_set_ids": "None"}, "image_set_ids is None"),
        ({"updated_after": "None"}, "updated_after must be a datetime or an ISO 8601 text, not 'None'"),
        ({"updated_after": NEXT_DAY, "updated_before": DAY}, "updated_after must be earlier"),
        ({"updated_after": DAY, "updated_before": DAY}, "has an interval without length"),
        ({"stuck_after": "soon"}, "stuck_after must be a timedelta"),
        ({"stuck_after": -1}, "stuck_after must be a timedelta"),
        ({"outputs": []}, "output"),
    ],
)
def test_what_cannot_be_is_refused_before_any_request(
    arguments: dict[str, Any], words: str, report: Path
) -> None:
    with pytest.raises((ValueError, InvalidIdentityError), match=words):
        ran(image_set_report(report, **arguments))
    assert calls() == {}


def rendered(operator: Any, **values: Any) -> Any:
    """The operator as Airflow renders it for a run."""
    with DAG("reports", schedule=None):
        task = copy.copy(operator)
    task.render_template_fields({**values, "params": values})
    return task


def test_every_argument_is_a_template(report: Path) -> None:
    operator = image_set_report(
        report,
        datastore_id="{{ store }}",
        image_set_ids="{{ ids }}",
        updated_after="{{ data_interval_start }}",
        updated_before="{{ data_interval_end }}",
        stuck_after="{{ seconds }}",
        outputs=["{{ path }}"],
    )
    task = rendered(
        operator,
        store=DATASTORE,
        ids=[set_id("a")],
        data_interval_start=DAY,
        data_interval_end=NEXT_DAY,
        seconds=60,
        path=str(report),
    )
    summed_up = ran(task)
    assert summed_up["updated_after"] == DAY.isoformat()
    assert {image_set for image_set, _ in reported(report)} == {set_id("a")}


def test_a_duration_that_is_no_text_survives_the_rendering(report: Path) -> None:
    assert rendered(image_set_report(report)).stuck_after == timedelta(hours=1)


def test_a_task_that_ran_can_be_copied_as_airflow_copies_dags(report: Path) -> None:
    operator = image_set_report(report)
    ran(operator)
    assert copy.copy(operator).datastore_id == DATASTORE


# --- the link -------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_listed(store: None) -> None:
    inject_fault("medical-imaging", "SearchImageSets", error={"code": "AccessDeniedException"}, times=None)


@pytest.mark.usefixtures("nothing_listed")
def test_the_link_leads_to_the_page_in_s3_and_is_there_before_the_work(
    tmp_path: Path, emulator_url: str
) -> None:
    ti = TaskInstance()
    with closing(client_of("s3", emulator_url)) as s3:
        s3.create_bucket(Bucket="clinic")
    outputs = [str(tmp_path / "a.csv"), "s3://clinic/daily/a.csv", "s3://clinic/daily/20 Nov/page.html"]
    with pytest.raises(AwsCallError):
        image_set_report(tmp_path, outputs=outputs).execute(context_of(ti))
    assert VersionReportLink().format_link(**ti.xcoms["version_report"]) == (
        "https://console.aws.amazon.com/s3/object/clinic?region=us-east-1&prefix=daily/20%20Nov/page.html"
    )


def test_a_report_that_is_nowhere_in_s3_has_no_link(report: Path) -> None:
    ti = TaskInstance()
    image_set_report(report).execute(context_of(ti))
    assert ti.xcoms == {}
