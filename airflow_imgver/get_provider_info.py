"""What ``airflow providers`` shows of this package."""

from __future__ import annotations

from typing import Any

from airflow_imgver.options import COMMON, provider_config
from airflow_imgver.services import SERVICES, WAITABLES


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-imgver",
        "name": "AWS image versions",
        "description": (
            "Gates, events, lists and reports for the version histories of AWS HealthImaging image sets "
            "and Amazon SageMaker AI images."
        ),
        "integrations": [
            {"integration-name": service.name, "external-doc-url": service.docs, "tags": ["aws"]}
            for service in SERVICES
        ],
        **{package: _modules(package) for package in ("hooks", "operators", "sensors", "triggers")},
        "config": provider_config([*(each for service in SERVICES for each in service.options), *COMMON]),
        "extra-links": [
            *(service.link for service in WAITABLES),
            "airflow_imgver.links.report.VersionReportLink",
        ],
        "cli": ["airflow_imgver.cli.definition.get_cli_commands"],
    }


def _modules(package: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": service.name,
            "python-modules": [f"airflow_imgver.{package}.{service.hook.split('.')[-2]}"],
        }
        for service in SERVICES
    ]
