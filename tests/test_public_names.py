"""Names and arguments that users' Dags depend on: renaming one is a breaking change."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_imgver import exceptions

NAMES = {
    "hooks.healthimaging": ["HealthImagingHook"],
    "hooks.sagemaker_image": ["SageMakerImageHook"],
    "operators.healthimaging": [
        "HealthImagingListImageSetVersionsOperator",
        "HealthImagingVersionReportOperator",
        "HealthImagingStartDICOMImportJobOperator",
        "HealthImagingCopyImageSetOperator",
        "HealthImagingUpdateImageSetMetadataOperator",
        "HealthImagingDeleteImageSetOperator",
    ],
    "operators.sagemaker_image": [
        "SageMakerListImageVersionsOperator",
        "SageMakerImageVersionReportOperator",
        "SageMakerCreateImageVersionOperator",
        "SageMakerDeleteImageVersionOperator",
    ],
    "sensors.healthimaging": ["HealthImagingImageSetVersionSensor", "HealthImagingDICOMImportJobSensor"],
    "sensors.sagemaker_image": ["SageMakerImageVersionSensor"],
    "triggers.healthimaging": [
        "HealthImagingImageSetVersionTrigger",
        "HealthImagingDICOMImportJobTrigger",
        "HealthImagingEventQueueTrigger",
        "HealthImagingDatastoreWatchTrigger",
    ],
    "triggers.sagemaker_image": [
        "SageMakerImageVersionTrigger",
        "SageMakerImageEventQueueTrigger",
        "SageMakerImageWatchTrigger",
    ],
    "events": ["events_once", "new_events"],
    "links.healthimaging": ["HealthImagingImageSetLink", "HealthImagingDICOMImportJobLink"],
    "links.sagemaker_image": ["SageMakerImageLink"],
    "links.report": ["VersionReportLink"],
    "exceptions": [
        "AwsCallError",
        "GateError",
        "ImportJobFailedError",
        "InvalidIdentityError",
        "InvalidOutputError",
        "InvalidQueryError",
        "InvalidTokenError",
        "ManifestMissingError",
        "NotLatestVersionError",
        "NothingFoundError",
        "ReportNotPublishedError",
        "ResourceMissingError",
        "TriggerFailedError",
        "UnexpectedAnswerError",
        "UnexpectedEventError",
        "UnknownOutcomeError",
        "UnreadableError",
        "VersionDeletedError",
        "VersionFailedError",
    ],
    "versions": ["Phase", "VersionStatus"],
    "emulator": ["serve"],
}
# Argument to default, "required" where there is none.
SIGNATURES = json.loads(Path(__file__).with_name("public_signatures.json").read_text(encoding="utf-8"))


def shown(parameters: Any) -> dict[str, Any]:
    return {
        each.name: "required" if each.default is each.empty else plain(each.default)
        for each in parameters
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL) and each.name != "self"
    }


def plain(default: Any) -> Any:
    """A default as JSON can hold it."""
    if isinstance(default, timedelta):
        return str(default)
    return list(default) if isinstance(default, tuple) else default


def signature_of(path: str) -> dict[str, Any]:
    """The arguments of a method; of a class those that it and its bases in this package take by name."""
    names = path.split(".")
    found: Any = import_module(f"airflow_imgver.{names[0]}.{names[1]}")
    for name in names[2:]:
        found = getattr(found, name)
    if not inspect.isclass(found):
        return shown(inspect.signature(found).parameters.values())
    arguments: dict[str, Any] = {}
    for cls in reversed(found.__mro__):
        if cls.__module__.startswith("airflow_imgver") and "__init__" in vars(cls):
            arguments |= shown(inspect.signature(inspect.unwrap(vars(cls)["__init__"])).parameters.values())
    return arguments


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in NAMES for name in NAMES[module]])
def test_a_public_name_is_where_it_was(module: str, name: str) -> None:
    found = getattr(import_module(f"airflow_imgver.{module}"), name)
    assert found.__name__ == name
    assert found.__doc__


def test_every_error_is_a_public_name() -> None:
    errors = [
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and value.__module__ == exceptions.__name__
    ]
    assert NAMES["exceptions"] == sorted(errors)


@pytest.mark.parametrize("path", SIGNATURES)
def test_arguments_and_their_defaults_are_what_they_were(path: str) -> None:
    assert signature_of(path) == SIGNATURES[path]


def test_the_phases_are_the_words_that_they_were() -> None:
    from airflow_imgver.versions import Phase

    assert {phase.name: phase.value for phase in Phase} == {
        "BUSY": "busy",
        "READY": "ready",
        "FAILED": "failed",
        "DELETED": "deleted",
    }


CONNECTION = {"aws_conn_id": None, "region_name": "us-east-1", "verify": False, "botocore_config": {}}


@pytest.mark.parametrize("subpackage", ["operators", "sensors", "triggers"])
@pytest.mark.parametrize(
    ("service", "identity"),
    [("healthimaging", {"datastore_id": "a", "image_set_id": "b"}), ("sagemaker_image", {"image_name": "a"})],
)
def test_the_arguments_of_the_connection_are_those_of_airflows_own_aws_classes(
    subpackage: str, service: str, identity: dict[str, str]
) -> None:
    module = f"{subpackage}.{service}"
    name = NAMES[module][0]
    task = {} if subpackage == "triggers" else {"task_id": "task"}
    made = getattr(import_module(f"airflow_imgver.{module}"), name)(**task, **identity, **CONNECTION)
    assert {argument: getattr(made, argument) for argument in CONNECTION} == CONNECTION


@pytest.mark.parametrize(
    ("service", "identity"), [("healthimaging", {"datastore_id": "a"}), ("sagemaker_image", {})]
)
def test_a_report_takes_the_arguments_of_the_connection_too(service: str, identity: dict[str, str]) -> None:
    name = NAMES[f"operators.{service}"][1]
    operator = getattr(import_module(f"airflow_imgver.operators.{service}"), name)
    made = operator(task_id="task", outputs=["a.csv"], **identity, **CONNECTION)
    assert {argument: getattr(made, argument) for argument in CONNECTION} == CONNECTION
