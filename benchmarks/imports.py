"""Importing the sensor modules, in fresh processes, beside the base class that they are built on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import Row, row

BASE = "airflow.providers.amazon.aws.sensors.base_aws"
SENSORS = {
    "HealthImaging": "airflow_imgver.sensors.healthimaging",
    "SageMaker": "airflow_imgver.sensors.sagemaker_image",
}
AIM_MS = 50.0
ROUNDS = 9

# The sensor imports its base first, so what it takes beyond the base is what is left to import after it. Of
# two processes the difference would be the same, under the noise of two times a second of importing Airflow.
_PROGRAM = """
import time
start = time.perf_counter()
import {base}
half = time.perf_counter()
import {module}
print(time.perf_counter() - start, half - start)
"""


def rows() -> Iterator[Row]:
    """Measure both sensor modules, in turns."""
    times: dict[str, list[tuple[float, float]]] = {module: [] for module in SENSORS.values()}
    for number in range(ROUNDS + 1):
        for module, taken in times.items():
            pair = _import(module)
            # The first round writes the byte code, and Airflow's settings.
            if number:
                taken.append(pair)
    for service, module in SENSORS.items():
        yield row(
            f"{service}: import of the sensor's module",
            "import of sensors.base_aws",
            times[module],
            lambda ours, theirs: 1000 * (ours - theirs),
            aim=AIM_MS,
            unit="ms",
        )


def _import(module: str) -> tuple[float, float]:
    """Give the seconds that the module and its base take in a fresh process, and those of the base alone."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(base=BASE, module=module)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"import {module} failed:\n{done.stderr}")
    whole, base = done.stdout.splitlines()[-1].split()
    return float(whole), float(base)
