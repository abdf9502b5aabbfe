"""The lists of versions in XCom, as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

Entries = list[dict[str, Any]]


def image_set_versions(entries: Entries) -> Table:
    """The versions of a HealthImaging image set."""
    return _table(
        "XCom of example_healthimaging_copy.list_versions",
        ["versionId", "imageSetState", "ImageSetWorkflowStatus", "createdAt", "updatedAt", "message"],
        entries,
    )


def image_versions(entries: Entries) -> Table:
    """The versions of a SageMaker image."""
    return _table(
        "XCom of example_sagemaker_image.list_versions",
        ["Version", "ImageVersionStatus", "CreationTime", "LastModifiedTime", "FailureReason"],
        entries,
    )


def _table(title: str, columns: list[str], entries: Entries) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for entry in entries:
        row = [_cell(column, entry.get(column, "")) for column in columns]
        table.add_row(*row, style="red" if any(cell.endswith("_FAILED") for cell in row) else None)
    return table


def _cell(column: str, value: Any) -> str:
    # Without fractions of seconds, which XCom has.
    if value and column.endswith(("At", "Time")):
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)
