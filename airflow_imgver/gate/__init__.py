"""One gate on one id or many: its settings, its polls, its verdict, its event."""

from __future__ import annotations
