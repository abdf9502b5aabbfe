"""The arguments that the author of a Dag gives, and which of them are refused."""

from __future__ import annotations

from typing import Any

import pytest
from support import IMAGE

from airflow_imgver.arguments.identities import wait_until_value, wanted_version
from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, None),
        (0, 0),
        (4, 4),
        ("4", 4),
        ("0010", 10),
        (f"arn:aws:sagemaker:eu-west-1:123456789012:image-version/{IMAGE}/7", 7),
        (f"arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:image-version/{IMAGE}/12", 12),
    ],
)
def test_a_version_may_be_a_number_digits_or_an_arn(value: Any, number: int | None) -> None:
    assert wanted_version(value, SAGEMAKER_IMAGE, IMAGE).number == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "None",
        "latest",
        "-1",
        -1,
        1.0,
        True,
        "4\n",
        "٤",  # an Arabic four
        [4],
        f"arn:aws:sagemaker:eu-west-1:123456789012:image/{IMAGE}",
        "9" * 5000,
    ],
)
def test_an_invalid_version_is_refused_and_the_fix_is_named(value: Any) -> None:
    with pytest.raises(InvalidIdentityError, match="version must be"):
        wanted_version(value, SAGEMAKER_IMAGE, IMAGE)


@pytest.mark.parametrize("value", ["ready", "settled", "deleted"])
def test_wait_until_takes_its_three_words(value: str) -> None:
    assert wait_until_value(value) == value


@pytest.mark.parametrize("value", ["READY", "", None, "open", 3])
def test_wait_until_takes_no_other_word(value: Any) -> None:
    with pytest.raises(ValueError, match="ready, settled, deleted"):
        wait_until_value(value)
