"""The request of a list command: from its options, from ``--cli-input-json``, or a sample of one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from botocore.model import StructureShape
from botocore.paginate import TokenEncoder
from botocore.session import Session
from botocore.utils import ArgumentGenerator
from botocore.validate import ParamValidator

from airflow_imgver.cli.running import UsageError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.moments import moment

_FILE = "file://"
# How the names of the members that are times end.
_TIMES = ("TimeAfter", "TimeBefore")


@dataclass(frozen=True, slots=True)
class Request:
    """
    What is asked for.

    :param identity: whose versions, in the hook's words.
    :param filters: what else the API's request says, in its own words.
    :param page: the API's own paging, which only ``--cli-input-json`` can name.
    :param page_size: what that says of the size of a page.
    :param starting_token: what it says of where to start, as a resume token.
    """

    identity: Mapping[str, Any]
    filters: Mapping[str, Any]
    page: Mapping[str, Any]
    page_size: int | None
    starting_token: str | None


class RequestForm:
    """
    The members of a list call's request, and the options that fill them.

    :param hook_class: the service's hook.
    :param options: option, as argparse names it, to the member that it fills.
    """

    def __init__(self, hook_class: type[ImageVersionHook], options: Mapping[str, str]) -> None:
        self._hook_class = hook_class
        self._options = options

    def read(self, args: argparse.Namespace) -> Request:
        """
        Read the request; an option overrides what the JSON says.

        :raises UsageError: a member is missing, unknown, or not of its kind.
        """
        members = _json_object(args.cli_input_json) if args.cli_input_json else {}
        members |= {
            member: value
            for option, member in self._options.items()
            if (value := getattr(args, option)) is not None
        }
        for name in members:
            if name.endswith(_TIMES):
                members[name] = _time(members[name], name)
        self._check_required(members)
        if args.cli_input_json:
            # The options are checked by now, and reading the model takes as long as building the client.
            self._check(members, self._shape("input"))
        identity = {field: members.pop(member) for field, member in self._hook_class.request_names.items()}
        token, size = self._hook_class.wire_token, _page_size_member(self._hook_class.wire_token)
        page = {name: members.pop(name) for name in {token, size} & members.keys()}
        return Request(
            identity,
            filters=members,
            page=page,
            page_size=page.get(size),
            starting_token=TokenEncoder().encode({token: page[token]}) if token in page else None,
        )

    def skeleton(self, args: argparse.Namespace, *, of_output: bool) -> dict[str, Any]:
        """
        Make a sample: of the JSON that :meth:`read` takes, or of what AWS answers.

        :raises UsageError: for a sample of the answer the request is checked too.
        """
        if not of_output:
            return dict(ArgumentGenerator().generate_skeleton(self._shape("input")))
        self.read(args)
        return dict(ArgumentGenerator(use_member_names=True).generate_skeleton(self._shape("output")))

    def _shape(self, of: Literal["input", "output"]) -> StructureShape:
        service = Session().get_service_model(self._hook_class.service)
        shape: StructureShape = getattr(service.operation_model(self._hook_class.operation), f"{of}_shape")
        return shape

    def _check_required(self, members: Mapping[str, Any]) -> None:
        options = {member: option for option, member in self._options.items()}
        required = self._hook_class.request_names.values()
        if missing := [options[name] for name in required if name not in members]:
            wanted = ", ".join(f"--{option.replace('_', '-')}" for option in missing)
            raise UsageError(f"{wanted} must be given, as an option or in --cli-input-json")

    def _check(self, members: Mapping[str, Any], shape: StructureShape) -> None:
        if unknown := sorted(set(members) - set(shape.members)):
            raise UsageError(
                f"--cli-input-json: {', '.join(unknown)} is no member of {self._hook_class.operation}'s "
                f"request, which has {', '.join(shape.members)}"
            )
        report = ParamValidator().validate(members, shape)
        if report.has_errors():
            raise UsageError(" ".join(report.generate_report().split()))


def _page_size_member(wire_token: str) -> str:
    """Each service writes its names its own way."""
    return "MaxResults" if wire_token[0].isupper() else "maxResults"


def _json_object(given: str) -> dict[str, Any]:
    text = given
    if given.startswith(_FILE):
        path = Path(given.removeprefix(_FILE)).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--cli-input-json: {path} cannot be read: {error}") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--cli-input-json is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError("--cli-input-json must be a JSON object, see --generate-cli-skeleton")
    return value


def _time(value: Any, name: str) -> datetime | None:
    try:
        if isinstance(value, str) and not _is_number(value):
            return moment(value, name)
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise UsageError(f"{name} must be a time in ISO 8601 or epoch seconds, not {value!r}") from None


def _is_number(text: str) -> bool:
    # A year alone is a time, as ISO 8601 has it.
    return len(text) > 8 and text.replace(".", "", 1).isdigit()
