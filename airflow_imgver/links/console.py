"""The AWS console's page of an image set, image or job, from the description of its service."""

from __future__ import annotations

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink

from airflow_imgver.services.waitable import Waitable


class ConsoleLink(BaseAwsLink):
    """Link to the page that a service's description names; a subclass names the service."""

    def __init_subclass__(cls, *, service: Waitable) -> None:
        super().__init_subclass__()
        cls.name = service.console.label
        cls.key = service.console.key
        cls.format_str = BASE_AWS_CONSOLE_LINK + service.console.path
