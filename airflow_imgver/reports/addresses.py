"""Where a report's links lead: the AWS console, the other files of the report, a finding on the page."""

from __future__ import annotations

import posixpath
import re
from hashlib import sha256
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink

from airflow_imgver.reports.rows import Scope
from airflow_imgver.services.description import Service

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")
_PLACE = re.compile(r"(?:(?P<storage>[a-z0-9+.-]+://[^/]*)/|/)(?P<path>.+)", re.DOTALL)


def console_address(service: Service, scope: Scope, name: str) -> str | None:
    """
    Return the address of an image set or image in the AWS console.

    :return: None where AWS has no public console, or the service's page needs a field that is not known.
    """
    domain = BaseAwsLink.get_aws_domain(scope.partition)
    if domain is None:
        return None
    fields = {**scope.identity, "region_name": scope.region, service.key.name: name}
    try:
        path = service.console.path.format(**{field: quote(text, safe="") for field, text in fields.items()})
    except (KeyError, UnicodeEncodeError):
        return None
    return BASE_AWS_CONSOLE_LINK.format(aws_domain=domain) + path


def console_address_of_object(region: str, partition: str, path: str) -> str | None:
    """Return the address of an object of S3 in the AWS console; None for another path."""
    domain, found = (
        BaseAwsLink.get_aws_domain(partition),
        re.fullmatch(r"s3a?://(?:[^@/]*@)?([^/]+)/(.+)", path),
    )
    if domain is None or found is None:
        return None
    bucket, key = found.groups()
    host = BASE_AWS_CONSOLE_LINK.format(aws_domain=domain)
    return f"{host}/s3/object/{quote(bucket)}?region={region}&prefix={quote(key, errors='replace')}"


def relative_address(page: str, file: str) -> str | None:
    """Return the relative address of another file of a report; None where it is in another storage."""
    one, other = _PLACE.fullmatch(page), _PLACE.fullmatch(file)
    if one is None or other is None or one["storage"] != other["storage"]:
        return None
    path = posixpath.relpath(f"/{other['path']}", posixpath.dirname(f"/{one['path']}"))
    # Without it a name with a colon would begin with the scheme of an address.
    return quote(path if path.startswith(".") else f"./{path}", errors="replace")


def anchor(kind: str, name: str, number: int | None = None) -> str:
    """Return the id of a finding on the page: the same in each report, for example ``failed-studio-ct-2``."""
    plain = name if _PLAIN.fullmatch(name) else sha256(name.encode(errors="replace")).hexdigest()[:32]
    return f"{kind}-{plain}" if number is None else f"{kind}-{plain}-{number}"
