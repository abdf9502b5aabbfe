"""Listing versions to XCom: the base of the services' list operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from airflow_imgver.arguments.literals import whole_number
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.listing import Listing
from airflow_imgver.query import Query
from airflow_imgver.services.description import Service
from airflow_imgver.text import as_plain

if TYPE_CHECKING:
    from airflow.sdk import Context

HookT = TypeVar("HookT", bound=ImageVersionHook)


class ListVersionsOperator(AwsBaseOperator[HookT]):
    """
    Lists versions and returns them: plain lists and dicts, AWS's names, times as ISO 8601 text in UTC.

    A listing that ``max_items`` cut off also pushes the XCom ``next_token``; ``starting_token`` resumes it.

    :param query: a JMESPath expression over the whole response, as the AWS CLI's ``--query``; its result
        is returned in place of the list. https://jmespath.org
    :param page_size: items a request; None requests the largest page the API gives.
    :param max_items: how many items at the most; None for all.
    :param starting_token: the ``next_token`` of a truncated listing with the same arguments.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration, see
        https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
    """

    service: ClassVar[Service]
    link_class: ClassVar[type[BaseAwsLink]]

    def __init__(
        self,
        *,
        query: str | None = None,
        page_size: int | str | None = None,
        max_items: int | str | None = None,
        starting_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = query
        self.page_size = page_size
        self.max_items = max_items
        self.starting_token = starting_token

    def _list(self, **paging: Any) -> Listing:
        """List with the hook; a service with filters passes them on."""
        identity = {name: getattr(self, name) for name in self.service.identity_names}
        return self.hook.stream(identity, **paging).all()

    def execute(self, context: Context) -> Any:
        """
        List.

        :return: the entries, in AWS's order, newest first; with ``query`` the result of that.
        :raises InvalidQueryError: ``query`` is not a JMESPath expression; before any request.
        :raises InvalidIdentityError: an id or a name breaks AWS's pattern; before any request.
        :raises InvalidTokenError: ``starting_token`` does not resume this listing; before any request.
        :raises AwsCallError: AWS refused or did not answer.
        """
        query = Query(self.query) if self.query else None
        identity = self.service.check({name: getattr(self, name) for name in self.service.identity_names})
        address = self.hook.console_address(self.service.describe(identity))
        self.link_class.persist(context=context, operator=self, **address, **identity)
        listing = self._list(
            page_size=whole_number(self.page_size, "page_size"),
            max_items=whole_number(self.max_items, "max_items"),
            starting_token=self.starting_token or None,
        )
        self.log.info(
            "Listed %d versions%s: %s",
            len(listing.items),
            ", and there are more" if listing.next_token else "",
            self.service.describe(identity),
        )
        if listing.next_token and self.do_xcom_push:
            context["ti"].xcom_push(key="next_token", value=listing.next_token)
        versions = as_plain(listing.items)
        if query is None:
            return versions
        response = {self.service.listing.result_key: versions}
        if listing.next_token:
            response["NextToken"] = listing.next_token
        return query.search(response)
