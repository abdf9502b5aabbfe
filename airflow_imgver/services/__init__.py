"""The services whose images have versions. Each is one record, :class:`~.description.Service`."""

from __future__ import annotations

from airflow_imgver.services.description import Service
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE

SERVICES: tuple[Service, ...] = (HEALTHIMAGING, SAGEMAKER_IMAGE)
