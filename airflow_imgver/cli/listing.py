"""The list commands, for example ``list-image-set-versions``."""

from __future__ import annotations

import argparse
import sys
from typing import Any, TextIO

from airflow_imgver.cli.connection import hook_of
from airflow_imgver.cli.output import as_json, write, write_text
from airflow_imgver.cli.request import RequestForm
from airflow_imgver.cli.running import UsageError, command
from airflow_imgver.cli.tables import write_lines
from airflow_imgver.hooks.listing import Versions
from airflow_imgver.query import Query
from airflow_imgver.services.description import Service, option_of
from airflow_imgver.text import as_plain


@command
def list_versions(args: argparse.Namespace, out: TextIO, service: Service) -> None:
    """List the versions of an image set or image."""
    form = RequestForm(service)
    if args.generate_cli_skeleton is not False:
        sample = form.skeleton(args, of_output=args.generate_cli_skeleton == "output")
        write_lines(as_json(sample), out)
        return
    query = Query(args.query) if args.query else None
    request = form.read(args)
    if args.no_paginate:
        _refuse_paging(args)
    # Before the connection is resolved: a wrong id needs no connection to be refused.
    service.check(request.identity)
    hook = hook_of(service.hook_class(), args)
    if args.no_paginate:
        answer = hook.page(request.identity, {**request.filters, **request.page})
        answer.pop("ResponseMetadata", None)
        _write(as_plain(answer), query, args, out, service)
        return
    versions = hook.stream(
        request.identity,
        request.filters,
        page_size=args.page_size or request.page_size,
        max_items=args.max_items,
        starting_token=args.starting_token or request.starting_token,
    )
    if args.output == "text":
        _stream_text(versions, service.listing.result_key, query, out)
    else:
        _write(_full(versions, service.listing.result_key), query, args, out, service)
        _hint_at_more(versions, args)


def _refuse_paging(args: argparse.Namespace) -> None:
    given = [
        option_of(option)
        for option in ("starting_token", "page_size", "max_items")
        if getattr(args, option) is not None
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot go with --no-paginate, which requests one page unchanged."
        )


def _full(versions: Versions, result_key: str) -> dict[str, Any]:
    response: dict[str, Any] = {result_key: as_plain(list(versions))}
    if versions.next_token:
        response["NextToken"] = versions.next_token
    return response


def _write(
    response: dict[str, Any], query: Query | None, args: argparse.Namespace, out: TextIO, service: Service
) -> None:
    write(query.search(response) if query else response, args.output, out, service=service, color=args.color)


def _stream_text(versions: Versions, result_key: str, query: Query | None, out: TextIO) -> None:
    """Write each page as it arrives; the query applies to each page, as with the AWS CLI."""

    def write_part(part: dict[str, Any]) -> None:
        write_text(query.search(part) if query else part, out)
        out.flush()

    for page in versions.pages():
        write_part({result_key: as_plain(page)})
    if versions.next_token:
        write_part({"NextToken": {"NextToken": versions.next_token}})


def _hint_at_more(versions: Versions, args: argparse.Namespace) -> None:
    """Print the token where the form of the output leaves it out."""
    if versions.next_token and args.output in {"table", "plain"}:
        print(f"There are more: --starting-token {versions.next_token}", file=sys.stderr)  # noqa: T201
