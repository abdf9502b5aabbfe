"""What ``airflow providers`` shows of this package."""

from __future__ import annotations

from typing import Any

_SERVICES = {"AWS HealthImaging": "healthimaging", "Amazon SageMaker AI images": "sagemaker_image"}


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
        "extra-links": [
            "airflow_imgver.links.healthimaging.HealthImagingImageSetLink",
            "airflow_imgver.links.sagemaker_image.SageMakerImageLink",
        ],
    }


def _modules(room: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": service, "python-modules": [f"airflow_imgver.{room}.{module}"]}
        for service, module in _SERVICES.items()
    ]
