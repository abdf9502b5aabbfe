"""Starting and ending the embedded AWS in a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from emulator_clients import client_of
from moto import mock_aws
from moto.moto_api import state_manager

from airflow_imgver.emulator import StateError, calls, inject_fault, mock_image_versions, serve
from airflow_imgver.emulator.registration import MANAGED_MODELS

DATASTORE, IMAGE_SET = "12345678901234567890123456789012", "ea92b0d8838c72a3f25d00d13616f87e"
ENTRY = {
    "imageSetId": IMAGE_SET,
    "versionId": "1",
    "imageSetState": "ACTIVE",
    "ImageSetWorkflowStatus": "COPIED",
    "createdAt": 1680027126.436,
}
STATE = {"healthimaging": {DATASTORE: {IMAGE_SET: [ENTRY]}}, "sagemaker": {"analysis": []}}


def test_it_begins_with_a_state_and_ends_with_none() -> None:
    with serve(state=STATE) as url:
        healthimaging, sagemaker = client_of("medical-imaging", url), client_of("sagemaker", url)
        found = healthimaging.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        [entry] = found["imageSetPropertiesList"]
        assert entry["createdAt"] == datetime.fromtimestamp(1680027126.436, UTC)
        assert [image["ImageName"] for image in sagemaker.list_images()["Images"]] == ["analysis"]
        inject_fault("sagemaker", "ListImages", kind="http-500")
    with serve() as url:
        assert client_of("sagemaker", url).list_images()["Images"] == []
        assert calls() == {"sagemaker": {"ListImages": 1}}


def test_it_takes_time_for_state_changes_when_told_so_and_no_longer() -> None:
    busy = {"ImageSetWorkflowStatus": "UPDATING", "imageSetState": "LOCKED"}
    entry = ENTRY | busy
    with serve(state={"healthimaging": {DATASTORE: {IMAGE_SET: [entry]}}}, transition_seconds=600) as url:
        healthimaging = client_of("medical-imaging", url)
        found = healthimaging.get_image_set(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        assert found["imageSetWorkflowStatus"] == "UPDATING"
        configured = [state_manager.get_transition(model) for model in MANAGED_MODELS]
        assert configured == [{"progression": "time", "seconds": 600}] * len(MANAGED_MODELS)
    assert {state_manager.get_transition(model)["progression"] for model in MANAGED_MODELS} == {"immediate"}


def test_it_frees_its_port_and_hangs_up_on_its_clients() -> None:
    with serve() as url:
        port = urlsplit(url).port
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            wire.sendall(b"GET /_imgver/calls HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wire.recv(65536).endswith(b"{}")
            kept_open = wire.dup()
    with kept_open:
        assert kept_open.recv(65536) == b""
    with serve(port=port) as url:
        assert urlsplit(url).port == port


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on() -> None:
    with serve() as url, socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10) as wire:
        wire.sendall(
            b"PUT /a-bucket/a-key HTTP/1.1\r\nHost: s3.amazonaws.com\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert wire.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        wire.sendall(b"body")
        assert wire.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_it_is_refused_a_second_time_in_one_process() -> None:
    with serve(), pytest.raises(RuntimeError, match="already runs in this process"), serve():
        pass
    with serve(), pytest.raises(RuntimeError, match="already runs in this process"):
        mock_image_versions().__enter__()


def test_it_is_refused_inside_mock_aws_whose_data_it_would_wipe() -> None:
    with mock_aws():
        client_of("s3").create_bucket(Bucket="scans")
        with pytest.raises(RuntimeError, match="mock_aws"), serve():
            pass
        assert [bucket["Name"] for bucket in client_of("s3").list_buckets()["Buckets"]] == ["scans"]


def test_it_leaves_the_process_free_after_a_refusal() -> None:
    with pytest.raises(StateError, match="images"), serve(state={"images": {}}):
        pass
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        serve(port=taken.getsockname()[1]),
    ):
        pass
    with serve() as url:
        assert client_of("sagemaker", url).list_images()["Images"] == []


def test_it_refuses_a_negative_transition_time() -> None:
    with pytest.raises(ValueError, match="must not be negative"), serve(transition_seconds=-1):
        pass


def test_it_needs_no_aws_settings_and_minds_no_broken_ones() -> None:
    program = (
        "import urllib.request\nfrom airflow_imgver.emulator import serve\n"
        "with serve() as url, urllib.request.urlopen(f'{url}/moto-api/data.json') as answer:\n"
        "    print(answer.status)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    broken = {"AWS_PROFILE": "nobody", "AWS_DEFAULT_REGION": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | broken,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("200", "")


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with serve(host="::1") as url:
            assert url.startswith("http://[::1]:")
            assert client_of("sagemaker", url).list_images()["Images"] == []
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
