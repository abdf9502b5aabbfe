"""The outputs of a report: checked before the first request, and written with the operator's connection."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import (
    DATASTORE,
    client_of,
    connection_json,
    context_of,
    image_set_entry,
    load_image_set,
)

from airflow_imgver.emulator import calls
from airflow_imgver.exceptions import InvalidOutputError
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.reports.outputs import Output


def report(*outputs: str, **more: Any) -> HealthImagingVersionReportOperator:
    return HealthImagingVersionReportOperator(
        task_id="report", datastore_id=DATASTORE, outputs=list(outputs), **more
    )


@pytest.fixture
def store(aws_connection: str) -> None:
    load_image_set(image_set_entry(2), image_set_entry(1, "COPIED"))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("folder.csv", "is a folder, not a file"),
        ("file/report.csv", "is a file, not a folder"),
        ("s3://no-such-bucket/report.csv", "bucket no-such-bucket does not exist"),
        ("s3://bucket.csv", "needs a bucket and a key"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_request(
    output: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    place = output if output.startswith("s3:") else str(tmp_path / output)
    with pytest.raises(InvalidOutputError, match=words):
        report(place).execute(context_of())
    assert "medical-imaging" not in calls()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.usefixtures("store")
def test_a_folder_without_permission_is_refused_before_any_request(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidOutputError, match="no permission"):
        report(str(tmp_path / "report.csv")).execute(context_of())
    assert "medical-imaging" not in calls()


@pytest.mark.usefixtures("store")
def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    summary = report("~/reports/report.csv").execute(context_of())
    assert summary["paths"] == [str(tmp_path / "reports" / "report.csv")]
    assert (tmp_path / "reports" / "report.csv").exists()


@pytest.mark.usefixtures("store")
def test_a_symbolic_link_is_written_through_to_its_target(tmp_path: Path) -> None:
    target, link = tmp_path / "real" / "report.csv", tmp_path / "latest.csv"
    target.parent.mkdir()
    target.write_text("of yesterday")
    link.symlink_to(target)
    report(str(link)).execute(context_of())
    assert link.is_symlink()
    assert "imageSetId" in target.read_text()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("csv_bom", "begins"), [(False, b'"datastoreId"'), ("True", b'\xef\xbb\xbf"datastoreId"')]
)
def test_a_csv_file_has_a_byte_order_mark_where_it_is_asked_for(
    csv_bom: Any, begins: bytes, tmp_path: Path
) -> None:
    report(str(tmp_path / "report.csv"), csv_bom=csv_bom).execute(context_of())
    assert (tmp_path / "report.csv").read_bytes().startswith(begins)


def test_s3_is_reached_with_the_settings_of_the_operator(
    store: None, emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_json(emulator_url, region_name="eu-west-1"))
    settings = {
        "aws_conn_id": "aws_default",
        "region_name": "eu-west-2",
        "verify": False,
        "config": {"connect_timeout": 3.5},
    }
    own = Output("s3://reports/report.csv", settings).s3
    other = Output("s3://other@reports/report.csv", settings).s3
    for hook, region in ((own, "eu-west-2"), (other, "eu-west-1")):
        client: Any = hook.conn
        assert client.meta.region_name == region
        assert client.meta.config.connect_timeout == 3.5
        assert hook.verify is False


@pytest.mark.usefixtures("store")
def test_a_report_goes_to_s3_with_a_ca_bundle_that_a_template_rendered(emulator_url: str) -> None:
    with closing(client_of("s3", emulator_url)) as s3:
        s3.create_bucket(Bucket="reports")
        report("s3://reports/report.jsonl", verify="False").execute(context_of())
        body = s3.get_object(Bucket="reports", Key="report.jsonl")["Body"].read()
    assert [json.loads(line)["versionId"] for line in body.splitlines()] == [2, 1]
