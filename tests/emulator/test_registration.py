"""Where moto finds the two backends."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import requests
from emulator_clients import client_of
from moto import mock_aws
from moto.backend_index import backend_url_patterns
from moto.backends import get_backend, get_service_from_url
from moto.moto_api import state_manager
from moto.sagemaker.responses import SageMakerResponse

from airflow_imgver.emulator import register
from airflow_imgver.emulator.registration import MANAGED_MODELS

ROLE = "arn:aws:iam::123456789012:role/studio"


@pytest.fixture(autouse=True)
def registered() -> None:
    register()


@pytest.mark.parametrize("host", ["medical-imaging", "runtime-medical-imaging"])
def test_moto_knows_both_hosts_of_healthimaging(host: str) -> None:
    assert get_service_from_url(f"https://{host}.us-east-1.amazonaws.com/datastore") == "medicalimaging"


def test_moto_imports_the_backend_as_one_of_its_own() -> None:
    ours = importlib.import_module("airflow_imgver.emulator.medicalimaging")
    assert get_backend("medicalimaging") is ours.medicalimaging_backends  # type: ignore[call-overload]
    for part in ("models", "responses", "urls", "exceptions"):
        of_moto = importlib.import_module(f"moto.medicalimaging.{part}")
        assert of_moto is importlib.import_module(f"airflow_imgver.emulator.medicalimaging.{part}")


def test_registering_again_changes_nothing() -> None:
    patterns, methods = list(backend_url_patterns), dict(vars(SageMakerResponse))
    register()
    assert backend_url_patterns == patterns
    assert dict(vars(SageMakerResponse)) == methods


def test_no_service_of_motos_is_reached_through_another_pattern() -> None:
    ours = [pattern for name, pattern in backend_url_patterns if name == "medicalimaging"]
    hosts = ["s3.us-east-1.amazonaws.com", "api.sagemaker.us-east-1.amazonaws.com", "bucket.s3.amazonaws.com"]
    assert not [host for host in hosts for pattern in ours if pattern.match(f"https://{host}")]


def test_every_model_that_changes_is_known_to_the_state_manager() -> None:
    assert set(MANAGED_MODELS) <= set(state_manager.get_registered_models())


def test_mock_aws_serves_both_after_registering() -> None:
    with mock_aws():
        healthimaging = client_of("medical-imaging")
        assert healthimaging.list_datastores()["datastoreSummaries"] == []
        sagemaker = client_of("sagemaker")
        sagemaker.create_image(ImageName="analysis", RoleArn=ROLE)
        assert [image["ImageName"] for image in sagemaker.list_images()["Images"]] == ["analysis"]


def test_mock_aws_forgets_images_when_it_ends() -> None:
    with mock_aws():
        client_of("sagemaker").create_image(ImageName="analysis", RoleArn=ROLE)
    with mock_aws():
        assert client_of("sagemaker").list_images()["Images"] == []


def test_motos_own_sagemaker_operations_go_on_as_before() -> None:
    with mock_aws():
        sagemaker: Any = client_of("sagemaker")
        arn = sagemaker.create_experiment(ExperimentName="trial")["ExperimentArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_other_http_libraries_reach_healthimaging_in_process() -> None:
    with mock_aws():
        answer = requests.get("https://medical-imaging.us-east-1.amazonaws.com/datastore", timeout=5)
    assert (answer.status_code, answer.json()["datastoreSummaries"]) == (200, [])


def test_importing_the_package_brings_in_neither_moto_nor_airflow() -> None:
    program = (
        "import sys, airflow_imgver.emulator as emulator; dir(emulator); "
        "print({name.split('.')[0] for name in sys.modules} & {'moto', 'boto3', 'airflow', 'flask'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_emulator_imports_nothing_else_of_the_provider() -> None:
    program = (
        "import sys\nfrom airflow_imgver.emulator import *\nimport airflow_imgver.emulator.__main__\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('airflow', 'airflow_imgver')"
        " and not name.startswith('airflow_imgver.emulator')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['airflow_imgver']"


def test_pydicom_is_imported_only_by_an_import_of_files() -> None:
    program = (
        "import sys\nfrom airflow_imgver.emulator import mock_image_versions\n"
        "import boto3\n"
        "with mock_image_versions():\n"
        "    client = boto3.client('medical-imaging', region_name='us-east-1',\n"
        "        aws_access_key_id='testing', aws_secret_access_key='testing')\n"
        "    store = client.create_datastore(datastoreName='clinic')['datastoreId']\n"
        "    role = 'arn:aws:iam::123456789012:role/import'\n"
        "    client.start_dicom_import_job(datastoreId=store, inputS3Uri='s3://scans/input/',\n"
        "        outputS3Uri='s3://scans/output/', dataAccessRoleArn=role)\n"
        "    found = client.search_image_sets(datastoreId=store)['imageSetsMetadataSummaries'][0]\n"
        '    change = b\'{"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "X"}}}\'\n'
        "    client.update_image_set_metadata(datastoreId=store, imageSetId=found['imageSetId'],\n"
        "        latestVersionId='1',\n"
        "        updateImageSetMetadataUpdates={'DICOMUpdates': {'updatableAttributes': change}})\n"
        "    print('pydicom' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
