"""boto3 clients of the embedded AWS."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


def client_of(service: str, url: str | None = None, *, region: str = "us-east-1", **config: Any) -> Any:
    """Make a client that tries once, and so see each answer; without a URL it works in process."""
    # With a URL, no "runtime-" before a host that knows none.
    options = {"retries": {"total_max_attempts": 1}, "inject_host_prefix": url is None, **config}
    return boto3.client(
        service, region_name=region, endpoint_url=url, config=Config(**options), **CREDENTIALS
    )
