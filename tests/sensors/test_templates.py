"""What templates make of ids, versions, booleans and durations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pendulum
import pytest
from modes import MODES, ended
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    context_of,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
)

from airflow_imgver.arguments.literals import bool_value, verify_value, whole_number
from airflow_imgver.arguments.times import duration_value
from airflow_imgver.emulator.state import load
from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor

DIGITS = "1" + "0" * 31


def image_set_gate(**more: Any) -> HealthImagingImageSetVersionSensor:
    return HealthImagingImageSetVersionSensor(
        **{"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, **more}
    )


def image_gate(**more: Any) -> SageMakerImageVersionSensor:
    return SageMakerImageVersionSensor(**{"image_name": IMAGE, **more})


# --- native templates: digits become numbers ---


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("many", [False, True])
def test_an_id_of_digits_that_became_a_number_is_the_id(mode: str, many: bool) -> None:
    entry = {**image_set_entry(2, "COPYING", "LOCKED"), "imageSetId": DIGITS}
    load({"healthimaging": {DATASTORE: {DIGITS: [entry]}}})
    given: Any = [int(DIGITS)] if many else int(DIGITS)
    outcome = ended(image_set_gate, mode, datastore_id=int(DATASTORE), image_set_id=given)
    assert outcome.error is None


@pytest.mark.usefixtures("aws_connection")
def test_what_airflow_stores_of_a_deferred_gate_has_no_number_that_its_messages_refuse() -> None:
    watch = image_set_gate(task_id="gate", image_set_id=[int(DIGITS)], datastore_id=int(DATASTORE)).watch
    stored = watch.gate().remaining.stored()
    assert (stored["datastore_id"], stored["image_set_id"]) == (DATASTORE, [DIGITS])
    msgspec.msgpack.encode(stored)


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("mode", MODES)
def test_an_image_name_that_became_a_whole_number_is_the_name(mode: str) -> None:
    names = {"ImageArn": "image", "ImageVersionArn": "image-version"}
    entry = image_version_entry(1)
    entry |= {member: entry[member].replace(IMAGE, "2024") for member in names}
    load({"sagemaker": {"2024": [entry]}})
    assert ended(image_gate, mode, image_name=2024).error is None


@pytest.mark.parametrize("lost", [1e31, 12, float(DATASTORE), True])
def test_an_id_that_has_lost_digits_is_refused(lost: Any) -> None:
    with pytest.raises(InvalidIdentityError, match=r"image_set_id must be (32 digits|an id)"):
        image_set_gate(task_id="gate", image_set_id=lost).execute(context_of())


def test_the_reason_and_the_way_out_of_a_number_are_named() -> None:
    with pytest.raises(InvalidIdentityError, match="Leave out render_template_as_native_obj"):
        image_gate(task_id="gate", image_name=1.0).execute(context_of())
    with pytest.raises(InvalidIdentityError, match="At position 1 of the list: image_name must be"):
        image_gate(task_id="gate", image_name=["a", 1.10]).execute(context_of())


# --- ARNs ---

ARN = "arn:aws:sagemaker:us-east-1:123456789012:image-version"


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("mode", MODES)
def test_an_arn_of_this_image_in_any_case_is_a_version(mode: str) -> None:
    load_image(image_version_entry(2), image_version_entry(1))
    outcome = ended(image_gate, mode, version=f"{ARN}/{IMAGE.upper()}/2", image_name=IMAGE)
    assert (outcome.error, outcome.value["Version"]) == (None, 2)


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("version", "words"),
    [
        (f"{ARN}/other/2", "is the ARN of a version of image other"),
        (f"{ARN.replace('us-east-1', 'eu-west-1')}/{IMAGE}/2", "is an ARN of eu-west-1"),
        (f"{ARN.replace('sagemaker', 'medical-imaging')}/{IMAGE}/2", "version must be a version number"),
        (f"arn:aws:sagemaker:us-east-1:123456789012:image/{IMAGE}", "version must be a version number"),
    ],
)
def test_an_arn_of_anything_else_is_refused_before_any_request(mode: str, version: str, words: str) -> None:
    load_image(image_version_entry(2), image_version_entry(1))
    error = ended(image_gate, mode, version=version).error
    assert isinstance(error, InvalidIdentityError)
    assert words in str(error)
    assert list_calls() == 0


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize("mode", MODES)
def test_an_arn_of_another_account_is_refused_when_aws_lists_its_own(mode: str) -> None:
    load_image(image_version_entry(2))
    error = ended(image_gate, mode, version=f"{ARN.replace('123456789012', '999999999999')}/{IMAGE}/2").error
    assert isinstance(error, InvalidIdentityError)
    assert "Check the account" in str(error)


@pytest.mark.parametrize("version", [f"{ARN}/{IMAGE}/2", 0, "0"])
def test_an_image_set_has_no_arns_and_no_version_0(version: Any) -> None:
    with pytest.raises(InvalidIdentityError, match="version must be"):
        image_set_gate(task_id="gate", version=version).execute(context_of())


@pytest.mark.usefixtures("aws_connection")
def test_an_image_has_a_version_0() -> None:
    load_image(image_version_entry(0))
    assert ended(image_gate, "poke", version=0).error is None


# --- booleans, numbers, durations ---


@pytest.mark.parametrize(
    ("given", "read"), [("True", True), ("false", False), (" False ", False), (True, True)]
)
def test_a_boolean_is_read_from_its_text(given: Any, read: bool) -> None:
    assert bool_value(given, "flag") is bool(read)


@pytest.mark.parametrize("given", ["", "None", "yes", "0", 1, None])
def test_what_is_not_a_boolean_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match="flag must be True or False, not "):
        bool_value(given, "flag")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("False", False),
        ("true", True),
        ("", None),
        ("None", None),
        (None, None),
        ("/etc/ca.pem", "/etc/ca.pem"),
    ],
)
def test_verify_is_a_boolean_a_path_or_nothing(given: Any, read: Any) -> None:
    assert verify_value(given) == read
    assert HealthImagingHook(verify=given)._verify == read


@pytest.mark.parametrize(
    "given",
    [
        timedelta(days=1, hours=2),
        str(timedelta(days=1, hours=2)),
        str(pendulum.duration(days=1, hours=2)),
        "PT26H",
        "93600",
        93_600.0,
    ],
)
def test_a_duration_is_read_from_what_a_template_makes_of_it(given: Any) -> None:
    assert duration_value(given, "stuck_after") == timedelta(hours=26)


@pytest.mark.parametrize("given", ["", "soon", "-1:00:00", -1, None, "1 fortnight"])
def test_what_is_not_a_duration_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match="stuck_after must be a timedelta"):
        duration_value(given, "stuck_after")


def test_a_number_is_read_from_its_text() -> None:
    assert [whole_number(given, "n") for given in ("5", 5, "", None, "None")] == [5, 5, None, None, None]
    with pytest.raises(ValueError, match="max_items must be a whole number, not 'many'"):
        whole_number("many", "max_items")


@pytest.mark.usefixtures("aws_connection")
@pytest.mark.parametrize(("given", "fails"), [("False", False), ("True", True)])
def test_a_templated_false_is_false(given: str, fails: bool, tmp_path: Any) -> None:
    load_image_set(image_set_entry(2))
    operator = HealthImagingVersionReportOperator(
        task_id="report",
        datastore_id=DATASTORE,
        image_set_ids=[IMAGE_SET, "f" * 32],
        outputs=[str(tmp_path / "report.csv")],
        fail_on_unreadable=given,
    )
    if fails:
        with pytest.raises(RuntimeError, match="could not be read"):
            operator.execute(context_of())
    else:
        assert operator.execute(context_of())["unreadable"] == 1


def test_a_typing_error_in_wait_until_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="wait_until must be one of ready, settled, deleted, not 'redy'"):
        image_gate(task_id="gate", wait_until="redy")
