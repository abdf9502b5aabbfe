"""
`make demo`: a real Airflow runs example Dags on the embedded AWS.

An import, a copy, a build, a Dag that starts by itself on the image sets of the import, and reports.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from rich.console import Console

from demo.follow import FollowedRun, Follower
from demo.processes import StackError, interrupt_on_termination
from demo.stack import CHECKOUT, Stack, running_stack
from demo.tables import image_set_versions, image_versions

SCRATCH = CHECKOUT / ".demo"

# Longer than Airflow takes from one task to the next, so that the gates have to wait.
TRANSITION_SECONDS = 15

IMPORT = "example_healthimaging_import"
COPY = "example_healthimaging_copy"
BUILD = "example_sagemaker_image"
READY = "example_healthimaging_ready"
REPORT = "example_version_report"
REPORTS = "reports"
# The two image sets of the example are of different series, which AWS copies only with force.
FAILING_COPY = {"force": False}


class RunFailedError(RuntimeError):
    """A run failed, and the reason is printed already."""


def show_results(stack: Stack, copy: FollowedRun, build: FollowedRun, console: Console) -> None:
    """Print the lists of versions in XCom."""
    console.print()
    console.print(image_set_versions(stack.api.xcom(copy.dag_id, copy.run_id, "list_versions")))
    readable = stack.api.xcom(copy.dag_id, copy.run_id, "versions_to_read")
    console.print(f"versions_to_read chose {', '.join(readable)}\n", highlight=False)
    console.print(image_versions(stack.api.xcom(build.dag_id, build.run_id, "list_versions")))
    console.print(
        f"roll_out chose {stack.api.xcom(build.dag_id, build.run_id, 'roll_out')}\n",
        highlight=False,
        soft_wrap=True,
    )


def show_reports(stack: Stack, report: FollowedRun, console: Console) -> list[str]:
    """Print the headlines of the reports; return the paths of their pages."""
    pages = []
    console.print()
    for task_id in ("report_image_sets", "report_images"):
        summary = stack.api.xcom(report.dag_id, report.run_id, task_id)
        console.print(f"{task_id}: {summary['rows']} versions. {summary['headline']}.", highlight=False)
        pages += [path for path in summary["paths"] if path.endswith(".html")]
    console.print()
    return pages


def raise_where_failed(follower: Follower, *runs: FollowedRun) -> None:
    """Raise where a run failed, after printing why."""
    failed = [run for run in runs if run.state != "success"]
    for run in failed:
        follower.explain(run)
    if failed:
        raise RunFailedError(", ".join(run.dag_id for run in failed))


def demonstrate(console: Console, *, failing_copy: bool, transition_seconds: float) -> None:
    """Run the demo."""
    console.print("Starting an embedded AWS and a whole Airflow: about half a minute.")
    began = datetime.now(UTC)
    with running_stack(SCRATCH, transition_seconds=transition_seconds, keep=REPORTS) as stack:
        console.print(
            f"Airflow {stack.api.url} and the embedded AWS {stack.aws_url} are ready.\n", highlight=False
        )
        follower = Follower(stack, console)
        stack.api.set_paused(READY, paused=False)
        imported = follower.start(IMPORT, {"folder": str(SCRATCH / REPORTS)})
        copy = follower.start(COPY, FAILING_COPY if failing_copy else {})
        build = follower.start(BUILD, {})
        runs = [imported, copy, build]
        follower.follow(runs, starting=READY)
        raise_where_failed(follower, *runs)
        show_results(stack, copy, build, console)
        report = follower.start(REPORT, {"folder": str(SCRATCH / REPORTS)}, since=began)
        follower.follow([report])
        raise_where_failed(follower, report)
        pages = show_reports(stack, report, console)
        console.print("Stopping everything.")
    console.print("The reports, to open in a browser; they stay until the next `make demo`:")
    for page in pages:
        console.print(page, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    """Return the exit status: 0 when every task succeeded, 1 otherwise, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__)
    parser.add_argument(
        "--failing-copy",
        action="store_true",
        help="start a copy that AWS cannot make, to see a gate fail",
    )
    parser.add_argument(
        "--transition-seconds",
        type=float,
        default=TRANSITION_SECONDS,
        help="how long a copy or a build takes",
    )
    arguments = parser.parse_args()
    # A file or a pipe has no width, for which rich takes 80 columns and folds the lines.
    console = Console(width=None if sys.stdout.isatty() else 140)
    interrupt_on_termination()
    try:
        demonstrate(
            console, failing_copy=arguments.failing_copy, transition_seconds=arguments.transition_seconds
        )
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything it had started is stopped.")
        return 130
    except RunFailedError as error:
        console.print(f"\n{error} failed; the reason is above.", style="red", highlight=False)
        _print_logs(console)
        return 1
    except StackError as error:
        console.print(f"\n{error}", style="red", markup=False, highlight=False, soft_wrap=True)
        _print_logs(console)
        return 1
    return 0


def _print_logs(console: Console) -> None:
    console.print(
        f"The tasks' logs are in {SCRATCH / 'airflow' / 'logs'}\n"
        f"The logs of Airflow's components and of the embedded AWS are in {SCRATCH / 'logs'}\n"
        "They stay until the next `make demo`; `make up` runs the same Airflow until Ctrl-C, with its UI.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
