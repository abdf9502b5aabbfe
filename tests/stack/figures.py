"""What the tests of the stack measured, in plain lines."""

from __future__ import annotations

from collections.abc import Iterator


class Figures:
    """The lines that stand at the end of a run."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def tell(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)
