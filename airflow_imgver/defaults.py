"""The ``[imgver]`` options of Airflow's configuration, and their defaults; imports nothing."""

from __future__ import annotations

SECTION = "imgver"
DEFAULTS = {
    "healthimaging_requests_per_second": 20.0,
    "sagemaker_requests_per_second": 2.0,
    "threads": 8,
    "connect_timeout": 5.0,
    "read_timeout": 20.0,
}
