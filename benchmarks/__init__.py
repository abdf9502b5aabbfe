"""What this package costs, as ratios to what it is built on: ``python -m benchmarks``."""

from __future__ import annotations
