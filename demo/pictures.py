"""Remakes the pictures of the documentation: a waiting gate in Airflow's UI, and the page of a report."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from demo.processes import interrupt_on_termination
from demo.recent import recent_state
from demo.stack import CHECKOUT, Stack, running_stack

DOCS = CHECKOUT / "docs"
GATE = ("example_healthimaging_copy", "copy_image_set")
REPORT = "example_version_report"
# Longer than the browser needs to open the page.
TRANSITION_SECONDS = 90
LIMIT_SECONDS = 60
WIDTH = 1440
COLORS = 128


def wait_for(condition: Callable[[], bool], described: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{described}: not after {LIMIT_SECONDS} s.")
        time.sleep(0.2)


def waiting_gate(stack: Stack, page: Page) -> None:
    """Open the task of a gate that waits, with what the worker and the triggerer have logged."""
    dag_id, task_id = GATE
    run_id = stack.api.trigger(dag_id, {})

    def both_have_logged() -> bool:
        log = stack.api.log(dag_id, run_id, task_id)
        return len([line for line in log if "COPYING" in line.text]) > 1

    wait_for(both_have_logged, f"{dag_id}.{task_id} logs in the triggerer")
    page.goto(f"{stack.api.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}")
    page.get_by_text("COPYING").first.wait_for()


def report(stack: Stack, page: Page) -> None:
    """Open the report on yesterday, which the scheduler runs by itself."""
    folder = stack.folder / "airflow" / "reports"
    wait_for(lambda: any(folder.glob("*/image_sets.html")), f"{REPORT} writes a page")
    page.goto(next(folder.glob("*/image_sets.html")).as_uri())


def save(page: Page, path: Path) -> None:
    """Write what the browser shows, in few colors: a palette is a third of the size."""
    shown = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    shown.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KB")


def main() -> int:
    """Return the exit status."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("The pictures need a browser: apt-get install chromium", file=sys.stderr)
        return 1
    interrupt_on_termination()
    with (
        TemporaryDirectory() as scratch,
        running_stack(
            Path(scratch), transition_seconds=TRANSITION_SECONDS, state=recent_state(datetime.now(UTC))
        ) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        for name, show, height in (("waiting-gate.png", waiting_gate, 600), ("report-page.png", report, 840)):
            page.set_viewport_size({"width": WIDTH, "height": height})
            show(stack, page)
            page.wait_for_timeout(3000)
            save(page, DOCS / name)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
