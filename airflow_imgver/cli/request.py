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

from airflow_imgver.arguments.times import time_value
from airflow_imgver.cli.running import UsageError
from airflow_imgver.services.description import Service

_FILE = "file://"


@dataclass(frozen=True, slots=True)
class Request:
    """
    The request of a list command.

    :param identity: field to value.
    :param filters: further members of the API's request, under its own names.
    :param page: the API's own paging, which only ``--cli-input-json`` can give.
    :param page_size: the size of a page in it.
    :param starting_token: its page token, as a resume token.
    """

    identity: Mapping[str, Any]
    filters: Mapping[str, Any]
    page: Mapping[str, Any]
    page_size: int | None
    starting_token: str | None


class RequestForm:
    """
    The members of a list call's request, and the options that fill them.

    :param service: the service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._members = {field.name: field.member for field in service.identity}
        self._members |= {each.name: each.member for each in service.listing.filters}
        self._times = {each.member for each in service.listing.filters if each.is_time}

    def read(self, args: argparse.Namespace) -> Request:
        """
        Read the request; an option overrides the JSON.

        :raises UsageError: a member is missing, unknown, or not of its kind.
        """
        members = _json_object(args.cli_input_json) if args.cli_input_json else {}
        members |= {
            member: value
            for option, member in self._members.items()
            if (value := getattr(args, option)) is not None
        }
        for name in self._times & members.keys():
            members[name] = _time(members[name], name)
        self._check_required(members)
        if args.cli_input_json:
            # The options are checked by now, and reading the model takes as long as building the client.
            self._check(members, self._shape("input"))
        identity = {field.name: members.pop(field.member) for field in self._service.identity}
        token, size = self._service.listing.token, self._service.listing.page_size
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
        Make a sample: of the JSON that :meth:`read` takes, or of AWS's answer.

        :raises UsageError: a sample of the answer needs a valid request too.
        """
        if not of_output:
            return dict(ArgumentGenerator().generate_skeleton(self._shape("input")))
        self.read(args)
        return dict(ArgumentGenerator(use_member_names=True).generate_skeleton(self._shape("output")))

    def _shape(self, of: Literal["input", "output"]) -> StructureShape:
        model = Session().get_service_model(self._service.client_type)
        shape: StructureShape = getattr(model.operation_model(self._operation), f"{of}_shape")
        return shape

    @property
    def _operation(self) -> str:
        return self._service.listing.operation

    def _check_required(self, members: Mapping[str, Any]) -> None:
        if missing := [field.option for field in self._service.identity if field.member not in members]:
            raise UsageError(f"{', '.join(missing)} must be given, as an option or in --cli-input-json.")

    def _check(self, members: Mapping[str, Any], shape: StructureShape) -> None:
        if unknown := sorted(set(members) - set(shape.members)):
            raise UsageError(
                f"--cli-input-json: the request of {self._operation} has no member {', '.join(unknown)}; "
                f"it has {', '.join(shape.members)}."
            )
        report = ParamValidator().validate(members, shape)
        if report.has_errors():
            raise UsageError(" ".join(report.generate_report().split()))


def _json_object(given: str) -> dict[str, Any]:
    text = given
    if given.startswith(_FILE):
        path = Path(given.removeprefix(_FILE)).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--cli-input-json: {path} cannot be read: {error}.") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--cli-input-json is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError("--cli-input-json must be a JSON object, see --generate-cli-skeleton.")
    return value


def _time(value: Any, name: str) -> datetime | None:
    try:
        if isinstance(value, str) and not _is_number(value):
            return time_value(value, name)
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise UsageError(f"{name} must be a time in ISO 8601 or epoch seconds, not {value!r}.") from None


def _is_number(text: str) -> bool:
    # A year alone is a time, as ISO 8601 has it.
    return len(text) > 8 and text.replace(".", "", 1).isdigit()
