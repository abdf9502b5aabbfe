"""The report command: the report operator, at a prompt."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from airflow_imgver.cli.connection import hook_of
from airflow_imgver.cli.output import write
from airflow_imgver.cli.report_options import REPORTED, report_arguments
from airflow_imgver.cli.running import FindingsError, UsageError, command
from airflow_imgver.exceptions import InvalidOutputError
from airflow_imgver.operators.report import Reported, VersionReportOperator
from airflow_imgver.reports.progress import Progress
from airflow_imgver.services.description import Service, option_of
from airflow_imgver.text import counted, number, one_line


@command
def report(args: argparse.Namespace, out: TextIO) -> None:
    """Write a report, and print its headline and its files."""
    service = _service_of(args)
    reported = _reported(_operator_of(service, args), service, args)
    if args.output == "plain":
        _write_plain(reported, out)
    else:
        write(reported.summary, args.output, out, service=service)
    needs = reported.contents.needs_attention
    if found := [f"{number(needs[kind])} {kind}" for kind in args.fail_on if needs[kind]]:
        out.flush()
        raise FindingsError(f"--fail-on: {', '.join(found)}.")


def _service_of(args: argparse.Namespace) -> Service:
    """Return the service whose options are given."""
    chosen = [service for service in REPORTED if _given(service, args)]
    if args.service is not None:
        named = next(service for service in REPORTED if service.client_type == args.service)
        foreign = [option for service in chosen if service is not named for option in _given(service, args)]
        if foreign:
            raise UsageError(f"{', '.join(foreign)} cannot go with --service {args.service}.")
        chosen = [named]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        options = [option for service in chosen for option in _given(service, args)]
        raise UsageError(f"{', '.join(options)} belong to different services; a report is on one.")
    ways = [option_of(name) for service in REPORTED for name, _ in report_arguments(service)]
    raise UsageError(f"Choose what to report on: one of {', '.join(ways)}, or --service.")


def _given(service: Service, args: argparse.Namespace) -> list[str]:
    return [option_of(name) for name, _ in report_arguments(service) if getattr(args, name) is not None]


def _operator_of(service: Service, args: argparse.Namespace) -> VersionReportOperator[Any]:
    if missing := [field.option for field in service.identity[:-1] if getattr(args, field.name) is None]:
        raise UsageError(f"{', '.join(missing)} must be given for a report on {service.things}.")
    operator_class = service.report_class()
    if operator_class is None:
        raise UsageError(f"{service.name} has no report.")
    names = [name for name, _ in report_arguments(service) if getattr(args, name) is not None]
    operator = operator_class(
        task_id="report",
        outputs=args.outputs,
        updated_after=args.updated_after,
        updated_before=args.updated_before,
        stuck_after=args.stuck_after,
        csv_bom=args.csv_bom,
        summary_file=args.summary_file,
        # Outputs in S3 are reached with the same settings.
        aws_conn_id=args.aws_conn_id or None,
        region_name=args.region,
        verify=False if args.no_verify_ssl else args.ca_bundle,
        **{name: getattr(args, name) for name in names},
    )
    # In place of the one that the operator would build, for the options that a connection cannot have.
    vars(operator)["hook"] = hook_of(service.hook_class(), args)
    return operator


def _reported(operator: VersionReportOperator[Any], service: Service, args: argparse.Namespace) -> Reported:
    try:
        with _progress(service, args) as progress:
            return operator.report(progress=progress)
    except ValueError as error:
        if type(error) in (ValueError, InvalidOutputError):
            raise UsageError(str(error)) from error
        raise


def _write_plain(reported: Reported, out: TextIO) -> None:
    """Write the headline, what it is about, and the files, a line each."""
    contents = reported.contents
    lines = [
        reported.summary["headline"],
        (
            f"{counted(contents.rows, 'version')} of {counted(contents.read, contents.service.thing)}: "
            f"{contents.scope.where}, {contents.scope.region}, changes of {contents.scope.interval}"
        ),
        *reported.paths,
    ]
    out.writelines(f"{one_line(line)}\n" for line in lines)


# --- the display ----------------------------------------------------------------------------------------


def _progress(service: Service, args: argparse.Namespace) -> AbstractContextManager[Progress | None]:
    """Return a bar on a terminal; elsewhere nothing."""
    color: dict[str, Any] = {"on": {"force_terminal": True}, "off": {"no_color": True}}.get(args.color, {})
    console = Console(stderr=True, highlight=False, **color)
    # Not rich's own check, for which FORCE_COLOR makes every log a terminal.
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return Bar(service, console)
    return nullcontext()


class Bar(Progress, AbstractContextManager["Bar"]):
    """
    A bar that counts what is listed.

    :param service: the service.
    :param console: a terminal.
    """

    def __init__(self, service: Service, console: Console) -> None:
        super().__init__(None, service.things)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bar = self._bars.add_task(f"Listing {service.things}", total=None)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._bars.stop()

    def log(self, total: int | None) -> None:
        """Move the bar."""
        self._bars.update(self._bar, completed=self.done, total=total)
