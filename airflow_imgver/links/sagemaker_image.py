"""The AWS console's page of a SageMaker AI image."""

from __future__ import annotations

from airflow_imgver.links.console import ConsoleLink
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE


class SageMakerImageLink(ConsoleLink, service=SAGEMAKER_IMAGE):
    """
    Link to an image in the SageMaker AI console.

    AWS does not document the address of one image; the description of the service says how it was inferred.
    """
