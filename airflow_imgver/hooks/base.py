"""What the hooks share: the client's settings, a listing, a poll of one version, errors with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from airflow_imgver.arguments.literals import verify_value
from airflow_imgver.exceptions import AwsCallError, UnexpectedAnswerError
from airflow_imgver.hooks.budget import Budget, budget_of
from airflow_imgver.hooks.errors import check_ca_bundle
from airflow_imgver.hooks.listing import Versions, next_answer
from airflow_imgver.hooks.named_errors import NamedErrorsHook
from airflow_imgver.options import CONNECT_TIMEOUT, READ_TIMEOUT
from airflow_imgver.services.description import ListCall, Service
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.text import sentence
from airflow_imgver.versions import Entry, FoundVersions, VersionStatus, find_versions, read_entry

# botocore's default mode and attempts changed with 1.44.0, and a pinned older one brings the old ones back.
RETRY_MODE = "standard"

_logged_statuses: set[tuple[str, str]] = set()


class ImageVersionHook(NamedErrorsHook):
    """
    A thin wrapper around one list call and its paginator, for a service whose images have versions.

    The client is built with the ``[imgver]`` options' timeouts (connect 5 s, read 20 s) and three attempts in
    botocore's ``standard`` mode, where the connection or ``config`` does not set others. Each request waits
    for its turn in the process's budget of requests a second for its operation: AWS counts each by itself.

    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param config: botocore's client configuration, as a ``Config`` or a dictionary.
    """

    service: ClassVar[Service]
    attempts = 3
    """How often a request is tried; a wait, which polls again anyway, tries once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = self.service.client_type
        if "verify" in kwargs:
            kwargs["verify"] = verify_value(kwargs["verify"])
        super().__init__(*args, **kwargs)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build the boto3 client, as the base class does, on top of this package's settings."""
        settings = self.client_settings(config)
        check_ca_bundle(self.conn_config.verify)
        try:
            client: Any = super().get_client_type(region_name, settings, deferrable)
            # Python reads a port only on request, and boto3 would at every request.
            _ = urlsplit(client.meta.endpoint_url).port
        except ValueError as error:
            if isinstance(error, BotoCoreError):
                raise
            # boto3's own error for an endpoint that is not a URL.
            raise AwsCallError(
                f"No client could be built: {sentence(str(error))} Correct the connection's endpoint_url.",
                code=type(error).__name__,
            ) from error
        self._register_budgets(client)
        return client

    def _register_budgets(self, client: Any) -> None:
        key, service = self.client_key(), self.service
        for quota in service.quotas:
            budget = budget_of(key, quota)
            # For each attempt, because a repeated one counts at AWS too; and before it is signed, because AWS
            # refuses a signature that has waited for its turn for five minutes.
            client.meta.events.register_first(
                f"request-created.{service.client_type}.{quota.operation}", budget.draw
            )
            client.meta.events.register(f"needs-retry.{service.client_type}.{quota.operation}", budget.heed)

    def budget(self, operation: str) -> Budget:
        """
        Return the budget of an operation, which all clients of this process on the same connection share.

        :param operation: the API operation, for example ``CopyImageSet``.
        :raises KeyError: the service's description has no quota for it.
        """
        quotas = {quota.operation: quota for quota in self.service.quotas}
        return budget_of(self.client_key(), quotas[operation])

    def client_settings(self, config: Config | None = None) -> Config:
        """Return botocore's configuration of a client: a user's, on top of this package's."""
        given = config or self.config
        retries: Any = {"mode": RETRY_MODE, **(getattr(given, "retries", None) or {})}
        # A user's max_attempts and our total_max_attempts would contradict each other.
        if "max_attempts" not in retries:
            retries.setdefault("total_max_attempts", self.attempts)
        settings = Config(connect_timeout=CONNECT_TIMEOUT.number(), read_timeout=READ_TIMEOUT.number())
        return settings.merge(given).merge(Config(retries=retries))

    def close(self) -> None:
        """Close the client's connections."""
        self.conn.close()

    def client_key(self) -> str:
        """Resolve the connection, and digest everything that decides who a client is and where it calls."""
        resolved = self.conn_config
        values: dict[str, Any] = {field.name: getattr(resolved, field.name) for field in fields(resolved)}
        values["botocore_config"] = getattr(resolved.botocore_config, "_user_provided_options", None)
        return sha256(repr((self.service.client_type, sorted(values.items()))).encode()).hexdigest()

    # --- listing ---

    def stream(
        self,
        identity: Mapping[str, Any],
        members: Mapping[str, Any] | None = None,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> Versions:
        """
        Stream the versions of an image set or image.

        :param identity: field to value, checked before any request.
        :param members: further members of the API's request, under its own names; None is left out.
        :param page_size: items a request; None requests the largest page the API gives.
        :param max_items: how many items at the most; None for all.
        :param starting_token: the resume token of a truncated listing.
        """
        identity = self.service.check(identity)
        return self._versions(
            self.service.listing,
            {**self.service.members(identity), **(members or {})},
            self.service.describe(identity),
            page_size=page_size,
            max_items=max_items,
            starting_token=starting_token,
        )

    def find(self, members: Mapping[str, Any], about: str, *, page_size: int | None = None) -> Iterator[str]:
        """
        Stream the ids or names that the finding call answers with, and nothing else of its answers.

        :param members: the call's members, under its own names; None is left out.
        :param about: what the search covers, for errors.
        :param page_size: items a request; None requests the largest page the API gives.
        """
        name = self.service.found_name
        return (item[name] for item in self.found(members, about, page_size=page_size))

    def found(
        self, members: Mapping[str, Any], about: str, *, page_size: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """
        Stream the items that the finding call answers with; a search's are about patients.

        Takes the arguments of :meth:`find`.
        """
        finding, name = self.service.finding, self.service.found_name
        for found in self._versions(finding, members, about, page_size=page_size):
            if not isinstance(found.get(name), str):
                raise UnexpectedAnswerError(
                    f"{finding.operation} answered with an item whose {name} is not a text.",
                    about=f"The call was for {about}.",
                )
            yield found

    def page(self, identity: Mapping[str, Any], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Request one page, and return AWS's answer unchanged, with the API's own page token.

        :param identity: field to value, checked before the request.
        :param members: further members of the API's request, under its own names.
        """
        request = {**self.service.members(self.service.check(identity)), **(members or {})}
        with self.named_errors(self.service.describe(dict(identity))):
            call = getattr(self.conn, self.service.listing.method)
            answers = (call(**members) for members in [request])
            return dict(next_answer(answers, self.service.listing.result_key) or {})

    def _versions(self, call: ListCall, members: Mapping[str, Any], about: str, **paging: Any) -> Versions:
        request = {name: value for name, value in members.items() if value is not None}
        return Versions(
            lambda config: self.conn.get_paginator(call.method).paginate(**request, PaginationConfig=config),
            lambda: self.named_errors(about, call.operation),
            call,
            **paging,
        )

    # --- one version ---

    def find_version(self, identity: Mapping[str, Any], version: int | None = None) -> FoundVersions:
        """
        Find the latest version and the wanted one, in as few pages as prove them.

        Where the service can sort by version, the latest alone needs a page of one entry.

        :param identity: field to value.
        :param version: the version's number; None for the latest.
        """
        newest_first = self.service.newest_first
        page_size = 1 if newest_first and version is None else None
        pages = self.stream(identity, newest_first, page_size=page_size).pages()
        return find_versions(pages, self.read, version)

    def observe(self, identity: Mapping[str, Any], version: int | None = None) -> VersionStatus | None:
        """
        Poll the version that a gate watches: one request in all but rare cases, however long the history.

        :param identity: field to value.
        :param version: the version's number; None for the latest.
        :return: its status, or None where the listing does not show it, or not yet.
        :raises ResourceMissingError: AWS says that it does not exist.
        :raises AwsCallError: any other failure of the call.
        """
        return self.log_unknown_status(self.watched_version(self.find_version(identity, version)))

    def watched_version(self, found: FoundVersions) -> VersionStatus | None:
        """Return the version that decides about a gate."""
        return found.wanted

    def log_unknown_status(
        self, found: VersionStatus | None, of: Waitable | None = None
    ) -> VersionStatus | None:
        """Log once per process that AWS has a new status, and the phase that it counts as."""
        if found is not None and not found.known:
            operation = (of or self.service).poll.operation
            status = (operation, found.status)
            if status not in _logged_statuses:
                _logged_statuses.add(status)
                self.log.warning(
                    "%s: this package does not know the status, which counts as %s here. From %s.",
                    found,
                    found.phase.value,
                    operation,
                )
        return found

    @classmethod
    def read(cls, entry: Entry) -> VersionStatus:
        """Read the status of an entry."""
        return read_entry(entry, cls.service.fields)

    # --- actions ---

    @cached_property
    def acting_conn(self) -> Any:
        """A client that sends each request once, whatever retries the connection sets."""
        retries: Any = {"mode": RETRY_MODE, "total_max_attempts": 1}
        return self.get_client_type(config=self.config.merge(Config(retries=retries)))

    def act(self, method: str, members: Mapping[str, Any], about: str) -> dict[str, Any]:
        """
        Call an operation that changes something, once.

        :param method: boto3's method, for example ``copy_image_set``.
        :param members: the members of the request, under the API's own names; None is left out.
        :param about: what the call is about, for errors.
        :return: AWS's answer, without its metadata.
        :raises AwsCallError: AWS refused or did not answer.
        """
        request = {name: value for name, value in members.items() if value is not None}
        client = self._acting_client(about)
        with self.named_errors(about, client.meta.method_to_api_mapping[method]):
            answer = dict(getattr(client, method)(**request))
        answer.pop("ResponseMetadata", None)
        return answer

    def _acting_client(self, about: str) -> Any:
        with self.named_errors(about):
            return self.acting_conn

    # --- errors and links ---

    def console_address(self, about: str) -> dict[str, str]:
        """
        Return the region and the partition of the client, as console links need them.

        :param about: whose page it is, for errors.
        """
        with self.named_errors(about):
            return {"region_name": self.conn_region_name, "aws_partition": self.conn_partition}

    def named_errors(self, about: str, operation: str | None = None) -> AbstractContextManager[None]:
        """Give every error of AWS or botocore the name of the call that met it, and of its subject."""
        return self._naming(operation or self.service.listing.operation, about, self.service)
