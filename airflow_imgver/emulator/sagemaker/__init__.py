"""The image operations of Amazon SageMaker AI, for moto's SageMaker backend."""

from __future__ import annotations

from airflow_imgver.emulator.sagemaker.store import images_of, load_image

__all__ = ["images_of", "load_image"]
