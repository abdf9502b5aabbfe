"""Faults and call counts over HTTP, as a client of any language injects and meets them."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from emulator_clients import client_of

from airflow_imgver.emulator import calls, clear_faults, inject_fault, reset_calls

DATASTORE, IMAGE_SET = "1" * 32, "2" * 32
THROTTLED = {"code": "ThrottlingException", "message": "Rate exceeded"}


def fault(operation: str = "ListImages", service: str = "sagemaker", **members: Any) -> dict[str, Any]:
    return {"service": service, "operation": operation, **members}


def outcome(sagemaker: Any) -> str:
    """The code of the error that a call meets, or "ok"."""
    try:
        sagemaker.list_images()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


class TestAnError:
    def test_meets_as_many_calls_as_requested(self, sagemaker: Any, control: Any) -> None:
        assert control("POST", "faults", fault(times=2, error=THROTTLED))[0] == 200
        assert [outcome(sagemaker) for _ in range(3)] == ["ThrottlingException"] * 2 + ["ok"]

    def test_meets_one_call_unless_told_otherwise(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImages", error=THROTTLED)
        assert [outcome(sagemaker) for _ in range(2)] == ["ThrottlingException", "ok"]

    def test_meets_every_nth_call_until_it_is_cleared(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(times=None, every=2, error=THROTTLED))
        assert [outcome(sagemaker) for _ in range(6)] == ["ok", "ThrottlingException"] * 3
        control("DELETE", "faults")
        assert [outcome(sagemaker) for _ in range(4)] == ["ok"] * 4

    def test_comes_after_those_that_were_injected_before(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImages", error=THROTTLED, times=2)
        inject_fault("sagemaker", "ListImages", error={"code": "AccessDeniedException"})
        codes = ["ThrottlingException", "ThrottlingException", "AccessDeniedException", "ok"]
        assert [outcome(sagemaker) for _ in range(4)] == codes

    def test_meets_no_other_operation(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImageVersions", error=THROTTLED)
        assert outcome(sagemaker) == "ok"

    def test_keeps_the_call_from_being_carried_out(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "CreateImage", error=THROTTLED)
        with pytest.raises(ClientError, match="Rate exceeded"):
            sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
        assert sagemaker.list_images()["Images"] == []

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ThrottlingException", 429),
            ("ConflictException", 409),
            ("AccessDeniedException", 403),
            ("ValidationException", 400),
            ("InternalServerException", 500),
            ("ResourceNotFoundException", 404),
        ],
    )
    def test_has_the_status_of_the_services_model(self, healthimaging: Any, code: str, status: int) -> None:
        inject_fault("medical-imaging", "ListImageSetVersions", error={"code": code, "message": "Injected"})
        with pytest.raises(ClientError) as met:
            healthimaging.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        assert met.value.response["Error"] == {"Code": code, "Message": "Injected"}
        assert met.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert met.value.response["ResponseMetadata"]["RequestId"]
        assert isinstance(met.value, getattr(healthimaging.exceptions, code))

    @pytest.mark.parametrize(
        ("code", "status"),
        [("ThrottlingException", 400), ("ServiceUnavailable", 503), ("ResourceNotFound", 400)],
    )
    def test_may_be_one_that_is_common_to_all_services(self, sagemaker: Any, code: str, status: int) -> None:
        inject_fault("sagemaker", "ListImages", error={"code": code, "message": "Injected"})
        with pytest.raises(ClientError, match=f"{code}.*Injected") as met:
            sagemaker.list_images()
        assert met.value.response["ResponseMetadata"]["HTTPStatusCode"] == status

    def test_may_be_any_with_a_status_beside_it(self, emulator_url: str) -> None:
        s3 = client_of("s3", emulator_url)
        inject_fault("s3", "ListBuckets", error={"code": "SlowDown", "message": "Injected", "status": 503})
        with pytest.raises(ClientError, match=r"SlowDown.*Injected") as met:
            s3.list_buckets()
        assert met.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert s3.list_buckets()["Buckets"] == []

    def test_is_written_in_the_protocol_of_a_query_service(self, emulator_url: str) -> None:
        sts = client_of("sts", emulator_url)
        inject_fault(
            "sts", "GetCallerIdentity", error={"code": "AccessDeniedException", "message": "Injected"}
        )
        with pytest.raises(ClientError, match=r"AccessDeniedException.*Injected") as met:
            sts.get_caller_identity()
        assert met.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert sts.get_caller_identity()["Account"]


class TestOtherFaults:
    def test_an_http_500_has_no_body(self, emulator_url: str, control: Any) -> None:
        control("POST", "faults", fault("ListImageSetVersions", "medical-imaging", kind="http-500"))
        connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=10)
        scope = "testing/20261121/us-east-1/medical-imaging/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        path = f"/datastore/{DATASTORE}/imageSet/{IMAGE_SET}/listImageSetVersions"
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Length"], answer.read()) == (500, "0", b"")
        connection.close()

    def test_a_drop_closes_the_connection_without_a_byte(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(kind="drop"))
        with pytest.raises(ConnectionClosedError):
            sagemaker.list_images()
        assert outcome(sagemaker) == "ok"

    def test_a_truncated_answer_stops_half_way_after_the_call_was_carried_out(
        self, emulator_url: str, sagemaker: Any, control: Any
    ) -> None:
        answers: list[bytes] = []

        def keep(response_dict: dict[str, Any], **_: Any) -> None:
            answers.append(response_dict["body"])

        client = client_of("sagemaker", emulator_url)
        client.meta.events.register("before-parse", keep)
        control("POST", "faults", fault("CreateImage", kind="truncate"))
        created = client.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
        # botocore takes a body that is no JSON for one without members.
        assert "ImageArn" not in created
        whole = b'{"ImageArn": "arn:aws:sagemaker:us-east-1:123456789012:image/analysis"}'
        assert answers == [whole[: len(whole) // 2]]
        assert created["ResponseMetadata"]["HTTPHeaders"]["content-length"] == str(len(answers[0]))
        assert [image["ImageName"] for image in sagemaker.list_images()["Images"]] == ["analysis"]

    def test_of_concurrent_changes_of_one_image_one_is_refused(
        self, emulator_url: str, sagemaker: Any
    ) -> None:
        for name in ("analysis", "other"):
            sagemaker.create_image(ImageName=name, RoleArn="arn:aws:iam::123456789012:role/studio")
        inject_fault("sagemaker", "CreateImageVersion", kind="concurrent", seconds=60, times=None)

        def create(name: str) -> str:
            try:
                client_of("sagemaker", emulator_url).create_image_version(ImageName=name, BaseImage="a")
            except ClientError as error:
                return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
            return "ok"

        with ThreadPoolExecutor(3) as pool:
            outcomes = list(pool.map(create, ["analysis", "other", "analysis", "analysis"]))
        refused = "ResourceInUse: Resource was modified concurrently"
        assert outcomes[1] == "ok"
        assert sorted(outcomes) == [refused, refused, "ok", "ok"]
        assert [
            len(sagemaker.list_image_versions(ImageName=name)["ImageVersions"])
            for name in ("analysis", "other")
        ] == [1, 1]

    def test_a_change_after_the_other_is_over_is_not_concurrent(self, sagemaker: Any, control: Any) -> None:
        sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
        control("POST", "faults", fault("CreateImageVersion", kind="concurrent", seconds=0.01, times=None))
        for _ in range(2):
            sagemaker.create_image_version(ImageName="analysis", BaseImage="a")
            over = time.monotonic()
            while time.monotonic() - over < 0.05:
                time.sleep(0.01)
        assert control("GET", "faults")[1]["faults"] == [
            fault("CreateImageVersion", kind="concurrent", seconds=0.01, times=None, every=1)
        ]

    def test_a_delay_answers_late_and_rightly(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(kind="delay", seconds=0.3))
        begun = time.monotonic()
        assert outcome(sagemaker) == "ok"
        assert time.monotonic() - begun >= 0.3

    def test_a_delay_ends_when_faults_are_cleared(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImages", kind="delay", seconds=600)
        with ThreadPoolExecutor() as pool:
            delayed = pool.submit(outcome, sagemaker)
            while not calls():
                time.sleep(0.01)
            clear_faults()
            assert delayed.result(timeout=30) == "ok"

    def test_a_delay_keeps_no_other_call_waiting(self, emulator_url: str, sagemaker: Any) -> None:
        inject_fault("sts", "GetCallerIdentity", kind="delay", seconds=60)
        sts = client_of("sts", emulator_url, read_timeout=0.2)
        with pytest.raises(Exception, match="Read timeout"):
            sts.get_caller_identity()
        assert outcome(sagemaker) == "ok"


class TestRequests:
    def test_are_listed_with_how_often_each_is_left(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(times=3, error=THROTTLED))
        control("POST", "faults", fault("ListDomains", kind="delay", seconds=2, times=None, every=5))
        outcome(sagemaker)
        assert control("GET", "faults") == (
            200,
            {
                "faults": [
                    fault(kind="error", error=THROTTLED, times=2, every=1),
                    fault("ListDomains", kind="delay", seconds=2, times=None, every=5),
                ]
            },
        )

    def test_are_forgotten_when_they_are_used_up(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(error=THROTTLED))
        outcome(sagemaker)
        assert control("GET", "faults") == (200, {"faults": []})

    def test_a_quota_throttles_the_calls_beyond_its_burst_and_lets_more_through_with_time(
        self, sagemaker: Any, control: Any
    ) -> None:
        control("POST", "faults", fault(kind="quota", per_second=2, burst=3, times=None))
        came = [outcome(sagemaker) for _ in range(12)]
        throttled = came.count("ThrottlingException")
        assert came[:3] == ["ok"] * 3
        assert throttled
        (pending,) = control("GET", "faults")[1]["faults"]
        assert (pending["per_second"], pending["burst"], pending["throttled"]) == (2, 3, throttled)
        begun = time.monotonic()
        while outcome(sagemaker) != "ok":
            assert time.monotonic() - begun < 10
        assert time.monotonic() - begun < 5

    def test_a_quota_is_of_its_operation_alone(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImages", kind="quota", per_second=0.001, times=None)
        assert outcome(sagemaker) == "ok"
        assert outcome(sagemaker) == "ThrottlingException"
        assert sagemaker.list_domains()["Domains"] == []

    def test_are_taken_back_by_the_python_call_too(self, sagemaker: Any, control: Any) -> None:
        control("POST", "faults", fault(error=THROTTLED))
        clear_faults()
        assert outcome(sagemaker) == "ok"

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (fault(), "either an error or a kind"),
            (fault(service="healthimaging", kind="drop"), "'healthimaging' is not a service"),
            (fault("ListImageSets", kind="drop"), "no operation 'ListImageSets'"),
            ({"operation": "ListImages", "kind": "drop"}, "service is None"),
            (fault(kind="explode"), "kind is 'explode'"),
            (fault(kind="drop", error=THROTTLED), "an error needs kind 'error'"),
            (fault(kind="error"), "an error needs kind 'error'"),
            (fault(error="ThrottlingException"), "the error is 'ThrottlingException'"),
            (fault(error={"message": "no code"}), "the error's code is None"),
            (fault(error={"code": "ThrottlingException", "message": 5}), "the error's message is 5"),
            (fault(error={"code": "NoSuchThing"}), "'NoSuchThing' is neither"),
            (fault("DescribeImage", error={"code": "NoSuchThing"}), "answers ResourceNotFound"),
            (fault(error={"code": "Odd", "status": 200}), "status is 200"),
            (fault(error={"Code": "ThrottlingException"}), "'Code'"),
            (fault(kind="delay"), "kind 'delay' needs seconds"),
            (fault(kind="delay", seconds=-1), "seconds is -1"),
            (fault(kind="delay", seconds="2"), "seconds is '2'"),
            (fault(kind="drop", seconds=2), "kind 'delay' needs seconds"),
            (fault("CreateImageVersion", kind="concurrent"), "so does 'concurrent'"),
            (fault(kind="concurrent", seconds=1), "sagemaker ListImages has no concurrent changes"),
            (fault("ListDatastores", "medical-imaging", kind="concurrent", seconds=1), "has no concurrent"),
            (fault(kind="quota"), "kind 'quota' needs per_second"),
            (fault(kind="quota", per_second=0), "per_second is 0"),
            (fault(kind="quota", per_second="25"), "per_second is '25'"),
            (fault(kind="quota", per_second=1, burst=0.5), "burst is 0.5"),
            (fault(kind="drop", per_second=25), "no other kind takes them"),
            (fault(kind="drop", times=0), "times is 0"),
            (fault(kind="drop", times=True), "times is True"),
            (fault(kind="drop", every=None), "every is None"),
            (fault(kind="drop", match="x"), "'match' is unknown"),
            ([1], "it must be a JSON object"),
            (b"{", "not JSON"),
            (b"\xff", "not JSON"),
        ],
    )
    def test_that_cannot_be_carried_out_are_refused_with_the_reason(
        self, control: Any, document: Any, reason: str
    ) -> None:
        status, answer = control("POST", "faults", document)
        assert status == 400
        assert reason in answer["message"]
        assert control("GET", "faults") == (200, {"faults": []})

    def test_are_not_taken_at_another_address(self, control: Any) -> None:
        status, answer = control("PUT", "fault", {})
        assert status == 404
        assert "POST /_imgver/faults" in answer["message"]


class TestTheCounts:
    def test_tell_each_call_of_each_service_apart(
        self, sagemaker: Any, healthimaging: Any, emulator_url: str, control: Any
    ) -> None:
        for _ in range(2):
            sagemaker.list_images()
        healthimaging.list_datastores()
        with pytest.raises(ClientError):
            healthimaging.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        s3 = client_of("s3", emulator_url)
        s3.create_bucket(Bucket="scans")
        s3.list_objects_v2(Bucket="scans")
        client_of("sqs", emulator_url).list_queues()
        client_of("events", emulator_url).list_rules()
        client_of("sts", emulator_url).get_caller_identity()
        expected = {
            "events": {"ListRules": 1},
            "medical-imaging": {"ListDatastores": 1, "ListImageSetVersions": 1},
            "s3": {"CreateBucket": 1, "ListObjectsV2": 1},
            "sagemaker": {"ListImages": 2},
            "sqs": {"ListQueues": 1},
            "sts": {"GetCallerIdentity": 1},
        }
        assert control("GET", "calls") == (200, expected)
        assert calls() == expected

    def test_hold_calls_that_met_a_fault(self, sagemaker: Any) -> None:
        inject_fault("sagemaker", "ListImages", error=THROTTLED)
        inject_fault("sagemaker", "ListImages", kind="http-500")
        for _ in range(3):
            outcome(sagemaker)
        assert calls() == {"sagemaker": {"ListImages": 3}}

    def test_begin_again_when_they_are_reset(self, sagemaker: Any, control: Any) -> None:
        sagemaker.list_images()
        assert control("DELETE", "calls") == (200, {})
        sagemaker.list_images()
        assert calls() == {"sagemaker": {"ListImages": 1}}
        reset_calls()
        assert calls() == {}

    def test_leave_out_what_is_no_operation(self, emulator_url: str, control: Any) -> None:
        connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=10)
        connection.request("GET", "/moto-api/data.json")
        connection.getresponse().read()
        connection.request("PATCH", "/datastore", headers={"Authorization": "AWS4-HMAC-SHA256 nonsense"})
        connection.getresponse().read()
        connection.close()
        assert control("GET", "calls") == (200, {})
