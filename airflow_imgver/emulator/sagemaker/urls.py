"""Where the image operations are reached: at the address of the SageMaker backend that moto has."""

from __future__ import annotations

from moto.sagemaker.urls import url_bases, url_paths

__all__ = ["url_bases", "url_paths"]
