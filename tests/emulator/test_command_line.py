"""`python -m airflow_imgver.emulator`, as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_clients import client_of

Started = tuple[subprocess.Popen[str], str]
COMMAND = [sys.executable, "-m", "airflow_imgver.emulator"]


@pytest.fixture
def started() -> Iterator[Callable[..., Started]]:
    """Start the emulator and wait for its line; gives the process and the URL that the line ends in."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> Started:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().split()[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; gives the exit code and what was printed since the line with the URL."""
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def refused(*arguments: str) -> str:
    """The one line on stderr of an emulator that does not start."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_line_and_stops_cleanly(started: Any, number: signal.Signals) -> None:
    process, url = started()
    assert url.startswith("http://127.0.0.1:")
    assert client_of("sagemaker", url).list_images()["Images"] == []
    assert ended(process, number) == (0, "", "")


def test_it_stops_while_a_call_is_being_delayed(started: Any) -> None:
    process, url = started()
    fault = {"service": "sts", "operation": "GetCallerIdentity", "kind": "delay", "seconds": 60}
    body = json.dumps(fault).encode()
    urllib.request.urlopen(f"{url}/_imgver/faults", data=body, timeout=10).close()
    with pytest.raises(Exception, match="Read timeout"):
        client_of("sts", url, read_timeout=0.2).get_caller_identity()
    assert ended(process, signal.SIGTERM) == (0, "", "")


def test_it_takes_the_port_that_it_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*COMMAND, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(f"http://127.0.0.1:{port}\n")
        process.terminate()


def test_it_loads_a_state_and_takes_its_time(started: Any, tmp_path: Path) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    entry = {
        "CreationTime": 1780000000,
        "ImageArn": f"{arn}:image/analysis",
        "ImageVersionArn": f"{arn}:image-version/analysis/1",
        "ImageVersionStatus": "CREATING",
        "LastModifiedTime": 1780000000,
        "Version": 1,
    }
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"sagemaker": {"analysis": [entry]}}), encoding="utf-8")
    _, url = started("--state", str(state), "--transition-seconds", "600")
    found = client_of("sagemaker", url).describe_image_version(ImageName="analysis")
    assert found["ImageVersionStatus"] == "CREATING"


def test_it_needs_no_aws_settings_and_minds_no_broken_ones(started: Any) -> None:
    process, url = started(AWS_PROFILE="nobody", AWS_DEFAULT_REGION="nowhere")
    assert client_of("sts", url).get_caller_identity()["Account"] == "123456789012"
    assert ended(process, signal.SIGTERM) == (0, "", "")


def test_it_writes_one_line_a_request_when_it_is_told_to(started: Any) -> None:
    process, url = started("--verbose")
    client_of("sagemaker", url).list_images()
    code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    [line] = err.splitlines()
    assert line.endswith("POST / 200")


def test_it_refuses_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: Address already in use" in refused("--port", str(port))


def test_it_refuses_a_malformed_state_with_the_place(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"sagemaker":\n {"analysis": [{}]}}', encoding="utf-8")
    place = "sagemaker.analysis[0].CreationTime: missing"
    assert f"{state}: {place}" in refused("--port", "0", "--state", str(state))


def test_it_refuses_a_state_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "state.json"
    assert f"{missing}: No such file" in refused("--port", "0", "--state", str(missing))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "http"],
        ["--transition-seconds", "-1"],
        ["--index-lag", "-1"],
        ["--region", "x"],
    ],
)
def test_it_refuses_a_nonsensical_argument(arguments: list[str]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


def test_it_takes_the_options_of_events(started: Any) -> None:
    _, url = started("--events", "lost=0.25", "form=schema", "seed=7")
    with urllib.request.urlopen(f"{url}/_imgver/events", timeout=10) as answer:
        options = json.load(answer)["options"]
    assert (options["lost"], options["form"], options["seed"], options["doubled"]) == (0.25, "schema", 7, 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["lose=1"], "'lose' is unknown"), (["lost=much"], "lost is 'much'"), (["lost"], "lost is ''")],
)
def test_it_refuses_options_of_events_that_cannot_be_carried_out(words: list[str], reason: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--events", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert reason in done.stderr.splitlines()[-1]
