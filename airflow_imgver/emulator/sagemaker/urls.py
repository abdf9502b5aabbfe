"""The addresses of the image operations: those of moto's own SageMaker backend."""

from __future__ import annotations

from moto.sagemaker.urls import url_bases, url_paths

__all__ = ["url_bases", "url_paths"]
