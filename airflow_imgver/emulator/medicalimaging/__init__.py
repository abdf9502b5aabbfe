from __future__ import annotations

from airflow_imgver.emulator.medicalimaging.models import medicalimaging_backends

__all__ = ["medicalimaging_backends"]
