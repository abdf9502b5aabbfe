"""Readers of the arguments that the author of a Dag or of a command gives, literal or from a template."""

from __future__ import annotations
