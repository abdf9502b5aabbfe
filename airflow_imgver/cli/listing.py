"""``list-image-set-versions`` and ``list-image-versions``."""

from __future__ import annotations

import argparse
import sys
from typing import Any, TextIO

from airflow_imgver.cli.connection import hook_of
from airflow_imgver.cli.output import as_json, write, write_lines, write_text
from airflow_imgver.cli.request import RequestForm
from airflow_imgver.cli.running import UsageError, command
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.listing import Versions
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.query import Query
from airflow_imgver.versions import as_plain

_IMAGE_SET_OPTIONS = {"datastore_id": "datastoreId", "image_set_id": "imageSetId"}
_IMAGE_OPTIONS = {
    "image_name": "ImageName",
    "creation_time_after": "CreationTimeAfter",
    "creation_time_before": "CreationTimeBefore",
    "last_modified_time_after": "LastModifiedTimeAfter",
    "last_modified_time_before": "LastModifiedTimeBefore",
    "sort_by": "SortBy",
    "sort_order": "SortOrder",
}


@command
def list_image_set_versions(args: argparse.Namespace, out: TextIO) -> None:
    """List the versions of a HealthImaging image set."""
    _list(HealthImagingHook, RequestForm(HealthImagingHook, _IMAGE_SET_OPTIONS), args, out)


@command
def list_image_versions(args: argparse.Namespace, out: TextIO) -> None:
    """List the versions of a SageMaker AI image."""
    _list(SageMakerImageHook, RequestForm(SageMakerImageHook, _IMAGE_OPTIONS), args, out)


def _list(
    hook_class: type[ImageVersionHook], form: RequestForm, args: argparse.Namespace, out: TextIO
) -> None:
    if args.generate_cli_skeleton is not False:
        sample = form.skeleton(args, of_output=args.generate_cli_skeleton == "output")
        write_lines(as_json(sample), out)
        return
    query = Query(args.query) if args.query else None
    request = form.read(args)
    if args.no_paginate:
        _refuse_paging(args)
    # Before the connection is resolved: a wrong id needs none to be told.
    hook_class.check(request.identity)
    hook = hook_of(hook_class, args)
    if args.no_paginate:
        answer = hook.page(request.identity, {**request.filters, **request.page})
        answer.pop("ResponseMetadata", None)
        _write(as_plain(answer), query, args, out)
        return
    versions = hook.stream(
        request.identity,
        request.filters,
        page_size=args.page_size or request.page_size,
        max_items=args.max_items,
        starting_token=args.starting_token or request.starting_token,
    )
    if args.output == "text":
        _stream_text(versions, hook.result_key, query, out)
    else:
        _write(_full(versions, hook.result_key), query, args, out)
        _tell_of_more(versions, args)


def _refuse_paging(args: argparse.Namespace) -> None:
    given = [
        f"--{option.replace('_', '-')}"
        for option in ("starting_token", "page_size", "max_items")
        if getattr(args, option) is not None
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot stand beside --no-paginate, which asks for one page as it stands"
        )


def _full(versions: Versions, result_key: str) -> dict[str, Any]:
    response: dict[str, Any] = {result_key: as_plain(list(versions))}
    if versions.next_token:
        response["NextToken"] = versions.next_token
    return response


def _write(response: dict[str, Any], query: Query | None, args: argparse.Namespace, out: TextIO) -> None:
    write(query.search(response) if query else response, args.output, out, color=args.color)


def _stream_text(versions: Versions, result_key: str, query: Query | None, out: TextIO) -> None:
    """Write each page as it comes; the query sees a page at a time, as with the AWS CLI."""

    def tell(part: dict[str, Any]) -> None:
        write_text(query.search(part) if query else part, out)
        out.flush()

    for page in versions.pages():
        tell({result_key: as_plain(page)})
    if versions.next_token:
        tell({"NextToken": {"NextToken": versions.next_token}})


def _tell_of_more(versions: Versions, args: argparse.Namespace) -> None:
    """Where the form of the output leaves the token out."""
    if versions.next_token and args.output in {"table", "plain"}:
        print(f"There are more: --starting-token {versions.next_token}", file=sys.stderr)  # noqa: T201
