"""What the embedded AWS makes of HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from emulator_clients import client_of

from airflow_imgver.emulator import calls

DATASTORE, IMAGE_SET = "1" * 32, "2" * 32


@pytest.fixture
def connection(emulator_url: str) -> Any:
    connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=10)
    yield connection
    connection.close()


def list_versions(connection: http.client.HTTPConnection, **headers: str) -> http.client.HTTPResponse:
    path = f"/datastore/{DATASTORE}/imageSet/{IMAGE_SET}/listImageSetVersions"
    scope = "testing/20261121/us-east-1/medical-imaging/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    connection.request("POST", path, headers=signed | headers)
    return connection.getresponse()


class TestRequests:
    def test_share_a_connection(self, connection: http.client.HTTPConnection) -> None:
        sockets = set()
        for _ in range(3):
            list_versions(connection).read()
            sockets.add(id(connection.sock))
        assert connection.sock is not None
        assert len(sockets) == 1

    def test_are_kept_apart_on_one_connection(self, emulator_url: str) -> None:
        """What a backend leaves unread of a request must not be taken for the next."""
        address = urlsplit(emulator_url)
        body = "x" * 1000
        head = "POST /moto-api/reset HTTP/1.1\r\nHost: a\r\n"
        unread = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        last = "GET /_imgver/calls HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with socket.create_connection((address.hostname, address.port), timeout=10) as wire:
            wire.sendall((unread + chunked + last).encode())
            answers = b"".join(iter(lambda: wire.recv(65536), b""))
        assert answers.count(b"HTTP/1.1 200 ") == 3
        assert answers.endswith(b"{}")

    def test_are_answered_with_their_length(self, connection: http.client.HTTPConnection) -> None:
        answer = list_versions(connection)
        assert int(answer.headers["Content-Length"]) == len(answer.read())
        assert len(answer.headers.get_all("Content-Length")) == 1

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:{}", "runtime-127.0.0.1:{}", "runtime-localhost", "aws:4566"]
    )
    def test_are_routed_by_their_signature_and_not_by_their_host(
        self, emulator_url: str, connection: http.client.HTTPConnection, host: str
    ) -> None:
        answer = list_versions(connection, Host=host.format(urlsplit(emulator_url).port))
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
        answer.read()

    def test_that_moto_cannot_answer_say_so(self, emulator_url: str) -> None:
        with pytest.raises(ClientError, match="create_app_image_config action has not been implemented"):
            client_of("sagemaker", emulator_url).create_app_image_config(AppImageConfigName="analysis")

    def test_that_are_no_http_do_not_stop_the_server(
        self, emulator_url: str, connection: http.client.HTTPConnection
    ) -> None:
        address = urlsplit(emulator_url)
        for noise in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n"):
            with socket.create_connection((address.hostname, address.port), timeout=10) as wire:
                wire.sendall(noise)
                wire.recv(65536)
        assert list_versions(connection).status == 404

    def test_come_from_many_clients_at_once(self, emulator_url: str) -> None:
        outcomes: list[int] = []

        def call() -> None:
            connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=60)
            outcomes.append(list_versions(connection).status)
            connection.close()

        clients = [threading.Thread(target=call) for _ in range(100)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert outcomes == [404] * 100
        assert calls()["medical-imaging"] == {"ListImageSetVersions": 100}


class TestTheRestOfMoto:
    def test_serves_s3(self, emulator_url: str) -> None:
        s3 = client_of("s3", emulator_url)
        s3.create_bucket(Bucket="scans")
        s3.put_object(Bucket="scans", Key="folder/a b", Body=b"x" * 100_000, Metadata={"ward_no": "3"})
        found = s3.get_object(Bucket="scans", Key="folder/a b")
        assert (found["Body"].read(), found["Metadata"]) == (b"x" * 100_000, {"ward_no": "3"})
        head = s3.head_object(Bucket="scans", Key="folder/a b")
        assert head["ContentLength"] == 100_000
        s3.delete_object(Bucket="scans", Key="folder/a b")
        assert "Contents" not in s3.list_objects_v2(Bucket="scans")

    def test_serves_sts(self, emulator_url: str) -> None:
        assert client_of("sts", emulator_url).get_caller_identity()["Account"] == "123456789012"
