"""`wait-image-set-version` and `wait-image-version`: exit statuses, and what is printed meanwhile."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import CHECKOUT, PROGRAM, Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    Answer,
    Asked,
    connection_json,
    image_set_entry,
    image_version_entry,
    list_calls,
    load_image,
    load_image_set,
    stub_aws,
    wait_for,
)

WAIT_SET = ("wait-image-set-version", "--datastore-id", DATASTORE, "--image-set-id")
WAIT_IMAGE = ("wait-image-version", "--image-name")
OTHER_SET = "0" * 31 + "a"


@pytest.fixture
def busy(emulator_url: str) -> None:
    """A copy that goes on for longer than any of these tests."""
    from moto.moto_api import state_manager

    from airflow_imgver.emulator.registration import MANAGED_MODELS

    for model in MANAGED_MODELS:
        state_manager.set_transition(model, {"progression": "time", "seconds": 600})
    load_image_set(image_set_entry(2, "COPYING", "LOCKED"), image_set_entry(1, "COPIED"))


# --- exit statuses ---


def test_a_version_that_is_ready_is_status_0_and_a_line_on_stdout(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(4))

    done = run(*WAIT_SET, IMAGE_SET)

    assert (done.status, done.err) == (0, "")
    assert re.match(r"Open after \d s, waited until ready: ", done.out)
    assert done.out.startswith("Open after 0 s, waited until ready: UPDATED (ACTIVE, version 4): image set")


def test_a_failed_version_is_status_1_and_awss_message_on_stderr(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(4), image_set_entry(3, "COPY_FAILED", message=MISMATCH))

    done = run(*WAIT_SET, IMAGE_SET, "--version", "3")

    assert (done.status, done.out) == (1, "")
    assert MISMATCH in done.err
    assert done.err.count("\n") == 1


def test_a_failed_version_is_status_0_where_it_need_only_be_settled(run: Run, emulator_url: str) -> None:
    load_image(image_version_entry(1, "CREATE_FAILED"))

    assert run(*WAIT_IMAGE, IMAGE, "--wait-until", "settled").status == 0


def test_a_deleted_version_is_status_1(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(1, "DELETED", "DELETED", deletedAt=image_set_entry(1)["createdAt"]))

    done = run(*WAIT_SET, IMAGE_SET)

    assert done.status == 1
    assert "DELETED" in done.err


def test_an_image_that_aws_does_not_know_is_status_1_after_as_many_polls(run: Run, emulator_url: str) -> None:
    done = run(*WAIT_IMAGE, "nowhere", "--not-found-retries", "2", "--interval", "0.05")

    assert done.status == 1
    assert "ResourceNotFound" in done.err
    assert list_calls() == 3


def test_an_image_that_aws_does_not_know_is_deleted(run: Run, emulator_url: str) -> None:
    assert run(*WAIT_IMAGE, "nowhere", "--wait-until", "deleted").status == 0


@pytest.mark.usefixtures("busy")
def test_a_version_that_stays_busy_is_status_124_and_what_was_seen_last(run: Run) -> None:
    done = run(*WAIT_SET, IMAGE_SET, "--timeout", "0.3", "--interval", "0.1")

    assert (done.status, done.out) == (124, "")
    assert "Timed out" in done.err
    assert (
        "Timed out after 0.3 s. Last seen: COPYING (LOCKED, version 2): image set"
        in done.err.splitlines()[-1]
    )


@pytest.mark.usefixtures("busy")
def test_a_timeout_of_0_polls_once(run: Run) -> None:
    assert run(*WAIT_SET, IMAGE_SET, "--timeout", "0").status == 124
    assert list_calls() == 1


@pytest.mark.usefixtures("busy")
def test_the_source_of_a_copy_that_may_be_read_is_ready_where_that_is_enough(run: Run) -> None:
    load_image_set(image_set_entry(2, "COPYING_WITH_READ_ONLY_ACCESS", "LOCKED"))

    assert run(*WAIT_SET, IMAGE_SET, "--timeout", "0").status == 124
    assert run(*WAIT_SET, IMAGE_SET, "--timeout", "0", "--allow-read-only").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*WAIT_SET, "SHORT"), "image_set_id must be 32 digits"),
        ((*WAIT_SET, IMAGE_SET, "--version", "latest"), "version must be a version number"),
        ((*WAIT_SET, IMAGE_SET, OTHER_SET, "--version", "1", "2", "3"), "version is a list of 3"),
        ((*WAIT_SET, IMAGE_SET, "--interval", "0"), "without a pause"),
        ((*WAIT_SET, IMAGE_SET, "--timeout", "-1"), "is not a number of seconds"),
        ((*WAIT_SET, IMAGE_SET, "--wait-until", "done"), "invalid choice"),
        (WAIT_SET[:3], "required: --image-set-id"),
        (WAIT_IMAGE[:1], "required: --image-name"),
    ],
)
def test_a_mistake_is_status_2_and_asks_aws_nothing(
    run: Run, emulator_url: str, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments)

    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert list_calls() == 0


# --- several ---


def test_several_are_waited_for_together(run: Run, emulator_url: str) -> None:
    from airflow_imgver.emulator.state import load

    image = image_version_entry(3)
    load({"sagemaker": {"first": [_of("first", image)], "second": [_of("second", image)]}})

    done = run(*WAIT_IMAGE, "first", "second", "--version", "3")

    assert done.status == 0
    assert "2 of 2 ready" in done.out


def test_of_several_each_that_failed_is_named(run: Run, emulator_url: str) -> None:
    from airflow_imgver.emulator.state import load

    failed = image_version_entry(1, "CREATE_FAILED", FailureReason="no such base image")
    load({"sagemaker": {name: [_of(name, failed)] for name in ("first", "second")}})

    done = run(*WAIT_IMAGE, "first", "second")

    assert done.status == 1
    assert "2 of 2 failed" in done.err
    assert done.err.count("no such base image") == 2


def _of(name: str, entry: dict[str, object]) -> dict[str, object]:
    return {
        key: value.replace(IMAGE, name) if isinstance(value, str) else value for key, value in entry.items()
    }


# --- what is printed meanwhile ---


def test_lines_are_printed_when_something_changes_and_an_error_may_pass(run: Run) -> None:
    answers = iter(
        [
            Answer({"imageSetPropertiesList": [image_set_entry(2, "COPYING", "LOCKED")]}),
            Answer({"imageSetPropertiesList": [image_set_entry(2, "COPYING", "LOCKED")]}),
            Answer({"message": "Rate exceeded"}, status=429),
            Answer({"imageSetPropertiesList": [image_set_entry(2, "COPIED")]}),
        ]
    )

    def answer(_: Asked) -> Answer:
        return next(answers)

    with stub_aws(answer) as stub:
        connection = connection_json(stub.url, config_kwargs={"retries": {"total_max_attempts": 1}})
        done = run(*WAIT_SET, IMAGE_SET, "--interval", "0.05", AIRFLOW_CONN_AWS_DEFAULT=connection)

    assert done.status == 0
    printed = done.err.splitlines()
    assert len(printed) == 2, done.err
    assert "Waiting until ready" in printed[0]
    assert "COPYING" in printed[0]
    assert "This may pass" in printed[1]


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> Iterator[Callable[..., tuple[subprocess.Popen[str], int]]]:
    """Start a command whose stderr is a terminal; gives the process and the terminal's other end."""
    ends: list[int] = []
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **more: str) -> tuple[subprocess.Popen[str], int]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment | more,
        )
        os.close(theirs)
        ends.append(ours)
        processes.append(process)
        return process, ours

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    for end in ends:
        os.close(end)


def _shown(terminal: int) -> str:
    """What a terminal was sent, until its process ended."""
    shown = b""
    while True:
        try:
            sent = os.read(terminal, 4096)
        except OSError:  # Linux's word for a terminal whose other end is closed.
            sent = b""
        if not sent:
            return shown.decode()
        shown += sent


@pytest.mark.usefixtures("busy")
def test_on_a_terminal_one_line_counts_and_goes_away(
    on_terminal: Callable[..., tuple[subprocess.Popen[str], int]],
) -> None:
    options = ("--timeout", "3", "--interval", "0.2")
    process, terminal = on_terminal(*WAIT_SET, IMAGE_SET, *options, TERM="xterm-256color")

    shown = _shown(terminal)

    assert process.wait(30) == 124
    assert "next poll in" in shown
    assert "\x1b[2K" in shown, "the line was never drawn over"
    last = shown.rpartition("\x1b[2K")[2]
    assert last.startswith("Timed out")


@pytest.mark.usefixtures("busy")
def test_a_dumb_terminal_gets_plain_lines(
    on_terminal: Callable[..., tuple[subprocess.Popen[str], int]],
) -> None:
    process, terminal = on_terminal(*WAIT_SET, IMAGE_SET, "--timeout", "3", "--interval", "0.1", TERM="dumb")

    shown = _shown(terminal)

    assert process.wait(30) == 124
    assert "\x1b" not in shown
    assert "Waiting until ready" in shown


@pytest.mark.usefixtures("busy")
def test_a_log_gets_plain_lines_even_where_colors_are_forced(run: Run) -> None:
    done = run(*WAIT_SET, IMAGE_SET, "--timeout", "3", "--interval", "0.1", TERM="xterm", FORCE_COLOR="1")

    assert "\x1b" not in done.err
    assert "Waiting until ready" in done.err


@pytest.mark.usefixtures("busy")
def test_ctrl_c_is_status_130_without_a_traceback(environment: dict[str, str], tmp_path: Path) -> None:
    printed = tmp_path / "stderr"
    with printed.open("w") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, *WAIT_SET, IMAGE_SET],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
        )
        try:
            wait_for(lambda: "Waiting" in printed.read_text(), seconds=60)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.wait()

    assert printed.read_text().endswith("Interrupted.\n")
    assert "Traceback" not in printed.read_text()
