"""Waiting for an image of Amazon SageMaker AI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.triggers.base import ImageVersionTrigger


class SageMakerImageVersionTrigger(ImageVersionTrigger):
    """
    Polls an image's version until the gate opens; further arguments are the base class's.

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them; or a
        list of them.
    """

    service = SAGEMAKER_IMAGE

    def __init__(self, *, image_name: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
