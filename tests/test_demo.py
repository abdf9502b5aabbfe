"""`make demo` and `make up` as a newcomer has them: processes in a checkout under a path with a space."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from support import DATASTORE, context_of

from airflow_imgver.emulator.state import load
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.operators.sagemaker_image import SageMakerImageVersionReportOperator
from demo.recent import recent_state
from demo.stack import free_port

CHECKOUT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 600

# A whole Airflow has to start, each time.
pytestmark = pytest.mark.timeout(LIMIT_SECONDS + 30)


class NewcomersCheckout:
    """A copy of the checkout with a home folder beside it; both are checked after a demo."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a checkout"
        self.home = folder / "home"
        self.home.mkdir()
        for name in ("airflow_imgver", "dags", "demo"):
            shutil.copytree(CHECKOUT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def start(self, *arguments: str, program: str = "demo.run") -> subprocess.Popen[str]:
        """Start the demo, or another program, without a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            cwd=self.path,
            # No bytecode, so that every new file in the checkout is one of the demo's.
            env=os.environ | {"HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the demo to its end; return its exit status and its output."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            self.end_all(process)
        return process.returncode, output

    def end_all(self, process: subprocess.Popen[str]) -> None:
        """End the processes that a failed test has left."""
        for left in [*self.processes(), process]:
            left.kill()
        process.wait()

    def processes(self) -> list[psutil.Process]:
        """The processes that work in this checkout."""
        return [one for one in psutil.process_iter() if _works_in(one, self.path)]

    def files(self) -> set[str]:
        """The checkout's files, without those in the scratch folder of the demo."""
        return {str(file) for file in self.path.rglob("*") if ".demo" not in file.parts}


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> NewcomersCheckout:
    """One checkout for all tests of this file, so that the demo also runs where it ran before."""
    return NewcomersCheckout(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(autouse=True)
def nothing_is_left(checkout: NewcomersCheckout) -> Iterator[None]:
    """No process outlives a demo, and it leaves no file outside its own folder."""
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
    copy_gate = [line for line in output.splitlines() if "healthimaging_copy.copy_image_set" in line]
    build_gate = [line for line in output.splitlines() if "sagemaker_image.create_image_version" in line]
    for gate, busy, ready in (
        (copy_gate, "COPYING (LOCKED, version 5)", "COPIED (ACTIVE, version 5)"),
        (build_gate, "CREATING (version 3)", "CREATED (version 3)"),
    ):
        lines = "\n".join(gate)
        assert lines.index(busy) < lines.index("deferred") < lines.index(f"success: {ready}"), output
    imported = [line for line in output.splitlines() if "healthimaging_import.import_study" in line]
    assert any("success:" in line and "image sets" in line for line in imported), output
    assert "healthimaging_import" in output.partition("healthimaging_copy")[0], "it begins with the import"
    ready = "\n".join(line for line in output.splitlines() if "healthimaging_ready" in line)
    by_itself, first = ready.index("started by itself, on events:"), ready.index("ready.image_sets")
    assert by_itself < first, output
    assert re.search(r"healthimaging_ready +success", ready), output
    assert re.search(r"  (CREATED|COPIED|IMPORTED), image set [0-9a-z]{32}", ready), output
    tables = output.partition("XCom of example_healthimaging_copy")[2]
    for cell in ("COPY_FAILED", "COPIED", "5", "CREATE_FAILED", "CREATED"):
        assert cell in tables, output


def test_the_demo_ends_with_reports_and_prints_their_paths(
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


def test_a_gate_that_fails_makes_the_demo_fail_and_print_the_reason_and_the_logs(
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
        output = ""
        for line in process.stdout:
            output += line
            if "deferred: it waits" in line:
                process.send_signal(signal.SIGINT)
                break
        output += process.stdout.read()
        assert process.wait() == 130, output
        assert "Everything it had started is stopped" in output
        assert "Traceback" not in output
    finally:
        hung.cancel()
        process.stdout.close()
        checkout.end_all(process)


def test_up_prints_how_to_use_the_commands_and_ctrl_c_deletes_its_folder(checkout: NewcomersCheckout) -> None:
    process = checkout.start("--port", str(free_port()), program="demo.up")
    hung = threading.Timer(LIMIT_SECONDS, checkout.end_all, [process])
    hung.start()
    try:
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if line.startswith("Ctrl-C"):
                break
        settings, command = [line.strip() for line in output.splitlines() if line.startswith("  ")][:2]
        listed = subprocess.run(
            ["/bin/sh", "-c", f"{settings} && {command} --output json"],
            cwd=checkout.home.parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert len(json.loads(listed.stdout)["ImageVersions"]) == 2
        assert str(checkout.path / ".up" / "airflow" / "reports") in output
        process.send_signal(signal.SIGINT)
        output += process.stdout.read()
        assert process.wait() == 0, output
        assert not (checkout.path / ".up").exists()
    finally:
        hung.cancel()
        process.stdout.close()
        checkout.end_all(process)


@pytest.mark.usefixtures("aws_connection")
def test_the_report_that_up_schedules_has_failures_to_report(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    load(recent_state(now))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = {"updated_after": midnight - timedelta(days=1), "updated_before": midnight}
    image_sets = HealthImagingVersionReportOperator(
        task_id="image_sets", datastore_id=DATASTORE, outputs=[str(tmp_path / "image_sets.csv")], **yesterday
    )
    images = SageMakerImageVersionReportOperator(
        task_id="images", name_contains="studio-", outputs=[str(tmp_path / "images.csv")], **yesterday
    )

    statuses = [
        {failure["status"] for failure in report.execute(context_of())["failures"]}
        for report in (image_sets, images)
    ]
    assert statuses == [{"COPY_FAILED"}, {"CREATE_FAILED"}]
