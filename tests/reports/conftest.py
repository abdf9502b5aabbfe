"""Fixtures of this room's tests."""

from __future__ import annotations

from support import models_read_once

__all__ = ["models_read_once"]
