"""Outputs in S3 whose connection or endpoint cannot work: refused before the first request about versions."""

from __future__ import annotations

import pytest
from support import DATASTORE, connection_json, context_of, image_set_entry, load_image_set

from airflow_imgver.emulator import calls
from airflow_imgver.exceptions import InvalidOutputError
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator


def refusal_of(output: str) -> str:
    load_image_set(image_set_entry(1))
    report = HealthImagingVersionReportOperator(task_id="report", datastore_id=DATASTORE, outputs=[output])
    with pytest.raises(InvalidOutputError, match=r"cannot be written: ") as caught:
        report.execute(context_of())
    assert "medical-imaging" not in calls()
    return str(caught.value)


@pytest.mark.usefixtures("aws_connection")
def test_a_connection_that_does_not_exist_is_named() -> None:
    refusal = refusal_of("s3://no_such_connection@reports/report.csv")
    assert "NoCredentialsError: Unable to locate credentials. " in refusal
    assert refusal.endswith("The Airflow connection no_such_connection does not exist.")


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("endpoint", ["https://bad host", "127.0.0.1:9"])
def test_an_endpoint_that_is_not_a_url_is_named(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_json(endpoint))
    assert f"Invalid endpoint: {endpoint}" in refusal_of("s3://other@reports/report.csv")


@pytest.mark.usefixtures("aws_connection")
def test_a_name_that_no_bucket_can_have_is_refused() -> None:
    assert "Invalid bucket name" in refusal_of("s3://no bucket/report.csv")
