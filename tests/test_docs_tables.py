"""The documentation's tables say what the code says: the reference, and the rule of the gate."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from contextlib import closing
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, conf
from pages import GATES, REFERENCE, blocks, table_under, tables
from support import client_of, image_set_status, image_version_status

from airflow_imgver import emulator, exceptions
from airflow_imgver.exceptions import VersionDeletedError, VersionFailedError
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.versions import Phase, gate_opens

# --- the reference --------------------------------------------------------------------------------------


def public_object(path: str) -> Any:
    return pkgutil.resolve_name(path)


def signature(path: str) -> dict[str, str]:
    """The arguments of a class or a method, with their defaults as the reference writes them."""
    found = public_object(path)
    if path.endswith("ImageVersionHook"):
        found = AwsGenericHook  # the hooks pass its arguments on, and set the service
    called = found.__init__ if isinstance(found, type) else found
    arguments = {}
    for name, parameter in inspect.signature(called).parameters.items():
        passed_on = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        # Not a user's arguments: the object, boto3's kind of client, and a deprecated name.
        if passed_on or name in {"self", "hook", "client_type", "resource_type", "region"}:
            continue
        required = parameter.default is parameter.empty
        arguments[name] = "required" if required else f"`{parameter.default!r}`"
    if "deferrable" in arguments:
        configured = conf.getboolean("operators", "default_deferrable", fallback=False)
        assert arguments["deferrable"] == f"`{configured}`"
        arguments["deferrable"] = "`[operators] default_deferrable`"
    return arguments


ARGUMENT_TABLES = {table.path: table.rows for table in tables(REFERENCE) if table.path}


@pytest.mark.parametrize("path", ARGUMENT_TABLES)
def test_an_argument_table_of_the_reference_is_the_signature(path: str) -> None:
    header, *rows = ARGUMENT_TABLES[path]

    assert header == ["argument", "default", "what it is"]
    assert {argument.strip("`"): default for argument, default, _ in rows} == signature(path)


def test_the_reference_has_every_public_class() -> None:
    text = REFERENCE.read_text()
    for package in ("hooks", "operators", "sensors", "triggers", "links"):
        for service in ("healthimaging", "sagemaker_image"):
            module = importlib.import_module(f"airflow_imgver.{package}.{service}")
            for name, found in vars(module).items():
                if isinstance(found, type) and found.__module__ == module.__name__:
                    path = f"airflow_imgver.{package}.{service}.{name}"
                    assert path in text if package in ("hooks", "links") else path in ARGUMENT_TABLES, path


@pytest.mark.parametrize(
    ("listing", "stream"),
    [
        ("HealthImagingHook.list_image_set_versions", "HealthImagingHook.iter_image_set_versions"),
        ("SageMakerImageHook.list_image_versions", "SageMakerImageHook.iter_image_versions"),
    ],
)
def test_a_list_method_has_the_arguments_of_its_stream(listing: str, stream: str) -> None:
    (path,) = [path for path in ARGUMENT_TABLES if path.endswith(stream)]
    assert signature(path.replace(stream, listing)) == signature(path)
    assert f"`{path.replace(stream, listing)}` has the same arguments" in REFERENCE.read_text()


def test_the_reference_has_every_error_with_its_base_class() -> None:
    documented = {
        name.strip("`"): base.strip("`") for name, base, _ in table_under(REFERENCE, "error", "is a", "when")
    }
    defined = {
        name: found.__base__.__name__
        for name, found in vars(exceptions).items()
        if isinstance(found, type) and found.__module__ == exceptions.__name__
    }
    assert documented == defined


def test_the_embedded_aws_has_the_names_of_the_reference() -> None:
    (paragraph,) = re.findall(
        r"## The embedded AWS\n\n(.+?) in `airflow_imgver.emulator`", REFERENCE.read_text(), re.DOTALL
    )
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(emulator.__all__)


def test_a_gate_handles_the_events_of_the_reference() -> None:
    gate = HealthImagingImageSetVersionSensor(task_id="gate", datastore_id="", image_set_id="")
    opened, failed, timed_out = [
        event for block in blocks(REFERENCE, "json") if "status" in (event := json.loads(block))
    ]

    assert gate.execute_complete({}, opened) == opened["entry"]
    with pytest.raises(VersionFailedError, match="Series of SourceImageSet"):
        gate.execute_complete({}, failed)
    with pytest.raises(AirflowSensorTimeout, match="Last seen: CREATING"):
        gate.execute_complete({}, timed_out)


# --- the rule -------------------------------------------------------------------------------------------

IMAGE_SET_ROWS = {
    "busy": ("UPDATING", "LOCKED"),
    "ready": ("UPDATED", "ACTIVE"),
    "failed": ("COPY_FAILED", "ACTIVE"),
    "deleted": ("DELETED", "DELETED"),
}


def test_the_table_of_the_gates_page_is_the_rule() -> None:
    rows = table_under(GATES, "what AWS lists", "`ready` (the default)", "`settled`", "`deleted`")
    for what, *cells in rows[:-1]:  # the last row is a gate's, not the rule's
        found = None
        if "DELETE_FAILED" in what:
            found = image_version_status({"Version": 1, "ImageVersionStatus": "DELETE_FAILED"})
        elif what in IMAGE_SET_ROWS:
            status, state = IMAGE_SET_ROWS[what]
            found = image_set_status(
                {"versionId": "1", "imageSetState": state, "ImageSetWorkflowStatus": status}
            )
        for wait_until, cell in zip(("ready", "settled", "deleted"), cells, strict=True):
            try:
                verdict = "open" if gate_opens(found, wait_until, of="it") else "wait"  # type: ignore[arg-type]
            except (VersionFailedError, VersionDeletedError) as error:
                verdict = f"raise `{type(error).__name__}`"
            assert cell == verdict, (what, wait_until)


def test_the_gates_page_has_every_status_of_aws_in_its_phase() -> None:
    documented = {
        phase: (set(re.findall(r"`([A-Z_]+)`", sets)), set(re.findall(r"`([A-Z_]+)`", images)))
        for phase, sets, images in table_under(GATES, "", "HealthImaging", "SageMaker AI")
    }
    for status in statuses("medical-imaging", "ImageSetWorkflowStatus"):
        entry = {"versionId": "1", "imageSetState": "ACTIVE", "ImageSetWorkflowStatus": status}
        phase = image_set_status(entry).phase
        assert (status in documented[phase.value][0]) or phase is Phase.READY, status
    for status in statuses("sagemaker", "ImageVersionStatus"):
        phase = image_version_status({"Version": 1, "ImageVersionStatus": status}).phase
        assert status in documented[phase.value][1], status


def statuses(service: str, shape: str) -> list[str]:
    with closing(client_of(service)) as client:
        return list(client.meta.service_model.shape_for(shape).enum)
