"""Airflow gates, lists and reports for AWS image versions: HealthImaging image sets, SageMaker AI images."""

from __future__ import annotations

__version__ = "0.1.0"
