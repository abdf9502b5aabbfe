"""The provider info that Airflow reads, and that everything in it exists."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink

from airflow_imgver.get_provider_info import get_provider_info

INFO = get_provider_info()
SUBPACKAGES = ("hooks", "operators", "sensors", "triggers")
ENTRIES = [(subpackage, entry) for subpackage in SUBPACKAGES for entry in INFO[subpackage]]
MODULES = [(subpackage, module) for subpackage, entry in ENTRIES for module in entry["python-modules"]]


def test_the_info_keeps_to_airflows_own_schema() -> None:
    found = Path(airflow.__file__).with_name("provider_info.schema.json")
    schema = json.loads(found.read_text(encoding="utf-8"))
    jsonschema.validate(INFO, schema)
    # The schema lets unknown keys pass, and Airflow overlooks them; 3.1 takes no commands.
    since = {"cli": (3, 2)}
    here = tuple(map(int, airflow.__version__.split(".")[:2]))
    assert {key for key in INFO if since.get(key, here) <= here} <= set(schema["properties"])


@pytest.mark.parametrize(("subpackage", "module"), MODULES)
def test_every_module_that_is_named_imports_and_is_in_its_package(subpackage: str, module: str) -> None:
    assert import_module(module).__name__.startswith(f"airflow_imgver.{subpackage}.")


def test_every_module_of_a_service_is_named() -> None:
    package = Path(import_module("airflow_imgver").__file__ or "").parent
    there = {
        f"airflow_imgver.{subpackage}.{path.stem}"
        for subpackage in SUBPACKAGES
        for path in (package / subpackage).glob("*.py")
        if path.stem in ("healthimaging", "sagemaker_image")
    }
    assert {module for _, module in MODULES} == there


def test_every_link_that_is_named_is_one() -> None:
    for path in INFO["extra-links"]:
        module, name = path.rsplit(".", 1)
        assert issubclass(getattr(import_module(module), name), BaseAwsLink)


def test_every_module_belongs_to_an_integration_that_is_described() -> None:
    described = {integration["integration-name"] for integration in INFO["integrations"]}
    assert {entry["integration-name"] for _, entry in ENTRIES} == described


def test_the_distribution_leads_airflow_here() -> None:
    (entry_point,) = distribution("airflow-provider-imgver").entry_points.select(
        group="apache_airflow_provider"
    )
    assert entry_point.load() is get_provider_info
    assert INFO["package-name"] == "airflow-provider-imgver"
