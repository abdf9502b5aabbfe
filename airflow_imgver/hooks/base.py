"""What the two hooks share: the client's settings, a listing, a look at one version, errors with names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import InvalidIdentityError, UnexpectedAnswerError
from airflow_imgver.hooks.budget import budget_of
from airflow_imgver.hooks.errors import call_error, quotes_a_credential
from airflow_imgver.hooks.listing import Versions, readable
from airflow_imgver.hooks.settings import positive
from airflow_imgver.versions import Entry, Survey, VersionStatus, one_line, survey

# botocore's default mode and attempts changed with 1.44.0, and a pinned older one brings the old ones back.
RETRY_MODE = "standard"

_told: set[tuple[str, str]] = set()


class Finding(NamedTuple):
    """The call that finds what has versions, and where its answers name it."""

    operation: str
    paginator: str
    result_key: str
    name_key: str
    largest_page: int


class ImageVersionHook(AwsGenericHook[Any]):
    """
    A thin wrapper around one list call and its paginator, for a service whose images have versions.

    The client is built with the ``[imgver]`` options' timeouts (connect 5 s, read 20 s) and three attempts in
    botocore's ``standard`` mode, where the connection or ``config`` does not say otherwise. Each request of
    the list call waits for its turn in the process's budget of requests a second, and each request of the
    call that finds what there is to list in another of the same rate: AWS counts an operation at a time.

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service: ClassVar[str]
    operation: ClassVar[str]
    paginator: ClassVar[str]
    result_key: ClassVar[str]
    wire_token: ClassVar[str]
    largest_page: ClassVar[int]
    finding: ClassVar[Finding]
    budget_option: ClassVar[str]
    attempts = 3
    """How often a request is tried; a wait, which looks again anyway, tries once."""
    request_names: ClassVar[Mapping[str, str]]
    """Each field of an identity, and its name in the API's request."""
    identity_rules: ClassVar[Mapping[str, tuple[str, str]]]
    """Each field of an identity: AWS's pattern for it, and the pattern in words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = self.service
        super().__init__(*args, **kwargs)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build the boto3 client, as the base class does, with this package's settings underneath."""
        given = config or self.config
        retries: Any = {"mode": RETRY_MODE, **(getattr(given, "retries", None) or {})}
        # A user's max_attempts and our total_max_attempts would contradict each other.
        if "max_attempts" not in retries:
            retries.setdefault("total_max_attempts", self.attempts)
        settings = Config(connect_timeout=positive("connect_timeout"), read_timeout=positive("read_timeout"))
        settings = settings.merge(given).merge(Config(retries=retries))
        client: Any = super().get_client_type(region_name, settings, deferrable)
        key, rate = self.client_key(), positive(self.budget_option)
        for operation in (self.operation, self.finding.operation):
            # For each attempt, because a repeated one counts at AWS too; and before it is signed, because AWS
            # refuses a signature that has waited for its turn for five minutes.
            client.meta.events.register_first(
                f"request-created.{self.service}.{operation}", budget_of(key, operation, rate).draw
            )
        return client

    def client_key(self) -> str:
        """Resolve the connection, and digest all that decides who a client is and where it goes."""
        resolved = self.conn_config
        told: dict[str, Any] = {field.name: getattr(resolved, field.name) for field in fields(resolved)}
        told["botocore_config"] = getattr(resolved.botocore_config, "_user_provided_options", None)
        return sha256(repr((self.service, sorted(told.items()))).encode()).hexdigest()

    @classmethod
    def check(cls, identity: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, str]:
        """
        Check an identity against AWS's own patterns, which botocore does not.

        :param identity: field to value, ``{"image_name": ...}`` say.
        :param only: the fields that are there; None for all.
        :return: the identity.
        :raises InvalidIdentityError: a field breaks its pattern; names the field, the value and the rule.
        """
        for field in only or cls.identity_rules:
            pattern, rule = cls.identity_rules[field]
            value = identity[field]
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                shown = one_line(value)[:100] if isinstance(value, str) else value
                raise InvalidIdentityError(f"{field} must be {rule}, not {shown!r}")
        return dict(identity)

    @classmethod
    def describe(cls, identity: Mapping[str, str]) -> str:
        """Name what an identity stands for, as messages do."""
        raise NotImplementedError

    @classmethod
    def read(cls, entry: Entry) -> VersionStatus:
        """Make a status of an entry."""
        raise NotImplementedError

    def stream(
        self,
        identity: Mapping[str, Any],
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> Versions:
        """
        Stream the versions of what an identity stands for.

        :param identity: field to value, checked before any request.
        :param filters: further members of the API's request, under its own names; None is left out.
        :param page_size: items a request; None asks for the largest page the API gives.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing.
        """
        identity = self.check(identity)
        request = {self.request_names[field]: value for field, value in identity.items()}
        request |= {name: value for name, value in (filters or {}).items() if value is not None}
        return Versions(
            lambda config: self.conn.get_paginator(self.paginator).paginate(
                **request, PaginationConfig=config
            ),
            lambda: self.named_errors(self.describe(identity)),
            result_key=self.result_key,
            wire_token=self.wire_token,
            page_size=self.largest_page if page_size is None else page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    def find(self, request: Mapping[str, Any], about: str, *, page_size: int | None = None) -> Iterator[str]:
        """
        Stream the ids or names that the finding call answers with, and nothing else of its answers.

        :param request: the call's members, under its own names; None is left out.
        :param about: what is asked about, in words, for errors.
        :param page_size: items a request; None asks for the largest page the API gives.
        """
        asked = {name: value for name, value in request.items() if value is not None}
        finding = self.finding
        answers = Versions(
            lambda config: self.conn.get_paginator(finding.paginator).paginate(
                **asked, PaginationConfig=config
            ),
            lambda: self.named_errors(about, finding.operation),
            result_key=finding.result_key,
            wire_token=self.wire_token,
            page_size=finding.largest_page if page_size is None else page_size,
        )
        for found in answers:
            name = found.get(finding.name_key)
            if not isinstance(name, str):
                raise UnexpectedAnswerError(
                    f"{finding.operation} for {about} answered with one whose {finding.name_key} is no text"
                )
            yield name

    def page(self, identity: Mapping[str, Any], request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Ask for one page, and return AWS's answer as it stands, with the API's own page token.

        :param identity: field to value, checked before the request.
        :param request: further members of the API's request, under its own names.
        """
        members = {self.request_names[field]: value for field, value in self.check(identity).items()}
        with self.named_errors(self.describe(dict(identity))):
            call = getattr(self.conn, self.paginator)
            answers = (call(**asked) for asked in [{**members, **(request or {})}])
            return dict(readable(answers, self.result_key) or {})

    def survey(self, identity: Mapping[str, Any], version: int | None = None) -> Survey:
        """Find the latest version and the wanted one, in as few pages as prove them."""
        return survey(self.stream(identity).pages(), self.read, version)

    def observe(self, identity: Mapping[str, Any], version: int | None = None) -> VersionStatus | None:
        """
        Look once at the version that a gate watches.

        In all but odd cases that is one request, however long the history.

        :param identity: field to value.
        :param version: the version's number; None for the latest.
        :return: its status, or None where the listing does not show it, or not yet.
        :raises ResourceMissingError: AWS says that it does not exist.
        :raises AwsCallError: any other failure of the call.
        """
        return self.noticed(self.survey(identity, version).wanted)

    def noticed(self, found: VersionStatus | None) -> VersionStatus | None:
        """Say once a process that AWS has a new word for a status, and what it was taken for."""
        if found is not None and not found.known and (told := (self.service, found.status)) not in _told:
            _told.add(told)
            self.log.warning(
                "%s: %s, a status that this package does not know; it is taken for %s",
                self.operation,
                found,
                found.phase.value,
            )
        return found

    def whereabouts(self, identity: Mapping[str, str]) -> dict[str, str]:
        """Return the region and the partition of the client, as console links need them."""
        with self.named_errors(self.describe(identity)):
            return {"region_name": self.conn_region_name, "aws_partition": self.conn_partition}

    @contextmanager
    def named_errors(self, about: str, operation: str | None = None) -> Iterator[None]:
        """Let no error of AWS's or botocore's out that does not say which call met it, and about what."""
        try:
            yield
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            # A traceback prints the cause too; and a name for it would stand in a circle with its frames.
            raise call_error(error, operation or self.operation, about) from (
                None if quotes_a_credential(error) else error
            )
