"""Errors of AWS calls: named, transient or permanent, and logged without a secret."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    SECRET,
    Answer,
    connection_json,
    image_set_entry,
    image_version_entry,
    load_image,
    load_image_set,
    logged,
    stub_aws,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import AwsCallError, ResourceMissingError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook

IDENTITIES: dict[type[ImageVersionHook], dict[str, str]] = {
    HealthImagingHook: {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET},
    SageMakerImageHook: {"image_name": IMAGE},
}
ABOUT = {
    HealthImagingHook: f"image set {IMAGE_SET} in data store {DATASTORE}",
    SageMakerImageHook: f"image {IMAGE}",
}
BOTH = pytest.mark.parametrize("hook_class", IDENTITIES)


@pytest.fixture
def loaded(aws_connection: str) -> str:
    load_image_set(image_set_entry(1))
    load_image(image_version_entry(1))
    return aws_connection


@pytest.fixture
def failure_of(loaded: str) -> Callable[..., AwsCallError]:
    """The error that a poll raises when the embedded AWS injects a fault; without retries."""

    def poll(hook_class: type[ImageVersionHook], **fault: Any) -> AwsCallError:
        inject_fault(
            hook_class.service.client_type, hook_class.service.listing.operation, times=None, **fault
        )
        hook = hook_class(config={"retries": {"total_max_attempts": 1}})
        with pytest.raises(AwsCallError) as caught:
            hook.observe(IDENTITIES[hook_class])
        return caught.value

    return poll


@pytest.mark.parametrize(
    ("hook_class", "code", "expected", "transient"),
    [
        (HealthImagingHook, "ThrottlingException", AwsCallError, True),
        (HealthImagingHook, "ConflictException", AwsCallError, True),
        (HealthImagingHook, "InternalServerException", AwsCallError, True),
        (HealthImagingHook, "AccessDeniedException", AwsCallError, False),
        (HealthImagingHook, "ValidationException", AwsCallError, False),
        (HealthImagingHook, "ResourceNotFoundException", ResourceMissingError, False),
        (SageMakerImageHook, "ResourceNotFound", ResourceMissingError, False),
        (SageMakerImageHook, "ThrottlingException", AwsCallError, True),
        (SageMakerImageHook, "ServiceUnavailable", AwsCallError, True),
        (SageMakerImageHook, "InternalFailure", AwsCallError, True),
        (SageMakerImageHook, "AccessDeniedException", AwsCallError, False),
        (SageMakerImageHook, "ValidationException", AwsCallError, False),
        (SageMakerImageHook, "UnrecognizedClientException", AwsCallError, False),
    ],
)
def test_an_error_of_awss_becomes_the_class_that_says_whether_to_try_again(
    failure_of: Callable[..., AwsCallError],
    hook_class: type[ImageVersionHook],
    code: str,
    expected: type[AwsCallError],
    transient: bool,
) -> None:
    error = failure_of(hook_class, error={"code": code, "message": "AWS's own words"})
    assert type(error) is expected
    assert (error.code, error.operation, error.transient, error.expired) == (
        code,
        hook_class.service.listing.operation,
        transient,
        False,
    )
    # Where it does not exist, the region or the connection may be the wrong one.
    went = "The call went to us-east-1 with the connection aws_default. "
    assert str(error) == (
        f"{code} from {hook_class.service.listing.operation}: AWS's own words. "
        f"{went if expected is ResourceMissingError else ''}The call was for {ABOUT[hook_class]}."
    )


def test_every_error_that_the_model_gives_the_list_call_of_healthimaging_is_sorted() -> None:
    from botocore.loaders import Loader

    model = Loader().load_service_model("medical-imaging", "service-2")
    declared = {error["shape"] for error in model["operations"]["ListImageSetVersions"]["errors"]}
    assert declared == {
        "ThrottlingException",
        "ConflictException",
        "AccessDeniedException",
        "ValidationException",
        "InternalServerException",
        "ResourceNotFoundException",
    }


@BOTH
@pytest.mark.parametrize("code", ["ExpiredTokenException", "RequestExpired"])
def test_expired_credentials_are_marked_and_not_transient(
    failure_of: Callable[..., AwsCallError], hook_class: type[ImageVersionHook], code: str
) -> None:
    error = failure_of(hook_class, error={"code": code, "message": "The security token is expired"})
    assert (error.expired, error.transient) == (True, False)


@BOTH
@pytest.mark.parametrize("kind", ["http-500", "drop", "truncate"])
def test_a_broken_answer_is_passing_trouble(
    failure_of: Callable[..., AwsCallError], hook_class: type[ImageVersionHook], kind: str
) -> None:
    error = failure_of(hook_class, kind=kind)
    assert error.transient
    assert hook_class.service.listing.operation in error.message
    assert str(error).endswith(f" The call was for {ABOUT[hook_class]}.")


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>The proxy is asleep</html>",
        b"\xff\xfe",
        b'{"imageSetPropertiesList": null, "ImageVersions": null}',
        b'{"imageSetPropertiesList": "a", "ImageVersions": "a"}',
        b'{"imageSetPropertiesList": ["a"], "ImageVersions": ["a"]}',
        b'{"imageSetPropertiesList": [{"createdAt": "x"}], "ImageVersions": [{"CreationTime": "x"}]}',
    ],
)
def test_an_answer_that_is_not_of_awss_form_is_passing_trouble_and_never_an_empty_listing(
    monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook], body: bytes
) -> None:
    with stub_aws(lambda _: Answer(raw=body)) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        with pytest.raises(AwsCallError, match=r"got (no answer|an answer that cannot be read)") as caught:
            hook_class().observe(IDENTITIES[hook_class])
    assert caught.value.transient


@BOTH
def test_a_body_that_never_ends_is_given_up_after_the_read_timeout(
    monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    with stub_aws(lambda _: Answer(raw=b'{"imageS', hang=True)) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        hook = hook_class(config={"read_timeout": 0.2, "retries": {"total_max_attempts": 1}})
        with pytest.raises(AwsCallError, match="ReadTimeoutError") as caught:
            hook.observe(IDENTITIES[hook_class])
    assert caught.value.transient


@BOTH
def test_an_endpoint_where_nobody_listens_is_passing_trouble(
    monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(nobody))
    hook = hook_class(config={"retries": {"total_max_attempts": 1}})
    with pytest.raises(AwsCallError, match="EndpointConnectionError") as caught:
        hook.observe(IDENTITIES[hook_class])
    assert caught.value.transient


@BOTH
def test_missing_credentials_are_permanent_and_the_fix_is_named(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", f"aws://?endpoint_url={emulator_url}&region_name=us-east-1"
    )
    with pytest.raises(AwsCallError, match="Give the Airflow connection an access key") as caught:
        hook_class().observe(IDENTITIES[hook_class])
    assert (caught.value.code, caught.value.transient) == ("NoCredentialsError", False)


@BOTH
def test_a_missing_region_is_permanent_and_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://testing:testing@")
    with pytest.raises(AwsCallError, match="Set region_name") as caught:
        hook_class().observe(IDENTITIES[hook_class])
    assert caught.value.transient is False


def test_a_token_that_aws_sends_twice_ends_the_listing_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda _: Answer({"ImageVersions": [], "NextToken": "round"})) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        with pytest.raises(AwsCallError, match="same next token") as caught:
            SageMakerImageHook().list_image_versions(IMAGE)
    assert caught.value.transient is False


def test_a_later_page_that_fails_is_named_like_the_first(loaded: str) -> None:
    load_image_set(*(image_set_entry(number) for number in (1, 2, 3)))
    inject_fault(
        "medical-imaging",
        "ListImageSetVersions",
        error={"code": "AccessDeniedException"},
        times=None,
        every=2,
    )
    stream = HealthImagingHook().iter_image_set_versions(DATASTORE, IMAGE_SET, page_size=1)
    assert next(stream)["versionId"] == "3"
    with pytest.raises(
        AwsCallError, match=rf"^AccessDeniedException from ListImageSetVersions: .*{IMAGE_SET}"
    ):
        next(stream)


def test_passing_trouble_that_passes_at_once_is_not_noticed(loaded: str) -> None:
    inject_fault("medical-imaging", "ListImageSetVersions", kind="http-500", times=1)
    assert HealthImagingHook().observe(IDENTITIES[HealthImagingHook]) is not None


# --- secrets --------------------------------------------------------------------------------------------

SIGNATURE = (
    "The request signature we calculated does not match the signature you provided.\n\n"
    "The Canonical String for this request should have been\n'POST\n/\n\n"
    f"x-amz-security-token:{SECRET}\n'"
)
TROUBLE: dict[str, dict[str, Any]] = {
    "a refusal": {"error": {"code": "AccessDeniedException", "message": "not authorized"}},
    "expired": {"error": {"code": "ExpiredTokenException", "message": "expired"}},
    "a signature": {"error": {"code": "InvalidSignatureException", "message": SIGNATURE, "status": 403}},
    "a 500": {"kind": "http-500"},
    "a drop": {"kind": "drop"},
    "half an answer": {"kind": "truncate"},
}


@pytest.fixture
def secret_connection(emulator_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connection_json(emulator_url, password=SECRET, aws_session_token=f"token-{SECRET}")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
    load_image_set(image_set_entry(1))
    load_image(image_version_entry(1))


@BOTH
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.usefixtures("secret_connection")
def test_no_credential_is_in_an_error_its_causes_its_traceback_or_the_log(
    hook_class: type[ImageVersionHook], trouble: str
) -> None:
    inject_fault(
        hook_class.service.client_type, hook_class.service.listing.operation, times=None, **TROUBLE[trouble]
    )
    with logged() as log, pytest.raises(AwsCallError) as caught:
        hook_class(config={"retries": {"total_max_attempts": 1}}).observe(IDENTITIES[hook_class])
    text = "".join(traceback.format_exception(caught.value)) + log.getvalue() + str(vars(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        text += repr(error)
        error = error.__cause__
    assert ABOUT[hook_class] in text
    assert SECRET not in text


@BOTH
def test_a_token_that_no_header_can_carry_is_said_to_be_one_and_not_shown(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    broken = connection_json(emulator_url, aws_session_token=f"{SECRET}\n")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", broken)
    with pytest.raises(AwsCallError, match="no HTTP header can carry") as caught:
        hook_class(config={"retries": {"total_max_attempts": 1}}).observe(IDENTITIES[hook_class])
    assert caught.value.transient is False
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@BOTH
@pytest.mark.usefixtures("secret_connection")
def test_no_credential_is_in_the_log_of_a_listing_that_goes_well(hook_class: type[ImageVersionHook]) -> None:
    with logged() as log:
        assert hook_class().observe(IDENTITIES[hook_class])
    assert "aws_default" in log.getvalue()
    assert SECRET not in log.getvalue()
