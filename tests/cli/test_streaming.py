"""Long listings: rows as they come, memory that stays flat, and a reader that leaves early."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from processes import CHECKOUT, PROGRAM
from support import (
    DATASTORE,
    IMAGE_SET,
    Answer,
    Asked,
    StubAws,
    connection_json,
    image_set_entry,
    in_page_size,
    stub_aws,
)

MANY = 10_000
LISTING = ("list-image-set-versions", "--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)
PIPE_CLOSED = 141


@pytest.fixture(scope="module")
def answer() -> Callable[[Asked], Answer]:
    return in_page_size([image_set_entry(number) for number in range(MANY, 0, -1)], "medical-imaging")


@contextmanager
def listing(stub: StubAws, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*PROGRAM, *LISTING, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {
            "PYTHONPATH": str(CHECKOUT),
            "AIRFLOW_CONN_AWS_DEFAULT": connection_json(stub.url),
            # The stub has no quota.
            "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": "100000",
        },
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_first_rows_are_shown_before_the_last_page_has_been_asked_for(
    answer: Callable[[Asked], Answer],
) -> None:
    shown = threading.Event()

    def held(asked: Asked) -> Answer:
        # Without the first rows on stdout, the tenth page is never answered in time.
        if asked.token is not None and int(asked.token) >= 9 * 50:
            assert shown.wait(60)
        return answer(asked)

    with stub_aws(held) as stub, listing(stub, "--output", "text") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert len(stub.asked) <= 10
        shown.set()
        rest = process.stdout.readlines()
        assert process.wait(60) == 0

    assert first.rstrip().endswith(f"\t{MANY}")
    assert len(rest) == MANY - 1


_PEAK = """
import os, runpy, sys
try:
    sys.argv = ["airflow_imgver", *sys.argv[1:]]
    runpy.run_module("airflow_imgver", run_name="__main__")
finally:
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")).split()[1], file=sys.stderr)
"""


@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="only Linux reports a process's peak memory"
)
def test_the_memory_of_a_text_listing_does_not_grow_with_it(answer: Callable[[Asked], Answer]) -> None:
    def peak(*options: str) -> int:
        with stub_aws(answer) as stub:
            done = subprocess.run(
                [*PROGRAM[:1], "-c", _PEAK, *LISTING, *options],
                capture_output=True,
                text=True,
                timeout=100,
                check=True,
                env=os.environ
                | {
                    "PYTHONPATH": str(CHECKOUT),
                    "AIRFLOW_CONN_AWS_DEFAULT": connection_json(stub.url),
                    "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": "100000",
                },
            )
        return int(done.stderr.split()[-1])

    few = peak("--output", "text", "--max-items", "100")
    many = peak("--output", "text")

    # All entries at once would take more than 10 MiB; the figure is in KiB.
    assert many - few < 4096


@pytest.mark.parametrize("form", ["text", "json", "yaml", "plain", "table"])
def test_a_reader_that_leaves_early_ends_the_listing_without_a_word(
    answer: Callable[[Asked], Answer], form: str
) -> None:
    with stub_aws(answer) as stub, listing(stub, "--output", form) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == PIPE_CLOSED
        assert process.stderr is not None
        assert process.stderr.read() == ""
