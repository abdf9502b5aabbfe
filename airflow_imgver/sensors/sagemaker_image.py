"""The gate on an image of Amazon SageMaker AI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.links.sagemaker_image import SageMakerImageLink
from airflow_imgver.sensors.base import ImageVersionSensor
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.triggers.sagemaker_image import SageMakerImageVersionTrigger


class SageMakerImageVersionSensor(ImageVersionSensor[SageMakerImageHook]):
    """
    Waits until an image's version is no longer being created or deleted.

    ``version`` may be the ``ImageVersionArn`` that ``CreateImageVersion`` returned, or the number at its end.
    SageMaker lists no deleted version: ``wait_until="deleted"`` opens when it is no longer listed. Further
    arguments are those of :class:`~airflow_imgver.sensors.base.ImageVersionSensor` and of Airflow's
    ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListImageVersions.html

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them; or a
        list of them.
    """

    service = SAGEMAKER_IMAGE
    aws_hook_class = SageMakerImageHook
    trigger_class = SageMakerImageVersionTrigger
    link_class = SageMakerImageLink
    operator_extra_links = (SageMakerImageLink(),)
    template_fields = aws_template_fields("image_name", "version")

    def __init__(self, *, image_name: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
