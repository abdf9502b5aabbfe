"""The AWS console's page of a report in S3."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class VersionReportLink(BaseAwsLink):
    """
    Link to a report in the S3 console: to its page if S3 holds the page, else to the first file in S3.

    A report outside S3 has no link: browsers do not follow links from Airflow's UI to files, and a file would
    be on the worker's disk, not on the reader's.
    """

    name = "Version report"
    key = "version_report"
    format_str = BASE_AWS_CONSOLE_LINK + "/s3/object/{bucket}?region={region_name}&prefix={key}"

    def format_link(self, **kwargs: Any) -> str:
        """Format the link; a key may contain any character."""
        return super().format_link(**{**kwargs, "key": quote(kwargs.get("key", ""))})
