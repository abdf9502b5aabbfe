"""The AWS console's page of a SageMaker AI image."""

from __future__ import annotations

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class SageMakerImageLink(BaseAwsLink):
    """
    Link to an image in the SageMaker AI console.

    AWS documents no address for an image. The list of images stands at ``/sagemaker/home#/images``; the page
    of one is inferred from the console's other pages (``#/notebook-instances/<name>``,
    ``#/transform-jobs/<name>``) and has not been checked against a signed-in console.
    """

    name = "Amazon SageMaker AI image"
    key = "sagemaker_image"
    format_str = BASE_AWS_CONSOLE_LINK + "/sagemaker/home?region={region_name}#/images/{image_name}"
