"""The embedded AWS as the real AWS CLI sees it, and the gate on the sample that AWS's own page prints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from support import DATASTORE, IMAGE_SET, MISMATCH, SAMPLE, aws_cli, connection_json

from airflow_imgver.emulator import serve
from airflow_imgver.exceptions import VersionFailedError
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor


@pytest.fixture(scope="module")
def sample_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("state") / "state.json"
    state.write_text(json.dumps({"healthimaging": {DATASTORE: {IMAGE_SET: SAMPLE}}, "sagemaker": {}}))
    with serve(state=str(state)) as url:
        yield url


@pytest.fixture
def sample_connection(sample_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(sample_url))


def list_sample(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    identity = ("--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)
    return aws_cli(url, "medical-imaging", "list-image-set-versions", *identity, *arguments)


def test_the_aws_cli_prints_the_sample_that_aws_documents(sample_url: str) -> None:
    done = list_sample(sample_url)

    assert done.stderr == ""
    assert json.loads(done.stdout) == {"imageSetPropertiesList": SAMPLE}


def test_a_listing_that_the_aws_cli_cut_off_is_resumed_by_the_hook(
    sample_url: str, sample_connection: None
) -> None:
    from airflow_imgver.hooks.healthimaging import HealthImagingHook

    cut = json.loads(list_sample(sample_url, "--max-items", "3", "--page-size", "2").stdout)
    rest = HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET, starting_token=cut["NextToken"])

    assert [entry["versionId"] for entry in cut["imageSetPropertiesList"]] == ["4", "3", "2"]
    assert [entry["versionId"] for entry in rest.items] == ["1"]


def test_a_listing_that_the_hook_cut_off_is_resumed_by_the_aws_cli(
    sample_url: str, sample_connection: None
) -> None:
    from airflow_imgver.hooks.healthimaging import HealthImagingHook

    cut = HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET, max_items=1)
    rest = json.loads(list_sample(sample_url, "--starting-token", str(cut.next_token)).stdout)

    assert [entry["versionId"] for entry in rest["imageSetPropertiesList"]] == ["3", "2", "1"]


def test_the_aws_cli_says_what_is_wrong_with_an_id(sample_url: str) -> None:
    done = aws_cli(
        sample_url,
        *("medical-imaging", "list-image-set-versions"),
        *("--datastore-id", DATASTORE, "--image-set-id", "SHORT"),
    )

    assert done.returncode != 0
    assert "ValidationException" in done.stderr


def test_a_gate_on_the_sample_opens_on_version_4(sample_connection: None) -> None:
    gate = HealthImagingImageSetVersionSensor(
        task_id="gate", datastore_id=DATASTORE, image_set_id=IMAGE_SET, poke_interval=0.1, timeout=5
    )

    opened = gate.poke({})

    assert opened.is_done
    assert opened.xcom_value["versionId"] == "4"


def test_a_gate_on_version_2_of_the_sample_fails_with_the_mismatched_series(sample_connection: None) -> None:
    gate = HealthImagingImageSetVersionSensor(
        task_id="gate", datastore_id=DATASTORE, image_set_id=IMAGE_SET, version="2"
    )

    with pytest.raises(VersionFailedError, match=MISMATCH):
        gate.poke({})
