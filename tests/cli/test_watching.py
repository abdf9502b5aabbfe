"""`watch`: the events of a data store, of images and of a queue, until Ctrl-C."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from processes import CHECKOUT, PROGRAM, Run
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    client_of,
    image_set_entry,
    image_version_entry,
    load_image,
    load_image_set,
    wait_for,
)

from airflow_imgver.emulator import inject_fault

OF_DATASTORE = ("watch", "--datastore-id", DATASTORE)
OF_IMAGE = ("watch", "--image-name", IMAGE)
QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
LONG_AGO = ("--since", "2020-01-01")


class Watching:
    """A command that runs, and the lines that it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self) -> str:
        """The next line, as soon as it is printed."""
        return self._lines.get(timeout=60)

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; gives the status and stderr."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        error = self.process.stderr.read()
        return self.process.wait(30), error


@pytest.fixture
def watching(environment: dict[str, str]) -> Iterator[Callable[..., Watching]]:
    """Start a command that goes on until it is interrupted."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Watching:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
        )
        started.append(process)
        return Watching(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def events_queue(emulator_url: str) -> Any:
    """A queue with the events of both services; gives a client of SQS."""
    sqs, events = client_of("sqs", emulator_url), client_of("events", emulator_url)
    sqs.create_queue(QueueName="events")
    pattern = {"source": ["aws.medical-imaging", "aws.sagemaker"]}
    events.put_rule(Name="events", EventPattern=json.dumps(pattern))
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    events.put_targets(Rule="events", Targets=[{"Id": "queue", "Arn": arn}])
    return sqs


def update(emulator_url: str) -> None:
    """Make one more version of the image set."""
    document = {"SchemaVersion": 1.1, "Study": {"DICOM": {"StudyDescription": "CT"}}}
    client_of("medical-imaging", emulator_url).update_image_set_metadata(
        datastoreId=DATASTORE,
        imageSetId=IMAGE_SET,
        latestVersionId="1",
        updateImageSetMetadataUpdates={
            "DICOMUpdates": {"updatableAttributes": json.dumps(document).encode()}
        },
    )


# --- a data store and images ---


def test_each_version_of_a_data_store_is_a_line_with_the_reason_of_a_failure(
    run: Run, emulator_url: str
) -> None:
    load_image_set(
        image_set_entry(3, "COPYING", "LOCKED"),
        image_set_entry(2, "COPY_FAILED", message=MISMATCH),
        image_set_entry(1, "CREATED"),
    )

    done = run(*OF_DATASTORE, *LONG_AGO, "--max-items", "2")

    assert done.status == 0, done.err
    where = f"image set {IMAGE_SET} in data store {DATASTORE}"
    created, failed = done.out.splitlines()
    assert re.fullmatch(rf"20\S+ ready CREATED version 1 of {where}", created)
    assert re.fullmatch(rf"20\S+ failed COPY_FAILED version 2 of {where}: {re.escape(MISMATCH)}", failed)
    assert re.search(r"Watching until Ctrl-C, with a scan every 10 s\.", done.err)


def test_json_is_a_line_for_each_event(run: Run, emulator_url: str) -> None:
    load_image(
        image_version_entry(2, "CREATE_FAILED", FailureReason="no such\nimage"), image_version_entry(1)
    )

    done = run(*OF_IMAGE, *LONG_AGO, "--max-items", "2", "--output", "json")

    events = [json.loads(line) for line in done.out.splitlines()]
    assert {(event["version"], event["phase"], event["reason"]) for event in events} == {
        (1, "ready", None),
        (2, "failed", "no such\nimage"),
    }
    assert {(event["service"], event["image_name"]) for event in events} == {("sagemaker", IMAGE)}


def test_names_and_phases_choose(run: Run, emulator_url: str) -> None:
    load_image(image_version_entry(2, "CREATE_FAILED"), image_version_entry(1))

    done = run(
        *("watch", "--name-contains", IMAGE[:4], "--phases", "failed", *LONG_AGO),
        *("--max-items", "1", "-o", "json"),
    )

    assert done.json["version"] == 2


def test_a_change_is_printed_when_it_has_happened_and_ctrl_c_ends_it(
    watching: Callable[..., Watching], emulator_url: str
) -> None:
    load_image_set(image_set_entry(1, "CREATED"))
    command = watching(*OF_DATASTORE, "--interval", "0.2", "--output", "json")
    assert command.process.stderr is not None
    assert "Watching until Ctrl-C" in command.process.stderr.readline()

    update(emulator_url)

    event = json.loads(command.line())
    assert (event["version"], event["status"]) == (2, "UPDATED")
    assert command.interrupt() == (130, "Interrupted.\n")


def test_an_error_that_may_pass_is_printed_and_waited_out(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(1, "CREATED"))
    inject_fault("medical-imaging", "SearchImageSets", error={"code": "ThrottlingException"}, times=4)

    done = run(*OF_DATASTORE, *LONG_AGO, "--max-items", "1")

    assert done.status == 0, done.err
    assert "ThrottlingException" in done.err
    assert "This may pass; next request in 1 s." in done.err


def test_an_error_that_stays_is_status_1(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(1, "CREATED"))
    inject_fault("medical-imaging", "SearchImageSets", error={"code": "AccessDeniedException"}, times=None)

    done = run(*OF_DATASTORE)

    assert (done.status, done.out) == (1, "")
    assert "AccessDeniedException" in done.err


# --- a queue ---


def test_a_queue_gives_the_events_of_both_services_and_keeps_every_message(
    watching: Callable[..., Watching], emulator_url: str, events_queue: Any
) -> None:
    load_image_set(image_set_entry(1, "CREATED"))
    command = watching("watch", "--queue-url", QUEUE_URL, "--output", "json")

    update(emulator_url)
    sagemaker = client_of("sagemaker", emulator_url)
    sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
    sagemaker.create_image_version(ImageName="analysis", BaseImage="not-in-ecr")

    events = [json.loads(command.line()) for _ in range(2)]
    assert {(event["service"], event["version"], event["status"]) for event in events} == {
        ("medical-imaging", 2, "UPDATED"),
        ("sagemaker", 1, "CREATE_FAILED"),
    }
    url = events_queue.get_queue_url(QueueName="events")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def messages() -> int:
        found = events_queue.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in found.values())

    # Two of the image set, two of the image, and two of its version.
    wait_for(lambda: messages() == 6)
    status, error = command.interrupt()
    assert status == 130
    assert messages() == 6
    assert "Nothing is deleted" in error
    assert "SageMaker Image State Change" in error, "a message about something else is reported"


@pytest.mark.usefixtures("events_queue")
def test_a_queue_can_be_narrowed_to_an_image(run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(1, "CREATED"))
    update(emulator_url)
    sagemaker = client_of("sagemaker", emulator_url)
    sagemaker.create_image(ImageName="analysis", RoleArn="arn:aws:iam::123456789012:role/studio")
    sagemaker.create_image_version(ImageName="analysis", BaseImage="not-in-ecr")

    done = run("watch", "--queue-url", QUEUE_URL, "--image-name", "analysis", "--max-items", "1")

    assert done.status == 0, done.err
    assert "failed CREATE_FAILED version 1 of image analysis" in done.out


def test_a_queue_that_does_not_exist_is_status_1(run: Run, emulator_url: str) -> None:
    done = run("watch", "--queue-url", QUEUE_URL)

    assert (done.status, done.out) == (1, "")
    assert "ReceiveMessage" in done.err
    assert QUEUE_URL in done.err


# --- options that do not go together ---


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "Give --queue-url, --datastore-id, --image-name or --name-contains."),
        (["--datastore-id", DATASTORE, "--image-name", IMAGE], "one of them without a queue"),
        (["--image-set-id", IMAGE_SET, "--image-name", IMAGE], "are not for image sets"),
        (["--image-name", IMAGE, "--name-contains", "a"], "one of them without a queue"),
        (["--image-set-id", IMAGE_SET], "Give --queue-url"),
        (["--datastore-id", "clinic"], "clinic"),
        (["--queue-url", "events"], "queue_url must be the address of an SQS queue"),
        (["--queue-url", f"{QUEUE_URL}.fifo"], "FIFO"),
        (["--queue-url", QUEUE_URL, "--since", "2026-11-30"], "--since is not for a queue"),
        (["--queue-url", QUEUE_URL, "--name-contains", "a"], "Name the images with --image-name"),
        (["--datastore-id", DATASTORE, "--since", "yesterday"], "--since must be a datetime"),
    ],
)
def test_options_that_do_not_go_together_are_status_2_and_no_request(
    run: Run, emulator_url: str, options: list[str], complaint: str
) -> None:
    from airflow_imgver.emulator import calls

    done = run("watch", *options)

    assert (done.status, done.out) == (2, "")
    assert complaint in done.err
    assert calls() == {}
