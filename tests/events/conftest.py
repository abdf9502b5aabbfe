"""Shared by the tests of watchers: the embedded AWS's resources, and no long pauses."""

from __future__ import annotations

import pytest
from streams import Clinic

from airflow_imgver.triggers import queue_stream, trouble


@pytest.fixture
def clinic(emulator_url: str, aws_connection: str, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """The embedded AWS with a queue; watchers do not wait for one another for long, nor after errors."""
    monkeypatch.setattr(queue_stream, "SECONDS_TO_JOIN", 0.2)
    monkeypatch.setattr(queue_stream, "_WAIT", 1)
    monkeypatch.setattr(trouble, "LONGEST_PAUSE", 0.5)
    return Clinic(emulator_url)
