from __future__ import annotations

from .models import medicalimaging_backends

__all__ = ["medicalimaging_backends"]
