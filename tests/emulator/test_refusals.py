"""Requests that AWS refuses before any operation sees them, and the names of its errors."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from emulator_clients import client_of
from odd_requests import AUTHORIZATION, DATASTORE, IMAGE_ARN, IMAGE_SET, OddRequest

SIGNED = {"Authorization": AUTHORIZATION.format("medical-imaging")}
SIGNED_FOR_SAGEMAKER = {"Authorization": AUTHORIZATION.format("sagemaker")}
LIST_IMAGES = {"X-Amz-Target": "SageMaker.ListImages", "Content-Type": "application/x-amz-json-1.1"}
GET_DATASTORE = f"/datastore/{DATASTORE}"
GET_IMAGE_SET = f"/datastore/{DATASTORE}/imageSet/{IMAGE_SET}/getImageSet"
SEARCH = f"/datastore/{DATASTORE}/searchImageSets"
DEEP = b'{"filters": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def sent(url: str, request: OddRequest) -> tuple[int, str]:
    """The status and the name of the error, which is in the body and in a header."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    finally:
        connection.close()
    assert answer.headers["Content-Type"] in ("application/json", "application/x-amz-json-1.1")
    assert answer.headers.get("x-amzn-errortype", document["__type"]) == document["__type"]
    assert answer.headers["x-amzn-requestid"]
    assert document.get("message") or document["Message"]
    return answer.status, document["__type"]


UNSIGNED_ERROR = (403, "MissingAuthenticationTokenException")
UNKNOWN = (404, "UnknownOperationException")
INVALID = (400, "ValidationException")
BROKEN = (400, "SerializationException")
SCOPE = (403, "InvalidSignatureException")
INCOMPLETE = (403, "IncompleteSignatureException")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (OddRequest("GET", GET_DATASTORE), UNSIGNED_ERROR),
        (OddRequest("POST", GET_IMAGE_SET), UNSIGNED_ERROR),
        (OddRequest("POST", "/datastore", FORM, b"{}"), UNSIGNED_ERROR),
        (OddRequest("POST", "/", LIST_IMAGES, b"{}"), UNSIGNED_ERROR),
        (OddRequest("GET", GET_DATASTORE, {"Authorization": "Bearer token"}), INCOMPLETE),
        (OddRequest("GET", GET_DATASTORE, {"Authorization": "AWS4-HMAC-SHA256"}), INCOMPLETE),
        (OddRequest("GET", "/", {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b"}), INCOMPLETE),
        (OddRequest("GET", f"{GET_DATASTORE}?X-Amz-Credential=nonsense"), INCOMPLETE),
        (
            OddRequest("GET", GET_DATASTORE, {"Authorization": AUTHORIZATION.format("mars")}),
            (501, "NotImplemented"),
        ),
        (OddRequest("GET", "/nothing", SIGNED), UNKNOWN),
        (OddRequest("PATCH", GET_DATASTORE, SIGNED), UNKNOWN),
        (OddRequest("POST", f"{GET_DATASTORE}/nothing", SIGNED), UNKNOWN),
        (OddRequest("POST", "/", SIGNED_FOR_SAGEMAKER, b"{}"), UNKNOWN),
        (OddRequest("POST", "/", SIGNED_FOR_SAGEMAKER | {"X-Amz-Target": "SageMaker.Nothing"}), UNKNOWN),
        (OddRequest("GET", "/", SIGNED_FOR_SAGEMAKER | LIST_IMAGES), UNKNOWN),
        (OddRequest("POST", "/path", SIGNED_FOR_SAGEMAKER | LIST_IMAGES, b"{}"), UNKNOWN),
        (OddRequest("GET", "/datastore/a%2Fb", SIGNED), INVALID),
        (OddRequest("GET", "/datastore/%ff", SIGNED), INVALID),
        (OddRequest("POST", SEARCH, SIGNED | FORM, b"{}"), (415, "UnsupportedMediaTypeException")),
        (OddRequest("POST", "/", SIGNED_FOR_SAGEMAKER | LIST_IMAGES | FORM, b"{}"), UNKNOWN),
        (OddRequest("POST", SEARCH, SIGNED | JSON, b"{"), BROKEN),
        (OddRequest("POST", SEARCH, SIGNED | JSON, b"[]"), BROKEN),
        (OddRequest("POST", SEARCH, SIGNED | JSON, b'"\xff"'), BROKEN),
        (OddRequest("POST", SEARCH, SIGNED | JSON, DEEP), BROKEN),
        (OddRequest("POST", "/", SIGNED_FOR_SAGEMAKER | LIST_IMAGES, b'"\xff"'), BROKEN),
        (OddRequest("POST", "/", SIGNED_FOR_SAGEMAKER | LIST_IMAGES, DEEP), BROKEN),
        (
            OddRequest("POST", SEARCH, SIGNED | JSON | {"Content-Encoding": "gzip"}, b"{}"),
            (400, "MalformedHttpRequestException"),
        ),
        (
            OddRequest(
                "POST",
                "/",
                SIGNED_FOR_SAGEMAKER | LIST_IMAGES | {"Content-Encoding": "gzip"},
                gzip.compress(b"{}")[:9],
            ),
            (400, "MalformedHttpRequestException"),
        ),
    ],
    ids=lambda value: f"{value.method} {value.path[:30]}" if isinstance(value, OddRequest) else value[1],
)
def test_a_request_that_is_wrong_gets_the_error_of_aws(
    emulator_url: str, request_: OddRequest, expected: tuple[int, str]
) -> None:
    assert sent(emulator_url, request_) == expected


@pytest.mark.parametrize("service", ["medical-imaging", "sagemaker"])
@pytest.mark.parametrize("region", ["eu-central-9", "us-iso-east-9", ""])
def test_a_region_that_is_not_served_is_refused(emulator_url: str, service: str, region: str) -> None:
    headers = LIST_IMAGES | {"Authorization": AUTHORIZATION.format(service).replace("us-east-1", region)}
    request = OddRequest("GET", "/datastore", headers)
    if service == "sagemaker":
        request = OddRequest("POST", "/", headers, b"{}")
    assert sent(emulator_url, request) == SCOPE


def test_a_presigned_url_is_answered(emulator_url: str, healthimaging: Any) -> None:
    created = healthimaging.create_datastore(datastoreName="clinic")["datastoreId"]
    url = urlsplit(healthimaging.generate_presigned_url("get_datastore", Params={"datastoreId": created}))
    assert "X-Amz-Credential=" in url.query
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("GET", f"{url.path}?{url.query}")
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    assert (answer.status, document["datastoreProperties"]["datastoreId"]) == (200, created)


def test_a_presigned_url_is_for_its_own_region(emulator_url: str) -> None:
    elsewhere = client_of("medical-imaging", emulator_url, region="eu-west-1")
    created = elsewhere.create_datastore(datastoreName="clinic")["datastoreId"]
    url = urlsplit(elsewhere.generate_presigned_url("get_datastore", Params={"datastoreId": created}))
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("GET", f"{url.path}?{url.query}")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("service", ["medical-imaging", "sagemaker"])
def test_an_unsigned_client_gets_a_client_error(emulator_url: str, service: str) -> None:
    client = client_of(service, emulator_url, signature_version=UNSIGNED)
    with pytest.raises(ClientError, match="MissingAuthenticationTokenException"):
        client.list_datastores() if service == "medical-imaging" else client.list_images()


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sagemaker:us-east-1:123456789012:model/none",
        "arn:aws:sagemaker:us-east-1:123456789012:nothing/a",
        "arn:aws:sagemaker:us-east-1:123456789012:image-version/analysis/1",
        "arn:x",
        "arn:aws:s3:::bucket/a/b",
    ],
)
@pytest.mark.parametrize("operation", ["list_tags", "add_tags", "delete_tags"])
def test_the_tags_of_any_arn_end_in_a_client_error(sagemaker: Any, operation: str, arn: str) -> None:
    more = {"add_tags": {"Tags": [{"Key": "ward", "Value": "3"}]}, "delete_tags": {"TagKeys": ["ward"]}}
    with pytest.raises(ClientError, match=r"\(ValidationException\)"):
        getattr(sagemaker, operation)(ResourceArn=arn, **more.get(operation, {}))


def test_the_tags_of_an_image_that_is_missing_name_it(sagemaker: Any) -> None:
    with pytest.raises(
        ClientError, match=rf"\(ResourceNotFound\).*Image with ARN {IMAGE_ARN} does not exist"
    ):
        sagemaker.list_tags(ResourceArn=IMAGE_ARN)


def test_a_body_in_gzip_is_read(emulator_url: str, sagemaker: Any) -> None:
    sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
    connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=10)
    headers = SIGNED_FOR_SAGEMAKER | LIST_IMAGES | {"Content-Encoding": "gzip"}
    connection.request("POST", "/", gzip.compress(b'{"NameContains": "ana"}'), headers)
    images = json.loads(connection.getresponse().read())["Images"]
    connection.close()
    assert [image["ImageName"] for image in images] == ["analysis"]


def test_a_query_names_no_operation(emulator_url: str, sagemaker: Any) -> None:
    sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
    connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=10)
    connection.request("POST", "/?Action=DeleteImage", b"{}", SIGNED_FOR_SAGEMAKER | LIST_IMAGES)
    assert "Images" in json.loads(connection.getresponse().read())
    connection.close()


def test_an_operation_that_moto_lacks_is_not_repeated(emulator_url: str, control: Any) -> None:
    client = client_of("sagemaker", emulator_url, retries={"mode": "standard", "total_max_attempts": 4})
    with pytest.raises(ClientError, match=r"\(NotImplemented\).*has not been implemented"):
        client.create_app_image_config(AppImageConfigName="analysis")
    assert control("GET", "calls") == (200, {"sagemaker": {"CreateAppImageConfig": 1}})
