"""
What the package knows of AWS's services, one record each.

``SERVICES`` are those whose images have versions (:class:`~.description.Service`); ``WAITABLES`` are all that
a gate can wait for (:class:`~.waitable.Waitable`).
"""

from __future__ import annotations

from airflow_imgver.services.description import Service
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.services.waitable import Waitable

__all__ = ["DICOM_IMPORT_JOB", "HEALTHIMAGING", "SAGEMAKER_IMAGE", "SERVICES", "WAITABLES"]

SERVICES: tuple[Service, ...] = (HEALTHIMAGING, SAGEMAKER_IMAGE)
WAITABLES: tuple[Waitable, ...] = (HEALTHIMAGING, DICOM_IMPORT_JOB, SAGEMAKER_IMAGE)
