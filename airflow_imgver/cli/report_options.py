"""The options of ``airflow imgver report``: the arguments of the report operators."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from airflow.cli.cli_config import Arg

from airflow_imgver.cli.option_groups import Required, Usual
from airflow_imgver.services import SERVICES
from airflow_imgver.services.description import Service, option_of

REPORTED = tuple(service for service in SERVICES if service.report is not None)
KINDS = ("failed", "stuck", "unreadable")


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(kind.strip() for kind in text.split(","))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or text!r} is not among {', '.join(KINDS)}")
    return kinds


ARG_OUTPUTS = Required(
    ("--outputs",),
    help="The files: paths or URLs, for example s3://bucket/a.html, in .html, .csv, .jsonl or .parquet",
    nargs="+",
    required=True,
    metavar="OUTPUT",
)
ARG_SERVICE = Usual(
    ("--service",),
    help="The service; needed only to report on all of its images without another choice",
    choices=tuple(service.client_type for service in REPORTED),
)
ARG_UPDATED_AFTER = Usual(
    ("--updated-after",), help="The beginning of the interval, in ISO 8601 (default: all the past)"
)
ARG_UPDATED_BEFORE = Usual(("--updated-before",), help="The end of the interval, in ISO 8601 (default: now)")
ARG_STUCK_AFTER = Usual(
    ("--stuck-after",),
    help="Seconds or an ISO 8601 duration after which a busy version is stuck (default: PT1H)",
    default="PT1H",
)
ARG_SUMMARY_FILE = Usual(
    ("--summary-file",), help="The JSON file of the earlier reports (default: beside the page)"
)
ARG_CSV_BOM = Usual(
    ("--csv-bom",), help="Begin CSV files with a byte order mark, for Excel", action="store_true"
)
ARG_FAIL_ON = Usual(
    ("--fail-on",),
    help="Exit with 1 where the report has any of these: failed,stuck,unreadable",
    metavar="KIND[,KIND]",
    type=_kinds,
    default=(),
)


def report_arguments(service: Service) -> tuple[tuple[str, str], ...]:
    """
    Return the report operator's arguments that choose image sets or images, and a help text for each.

    They are the outer fields of the identity, the plural of its key, and the filters of the finding call.
    """
    *outer, key = service.identity
    return (
        *((field.name, f"Report on this {field.thing}") for field in outer),
        (f"{key.name}s", f"Report on these {service.things}, without a search"),
        *((each.name, each.help) for each in service.finding.filters),
    )


def _choice_args(services: Sequence[Service]) -> tuple[Arg, ...]:
    """Return the options that choose what to report on, each once."""
    found: dict[str, Arg] = {}
    for service in services:
        for name, help_text in report_arguments(service):
            many: dict[str, Any] = {}
            if name == f"{service.key.name}s":
                many = {"nargs": "+", "metavar": service.key.name.upper()}
            found.setdefault(name, Usual((option_of(name),), help=f"{help_text} ({service.name})", **many))
    return tuple(found.values())


REPORTING = (
    ARG_OUTPUTS,
    *_choice_args(REPORTED),
    ARG_SERVICE,
    ARG_UPDATED_AFTER,
    ARG_UPDATED_BEFORE,
    ARG_STUCK_AFTER,
    ARG_FAIL_ON,
    ARG_SUMMARY_FILE,
    ARG_CSV_BOM,
)
