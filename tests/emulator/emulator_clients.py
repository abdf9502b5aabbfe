"""boto3 clients of the embedded AWS."""

from __future__ import annotations

from support import client_of

__all__ = ["client_of"]
