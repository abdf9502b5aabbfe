"""One measured process: one report of a data store, as a task makes it. Prints its figures as JSON."""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any, cast

from benchmarks.reporting_stub import datastore_of

SUFFIXES = ("html", "csv", "jsonl", "parquet")


class _TaskInstance:
    """The part of Airflow's task instance that the operator touches."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep nothing."""


def main(image_sets: int, folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator

    operator = HealthImagingVersionReportOperator(
        task_id="report",
        datastore_id=datastore_of(image_sets),
        outputs=[str(folder / f"report.{suffix}") for suffix in SUFFIXES],
    )
    # A client is built once a task, whatever the task does then.
    _ = operator.hook.conn
    cpu, begun = time.process_time(), time.monotonic()
    summary = operator.execute(cast("Any", {"ti": _TaskInstance()}))
    figures = {
        "seconds": time.monotonic() - begun,
        "cpu": time.process_time() - cpu,
        "rows": summary["rows"],
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "file_mb": sum(Path(path).stat().st_size for path in summary["paths"]) / 1e6,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
