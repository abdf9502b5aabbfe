"""The examples at the end of ``--help``."""

from __future__ import annotations

from airflow_imgver.services.description import Service
from airflow_imgver.services.waitable import Waitable


def listing_examples(service: Service) -> str:
    """Return the examples of the command that lists."""
    fields = service.fields
    command = _command(service, str(service.commands.list))
    query = f"{service.listing.result_key}[?{fields.status}=='{_failed(service)}'].{fields.number}"
    return _examples(command, [*command, "--output json", f'--query "{query}"'])


def waiting_examples(service: Waitable) -> str:
    """Return the examples of the command that waits."""
    command = _command(service, service.commands.wait)
    version = ["--version 4"] if service.has_versions else []
    return _examples([*command, "&& ./next-step"], [*command, *version, "--timeout 600"])


def _command(service: Waitable, name: str) -> list[str]:
    values = ((field.option, field.example or field.name.upper()) for field in service.identity)
    return [f"airflow imgver {name}", *(f"{option} {value}" for option, value in values)]


def _failed(service: Service) -> str:
    return next(status for status, phase in service.fields.phases.items() if phase.value == "failed")


def _examples(*commands: list[str]) -> str:
    return "examples:\n" + "\n".join("  " + " \\\n      ".join(parts) for parts in commands)


_RUN = ["airflow imgver explain clinic wait_for_copy", "manual__2026-11-20T22:00:00+00:00"]
EXPLAIN_EXAMPLES = _examples(_RUN, [*_RUN, "--map-index 3", "--output json"])

REPORT_EXAMPLES = _examples(
    [
        "airflow imgver report",
        "--datastore-id 12345678901234567890123456789012",
        "--outputs report.html report.csv",
    ],
    ["airflow imgver report", "--name-contains studio-", "--outputs images.csv", "--fail-on failed,stuck"],
)

WATCH_EXAMPLES = _examples(
    ["airflow imgver watch", "--datastore-id 12345678901234567890123456789012"],
    [
        "airflow imgver watch",
        "--queue-url https://sqs.us-east-1.amazonaws.com/123456789012/image-versions",
        "--phases failed",
        "--output json",
    ],
)
