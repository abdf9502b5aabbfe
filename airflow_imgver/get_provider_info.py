"""What ``airflow providers`` shows of this package."""

from __future__ import annotations

from typing import Any

from airflow_imgver.defaults import DEFAULTS

_SERVICES = {"AWS HealthImaging": "healthimaging", "Amazon SageMaker AI images": "sagemaker_image"}


_OPTIONS = {
    "healthimaging_requests_per_second": (
        "How many ListImageSetVersions requests a second each process may send for one connection and "
        "region, and as many SearchImageSets requests; AWS's own quota is 25 of each for the whole account."
    ),
    "sagemaker_requests_per_second": (
        "How many ListImageVersions requests a second each process may send for one connection and region, "
        "and as many ListImages requests."
    ),
    "threads": (
        "How many threads call AWS for all waits on one connection, region and service of a process, and for "
        "one report."
    ),
    "connect_timeout": "Seconds to wait for a connection to AWS.",
    "read_timeout": "Seconds to wait for AWS to answer.",
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-imgver",
        "name": "AWS image versions",
        "description": (
            "Gates, lists and reports for the version histories of AWS HealthImaging image sets "
            "and Amazon SageMaker AI images."
        ),
        "integrations": [
            {
                "integration-name": "AWS HealthImaging",
                "external-doc-url": "https://docs.aws.amazon.com/healthimaging/",
                "tags": ["aws"],
            },
            {
                "integration-name": "Amazon SageMaker AI images",
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/",
                "tags": ["aws"],
            },
        ],
        **{room: _modules(room) for room in ("hooks", "operators", "sensors", "triggers")},
        "config": {
            "imgver": {
                "description": "Settings of the gates, lists and reports on AWS image versions.",
                "options": {name: _option(name, told) for name, told in _OPTIONS.items()},
            }
        },
        "extra-links": [
            "airflow_imgver.links.healthimaging.HealthImagingImageSetLink",
            "airflow_imgver.links.sagemaker_image.SageMakerImageLink",
            "airflow_imgver.links.report.VersionReportLink",
        ],
        "cli": ["airflow_imgver.cli.definition.get_cli_commands"],
    }


def _modules(room: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": service, "python-modules": [f"airflow_imgver.{room}.{module}"]}
        for service, module in _SERVICES.items()
    ]


def _option(name: str, description: str) -> dict[str, Any]:
    default = DEFAULTS[name]
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": "integer" if isinstance(default, int) else "float",
        "example": None,
        "default": str(default),
    }
