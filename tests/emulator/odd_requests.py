"""Requests that fit a service's model, that almost fit it, and that fit nothing."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from moto.core.utils import get_service_model

DATASTORE, IMAGE_SET = "1" * 32, "2" * 32
SCOPE = "testing/20261121/us-east-1/{}/aws4_request"
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0"
SERVICES = ("medical-imaging", "sagemaker")
IMAGE_ARN = "arn:aws:sagemaker:us-east-1:123456789012:image/analysis"
IMAGE_SET_ARN = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{DATASTORE}/imageset/{IMAGE_SET}"
TAGS = ("AddTags", "ListTags", "DeleteTags")
IMAGE_OPERATIONS = (
    "ListAliases",
    *(
        verb + noun + ("s" if verb == "List" else "")
        for noun in ("Image", "ImageVersion")
        for verb in ("Create", "Describe", "Update", "Delete", "List")
    ),
)

# What a request must name to reach a resource, by the member's name in lower case.
KNOWN = {
    "datastoreid": [DATASTORE],
    "imagesetid": [IMAGE_SET],
    "sourceimagesetid": [IMAGE_SET],
    "versionid": ["1", "9"],
    "latestversionid": ["1", "2"],
    "imagename": ["analysis", "other"],
    "version": [1, 2],
    "rolearn": ["arn:aws:iam::123456789012:role/studio"],
    "resourcearn": [IMAGE_ARN, IMAGE_SET_ARN, "arn:aws:sagemaker:us-east-1:123456789012:model/x", "arn:aws:"],
    "baseimage": ["123456789012.dkr.ecr.us-east-1.amazonaws.com/analysis:1"],
}
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.just("x" * 9000),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@dataclass
class OddRequest:
    """One HTTP request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def values(shape: Any, name: str = "", depth: int = 0) -> st.SearchStrategy[Any]:
    """Give values of a shape, most of them well formed."""
    fitting = _fitting(shape, depth)
    if name.lower() in KNOWN:
        fitting = st.one_of(st.sampled_from(KNOWN[name.lower()]), fitting)
    # One in sixteen does not fit.
    return st.integers(0, 15).flatmap(lambda number: fitting if number else anything)


def _fitting(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    if shape.type_name == "structure":
        if depth > 5:
            return st.just({})
        required = {each: values(shape.members[each], each, depth + 1) for each in shape.required_members}
        others = [each for each in shape.members if each not in required]
        return (st.sets(st.sampled_from(others), max_size=3) if others else st.just(set())).flatmap(
            lambda chosen: st.fixed_dictionaries(
                required | {each: values(shape.members[each], each, depth + 1) for each in sorted(chosen)}
            )
        )
    if shape.type_name == "list":
        return st.lists(values(shape.member, depth=depth + 1), max_size=2)
    if shape.type_name == "map":
        return st.dictionaries(st.text(max_size=8), values(shape.value, depth=depth + 1), max_size=2)
    if shape.type_name in ("integer", "long"):
        return st.integers(shape.metadata.get("min", 0), shape.metadata.get("max", 100))
    if shape.type_name in ("float", "double"):
        return st.floats(0, 100)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name == "timestamp":
        return st.integers(0, 2_000_000_000)
    if shape.type_name == "blob":
        return st.sampled_from(["e30=", "eyJTY2hlbWFWZXJzaW9uIjogMS4xfQ==", "AAEC"])
    if shape.metadata.get("enum"):
        return st.sampled_from(shape.metadata["enum"])
    least = shape.metadata.get("min", 0)
    return st.text("abc-/:. 0", min_size=least, max_size=least + 40)


def of_healthimaging() -> st.SearchStrategy[OddRequest]:
    """Give calls of any operation of HealthImaging."""
    model = get_service_model("medical-imaging")
    return st.sampled_from(model.operation_names).flatmap(lambda name: _rest(model.operation_model(name)))


def _rest(operation: Any) -> st.SearchStrategy[OddRequest]:
    def written(members: Any) -> OddRequest:
        members = members if isinstance(members, dict) else {}
        path, query, body = str(operation.http["requestUri"]).split("?")[0], [], {}
        for name, member in operation.input_shape.members.items():
            place = member.serialization.get("location")
            if place == "uri":
                value = quote(_text(members.get(name, "")), safe="") or "-"
                path = path.replace("{" + member.serialization.get("name", name) + "}", value)
            elif name in members and place == "querystring":
                query.append((member.serialization.get("name", name), _text(members[name])))
            elif name in members:
                body[name] = members[name]
        content = json.dumps(body).encode() if body else b""
        headers = {"Authorization": AUTHORIZATION.format("medical-imaging")}
        if content:
            headers["Content-Type"] = "application/json"
        return OddRequest(
            operation.http["method"], path + (f"?{urlencode(query)}" if query else ""), headers, content
        )

    return values(operation.input_shape).map(written)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def of_sagemaker(names: Any) -> st.SearchStrategy[OddRequest]:
    """Give calls of operations of SageMaker."""
    model = get_service_model("sagemaker")

    def written(name: str) -> st.SearchStrategy[OddRequest]:
        shape = model.operation_model(name).input_shape
        headers = {
            "Authorization": AUTHORIZATION.format("sagemaker"),
            "X-Amz-Target": f"SageMaker.{name}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        content = st.just({}) if shape is None else values(shape)
        return content.map(lambda members: OddRequest("POST", "/", headers, json.dumps(members).encode()))

    return st.sampled_from(list(names)).flatmap(written)


def _deep(depth: int) -> bytes:
    return b'{"searchCriteria": ' + b"[" * depth + b"]" * depth + b"}"


tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
signatures = st.one_of(
    st.none(),
    tokens,
    st.sampled_from(["medical-imaging", "sagemaker"]).map(AUTHORIZATION.format),
    st.sampled_from(["eu-central-1", "mars", "", "us-east-1"]).map(
        lambda region: AUTHORIZATION.format("medical-imaging").replace("us-east-1", region)
    ),
    st.sampled_from(["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b/c", "Bearer x", "Basic eDp5"]),
)
paths = st.lists(
    st.sampled_from(
        [
            "datastore",
            DATASTORE,
            "imageSet",
            IMAGE_SET,
            "getImageSet",
            "listImageSetVersions",
            "tags",
            "",
            "..",
            "startDICOMImportJob",
            "searchImageSets",
            quote(IMAGE_SET_ARN, safe=""),
            IMAGE_ARN,
            "%ff",
            "%00",
            "a b",
        ]
    ),
    max_size=5,
).map(lambda parts: "/" + "/".join(quote(part, safe="%:/") for part in parts))
queries = st.sampled_from(
    [
        "",
        "?maxResults=2",
        "?nextToken=%ff",
        "?Action=ListImages",
        "?version=x",
        "?latestVersion=1&latestVersion=2",
        f"?X-Amz-Credential={quote(SCOPE.format('medical-imaging'), safe='')}",
        "?X-Amz-Credential=",
        "?%",
        "?a=&=b",
    ]
)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    anything.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [_deep(900), _deep(100_000), b"\xff\xfe", gzip.compress(b"{}"), gzip.compress(b"{}")[:9], b"{}"]
    ),
    st.just(b'{"ImageName": "analysis"}'),
)
targets = st.sampled_from(
    ["SageMaker.ListImages", "SageMaker.DescribeImage", "SageMaker.Nonsense", "SageMaker.", "SageMaker"]
)
other_headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(
            [
                "application/x-www-form-urlencoded",
                "application/json",
                "application/x-amz-json-1.1",
                "text/plain",
                "multipart/form-data; boundary=x",
                "multipart/form-data",
                "application/json; charset=nonsense",
                ";",
                "",
            ]
        ),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "aws-chunked", "nonsense"]),
        "X-Amz-Target": targets,
        "Host": st.sampled_from(
            [
                "medical-imaging.us-east-1.amazonaws.com",
                "runtime-medical-imaging.mars.amazonaws.com",
                "api.sagemaker.us-east-1.amazonaws.com",
                "a:b:c",
                "localhost",
            ]
        ),
        "User-Agent": st.sampled_from(["Boto3 region/eu-central-1", "region/xx-nowhere-1", ""]),
        "x-moto-account-id": st.sampled_from(["1", "two"]),
        "Accept": tokens,
    },
)


def _claims() -> st.SearchStrategy[tuple[str, str, dict[str, str]]]:
    """Give a path, a query and headers of which one says that the request is for one of the two services."""
    of_healthimaging = st.sampled_from(
        [f"/datastore/{DATASTORE}", "/datastore", f"/datastore/{DATASTORE}/imageSet/{IMAGE_SET}/getImageSet"]
    )
    presigned = [f"?X-Amz-Credential={quote(SCOPE.format(service), safe='')}" for service in SERVICES]
    hosts = ["runtime-medical-imaging.mars.amazonaws.com", "api.sagemaker.us-east-1.amazonaws.com"]
    return st.one_of(
        st.tuples(of_healthimaging, queries, st.just({})),
        st.tuples(paths, st.sampled_from(presigned), st.just({})),
        st.tuples(paths, queries, st.sampled_from(hosts).map(lambda host: {"Host": host})),
        st.tuples(paths, queries, targets.map(lambda target: {"X-Amz-Target": target})),
        st.tuples(paths, queries, st.sampled_from(SERVICES).map(_signed)),
        st.tuples(st.just("/"), st.just(""), targets.map(lambda target: _signed("sagemaker", target))),
    )


def _signed(service: str, target: str | None = None) -> dict[str, str]:
    signed = {"Authorization": AUTHORIZATION.format(service)}
    return signed if target is None else signed | {"X-Amz-Target": target}


@st.composite
def raw(draw: Any) -> OddRequest:
    """Give requests over raw HTTP for one of the two services, most of them wrong in several ways."""
    path, query, claim = draw(_claims())
    headers = draw(other_headers)
    signature = draw(signatures)
    if signature is not None and "X-Amz-Credential" not in query:
        headers["Authorization"] = signature
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "BREW"]))
    return OddRequest(method, path + query, headers | claim, draw(bodies))
