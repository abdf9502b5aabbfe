"""The client that a hook builds: retries, timeouts, and the host prefix."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config
from support import DATASTORE, IMAGE_SET, connection_json, image_set_entry, in_pages, stub_aws

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook

BOTH = pytest.mark.parametrize("hook_class", [HealthImagingHook, SageMakerImageHook])


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the connection, and the environment beside it."""

    def connection(endpoint_url: str | None = None, **extra: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(endpoint_url, **extra))

    return connection


# --- retries and timeouts -------------------------------------------------------------------------------


@BOTH
def test_by_itself_a_client_tries_three_times_in_standard_mode_and_gives_up_early(
    connect: Any, hook_class: type[ImageVersionHook]
) -> None:
    connect()
    config = hook_class().conn.meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert (config.connect_timeout, config.read_timeout) == (5, 20)


@BOTH
def test_botocores_environment_does_not_change_the_mode(
    connect: Any, monkeypatch: pytest.MonkeyPatch, hook_class: type[ImageVersionHook]
) -> None:
    connect()
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    assert hook_class().conn.meta.config.retries["mode"] == "standard"


@BOTH
@pytest.mark.parametrize(
    ("given", "retries"),
    [
        ({"max_attempts": 7}, {"mode": "standard", "total_max_attempts": 8}),
        ({"total_max_attempts": 7}, {"mode": "standard", "total_max_attempts": 7}),
        ({"mode": "adaptive"}, {"mode": "adaptive"}),
        ({"mode": "legacy", "max_attempts": 1}, {"mode": "legacy", "total_max_attempts": 2}),
    ],
)
def test_what_a_user_says_of_retries_wins_and_the_mode_is_never_left_open(
    connect: Any, hook_class: type[ImageVersionHook], given: dict[str, Any], retries: dict[str, Any]
) -> None:
    connect(config_kwargs={"retries": given})
    from_connection = hook_class().conn.meta.config.retries
    connect()
    from_hook = hook_class(config={"retries": given}).conn.meta.config.retries
    for found in (from_connection, from_hook):
        assert {name: found.get(name) for name in retries} == retries


@BOTH
def test_a_users_timeouts_win_from_the_connection_and_from_the_hook(
    connect: Any, hook_class: type[ImageVersionHook]
) -> None:
    connect(config_kwargs={"connect_timeout": 1, "read_timeout": 2})
    config = hook_class().conn.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    connect()
    for given in ({"read_timeout": 61}, Config(read_timeout=61)):
        config = hook_class(config=given).conn.meta.config
        assert (config.connect_timeout, config.read_timeout) == (5, 61)


@BOTH
def test_region_and_verify_of_the_hook_win_over_the_connections(
    connect: Any, hook_class: type[ImageVersionHook]
) -> None:
    connect(region_name="eu-west-1")
    assert hook_class().conn.meta.region_name == "eu-west-1"
    hook = hook_class(region_name="us-west-2", verify=False)
    assert hook.conn.meta.region_name == "us-west-2"
    assert hook.verify is False
    assert hook.console_address("it") == {"region_name": "us-west-2", "aws_partition": "aws"}


# --- the host prefix ------------------------------------------------------------------------------------

ELSEWHERE = "http://127.0.0.1:5000"


def prefixed(**hook: Any) -> bool:
    """Return whether the client puts `runtime-` before its host; None is botocore's default."""
    return HealthImagingHook(**hook).conn.meta.config.inject_host_prefix is not False


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": ELSEWHERE},
        {"service_config": {"medical-imaging": {"endpoint_url": ELSEWHERE}}},
        {"endpoint_url": "https://vpce-1.medical-imaging.us-east-1.vpce.amazonaws.com"},
        {"endpoint_url": "https://runtime-medical-imaging.us-east-1.amazonaws.com"},
    ],
)
def test_the_prefix_is_off_for_an_endpoint_of_the_connection_that_is_not_awss_own(
    connect: Any, extra: dict[str, Any]
) -> None:
    connect(**extra)
    assert not prefixed()


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_MEDICAL_IMAGING"])
def test_the_prefix_is_off_for_an_endpoint_of_the_environment(
    connect: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    connect()
    monkeypatch.setenv(name, ELSEWHERE)
    hook = HealthImagingHook()
    assert hook.conn.meta.endpoint_url == ELSEWHERE
    assert hook.conn.meta.config.inject_host_prefix is False


@pytest.mark.parametrize(
    "endpoint_url",
    [
        None,
        "https://medical-imaging.us-east-1.amazonaws.com",
        "https://medical-imaging-fips.us-east-1.amazonaws.com",
        "https://MEDICAL-IMAGING.us-east-1.amazonaws.com:443/",
    ],
)
def test_the_prefix_is_on_for_awss_own(connect: Any, endpoint_url: str | None) -> None:
    connect(endpoint_url)
    assert prefixed()


def test_the_prefix_is_on_for_fips_without_an_endpoint(connect: Any) -> None:
    connect(config_kwargs={"use_fips_endpoint": True})
    hook = HealthImagingHook()
    assert hook.conn.meta.endpoint_url == "https://medical-imaging-fips.us-east-1.amazonaws.com"
    assert hook.conn.meta.config.inject_host_prefix is not False


def test_an_endpoint_of_another_service_does_not_take_the_prefix_off(connect: Any) -> None:
    connect(service_config={"sts": {"endpoint_url": ELSEWHERE}})
    assert prefixed()


@pytest.mark.parametrize("word", [True, False])
@pytest.mark.parametrize("endpoint_url", [None, ELSEWHERE])
def test_the_connections_own_word_on_the_prefix_is_the_last(
    connect: Any, endpoint_url: str | None, word: bool
) -> None:
    connect(endpoint_url, config_kwargs={"inject_host_prefix": word})
    assert prefixed() is word
    connect(endpoint_url)
    assert prefixed(config={"inject_host_prefix": word}) is word


def test_what_goes_over_the_wire_has_the_stubs_own_host(connect: Any) -> None:
    with stub_aws(in_pages([[image_set_entry(1)]], "medical-imaging")) as stub:
        connect(stub.url)
        assert HealthImagingHook().list_image_set_versions(DATASTORE, IMAGE_SET).items
    assert [f"http://{host}" for host in stub.hosts] == [stub.url]


def test_sagemaker_has_no_prefix_to_lose_and_its_config_is_left_alone(connect: Any) -> None:
    connect(ELSEWHERE)
    assert SageMakerImageHook().conn.meta.config.inject_host_prefix is not False
