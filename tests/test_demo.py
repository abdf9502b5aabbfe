"""`make demo` as a newcomer has it: a process, in a checkout of its own, under a path with a space."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 240

# A whole Airflow has to start, each time.
pytestmark = pytest.mark.timeout(LIMIT_SECONDS + 30)


class NewcomersCheckout:
    """A copy of the checkout with a home folder beside it; tests check both after a demo."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a checkout"
        self.home = folder / "home"
        self.home.mkdir()
        for name in ("airflow_imgver", "dags", "demo"):
            shutil.copytree(CHECKOUT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the demo, with no terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "demo.run", *arguments],
            cwd=self.path,
            # No bytecode, so that every new file in the checkout is the demo's.
            env=os.environ | {"HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the demo to its end; give its exit status and what it printed."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            self.end_all(process)
        return process.returncode, output

    def end_all(self, process: subprocess.Popen[str]) -> None:
        """End what a failed test has left."""
        for left in [*self.processes(), process]:
            left.kill()
        process.wait()

    def processes(self) -> list[psutil.Process]:
        """The processes that work in this checkout."""
        return [one for one in psutil.process_iter() if _works_in(one, self.path)]

    def files(self) -> set[str]:
        """The checkout's files, but for the demo's own folder."""
        return {str(file) for file in self.path.rglob("*") if ".demo" not in file.parts}


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> NewcomersCheckout:
    """One checkout for all the tests here, so that each but the first is a demo run again."""
    return NewcomersCheckout(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(autouse=True)
def nothing_is_left(checkout: NewcomersCheckout) -> Iterator[None]:
    """No process outlives a demo, and no file outside its own folder."""
    before = checkout.files()
    yield
    assert checkout.processes() == []
    assert checkout.files() == before
    assert list(checkout.home.iterdir()) == []


def test_the_demo_shows_the_gates_waiting_and_the_versions_that_went_to_xcom(
    checkout: NewcomersCheckout,
) -> None:
    status, output = checkout.run()

    assert status == 0, output
    assert "\x1b" not in output, "a pipe gets plain lines"
    copy_gate = [line for line in output.splitlines() if "healthimaging_copy.wait_for_copy" in line]
    build_gate = [line for line in output.splitlines() if "sagemaker_image.wait_for_image" in line]
    for gate, busy, ready in (
        (copy_gate, "version 5 is COPYING", "version 5 is COPIED"),
        (build_gate, "version 3 is CREATING", "version 3 is CREATED"),
    ):
        text = "\n".join(gate)
        assert text.index(busy) < text.index("deferred") < text.index(f"success: {ready}"), output
    tables = output.partition("XCom of example_healthimaging_copy")[2]
    for cell in ("COPY_FAILED", "COPIED", "5", "CREATE_FAILED", "CREATED"):
        assert cell in tables, output


def test_the_demo_ends_with_the_reports_of_what_it_did_and_says_where_they_are(
    checkout: NewcomersCheckout,
) -> None:
    status, output = checkout.run("--transition-seconds", "1")

    assert status == 0, output
    pages = [Path(line) for line in output.splitlines() if line.endswith(".html")]
    assert [page.name for page in pages] == ["image_sets.html", "images.html"]
    assert {path.name for path in (checkout.path / ".demo").iterdir()} <= {"reports", "lock"}
    rows = (pages[0].with_suffix(".csv")).read_text()
    assert "COPIED" in rows
    assert "ea92b0d8838c72a3f25d00d13616f87e" in pages[0].read_text()


def test_a_gate_that_stops_makes_the_demo_fail_and_say_why_and_where_to_look(
    checkout: NewcomersCheckout,
) -> None:
    status, output = checkout.run("--failing-copy", "--transition-seconds", "1")

    assert status == 1, output
    assert "sagemaker_image                         success" in output
    assert "VersionFailedError" in output
    assert "Series of SourceImageSet and DestinationImageSet don't match." in output, "AWS's own reason"
    assert str(checkout.path / ".demo" / "logs") in output
    assert "Traceback" not in output


def test_ctrl_c_while_a_gate_waits_stops_everything(checkout: NewcomersCheckout) -> None:
    process = checkout.start("--transition-seconds", "300")
    hung = threading.Timer(LIMIT_SECONDS, checkout.end_all, [process])
    hung.start()
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if "deferred: it waits" in line:
                process.send_signal(signal.SIGINT)
                break
        text += process.stdout.read()
        assert process.wait() == 130, text
        assert "Everything it had started is stopped" in text
        assert "Traceback" not in text
    finally:
        hung.cancel()
        process.stdout.close()
        checkout.end_all(process)
