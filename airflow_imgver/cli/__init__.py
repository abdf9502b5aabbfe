"""The commands of ``airflow imgver`` and of ``python -m airflow_imgver``."""

from __future__ import annotations
