"""
``make bench``: measure, print the table, write ``RESULTS.md``.

A missed aim is reported and is not a failure; the exit status is 1 only if something broke. To add a row,
yield another item from a ``rows()`` of the ``BENCHMARKS``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable

from rich.console import Console

from benchmarks import emulator, imports, listing, report, startup
from benchmarks.measure import Row

BENCHMARKS: tuple[Callable[[], Iterable[Row]], ...] = (
    listing.rows,
    imports.rows,
    startup.rows,
    emulator.rows,
)


def main() -> int:
    """Give the exit status."""
    console = Console(stderr=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="airflow-imgver-bench-") as home:
        _isolate(home)
        for rows_of in BENCHMARKS:
            for row in rows_of():
                console.print(
                    f"{row.what}: {row.text(row.figure)} ({row.verdict})", style="dim", soft_wrap=True
                )
                rows.append(row)
    report.show(rows)
    report.write(rows)
    print("Written to benchmarks/RESULTS.md.")
    return 0


def _isolate(home: str) -> None:
    """Point Airflow, here and in the processes to come, at a scratch folder, and boto3 at no account."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AWS_"))]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The budget of requests would be measured in place of the code.
        "AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND": "1000000",
        "AIRFLOW__IMGVER__SAGEMAKER_REQUESTS_PER_SECOND": "1000000",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AWS_CONFIG_FILE": f"{home}/no-aws-config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{home}/no-aws-credentials",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


if __name__ == "__main__":
    sys.exit(main())
