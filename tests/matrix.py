"""The tests on the lowest and the newest versions that the package takes: what `make test-matrix` runs.

A constraint file is a combination of an Airflow and a Python. Each has an environment of its own in
`.matrix/`, which is kept until what it was made from changes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate  # type: ignore[import-untyped]

CHECKOUT = Path(__file__).resolve().parent.parent

# These do not depend on the versions that a combination is made of, and take as long as all the others.
LEFT_OUT = {
    "tests/aws_cli": "the AWS CLI brings a boto3 of its own",
    "tests/cli/test_beside_aws_cli.py": "the AWS CLI brings a boto3 of its own",
    "tests/stack": "needs services that run beside it",
    "tests/test_demo.py": "a whole Airflow, with the versions that `make demo` installs",
    "tests/test_makefile.py": "make, with a fake Python",
    "tests/test_matrix.py": "this program, with a fake Python",
}
# Warnings of older releases about one another cannot be fixed here; this package's own can.
OLDER_WARNINGS = "--override-ini=filterwarnings=default\nerror:::airflow_imgver"
COLUMNS = ("combination", "airflow", "amazon", "boto3", "passed", "failed", "skipped", "time", "")


@dataclass(frozen=True)
class Combination:
    """An Airflow and a Python, with one version of everything that they need."""

    constraints: Path

    @property
    def name(self) -> str:
        """For example `3.1-py3.11`."""
        return f"{self.airflow}-py{self.python}"

    @property
    def python(self) -> str:
        """The Python, as 3.11."""
        return self.constraints.stem.rpartition("py")[2]

    @property
    def airflow(self) -> str:
        """The line of Airflow, as 3.1."""
        return self.version("apache-airflow").rpartition(".")[0]

    @property
    def is_old(self) -> bool:
        """Whether its versions are those of an earlier day."""
        return self.constraints.stem.startswith("airflow")

    def version(self, package: str) -> str:
        """The version of a package that it is made of."""
        pins = self.constraints.read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(package)}==(\S+)", pins, re.MULTILINE)
        return found[1] if found else "?"


@dataclass(frozen=True)
class Outcome:
    """How the tests of one combination ended; `trouble` is empty where all is well."""

    combination: Combination
    trouble: str = ""
    ran: bool = True
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0

    def row(self) -> tuple[object, ...]:
        """Its line of the table."""
        versions = [
            self.combination.version(package)
            for package in ("apache-airflow", "apache-airflow-providers-amazon", "boto3")
        ]
        counts: list[object] = ["", "", "", ""]
        if self.ran:
            minutes, seconds = divmod(round(self.seconds), 60)
            counts = [self.passed, self.failed, self.skipped, f"{minutes}:{seconds:02}"]
        return (self.combination.name, *versions, *counts, self.trouble or "well")


def combinations(folder: Path) -> list[Combination]:
    """All that there are constraint files for, from the oldest Airflow and Python to the newest."""
    found = [Combination(file) for file in (*folder.glob("airflow*-py*.txt"), *folder.glob("py*.txt"))]
    return sorted(found, key=lambda one: [int(part) for part in re.findall(r"\d+", one.name)])


def pythons(named: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """The Pythons by their version: those that were named, this one, and those on the PATH."""
    found: dict[str, str] = {}
    on_the_path = sorted({f"python{version}" for version in wanted})
    for python in (*named, sys.executable, *on_the_path, "python3", "python"):
        version = _version_of(python)
        if version:
            found.setdefault(version, python)
    return found


def _version_of(python: str) -> str:
    program = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def environment(combination: Combination, python: str, folder: Path) -> Path:
    """Give the environment's own Python; make it where it is missing, or was made from something else."""
    sources = (combination.constraints, CHECKOUT / "pyproject.toml")
    made_from = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    stamp, inside = folder / ".made-from", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == made_from:
        return inside
    # The stamp goes first and comes back last, so a set-up that broke off begins anew.
    stamp.unlink(missing_ok=True)
    print(f"Setting up {folder}", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    quietly = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    wanted = ("--constraint", str(combination.constraints), "--editable", f"{CHECKOUT}[test]")
    subprocess.run([str(inside), *quietly, *wanted], check=True)
    stamp.write_text(made_from, encoding="utf-8")
    return inside


def run(combination: Combination, python: str, folder: Path, arguments: Sequence[str]) -> Outcome:
    """Run the tests of one combination."""
    print(f"\n== {combination.name}", flush=True)
    began = time.monotonic()
    try:
        inside = environment(combination, python, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(combination, f"no environment: {error}", ran=False)
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    command = [str(inside), "-m", "pytest", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
    command += ["-p", "no:cacheprovider", "--quiet", f"--junit-xml={results}"]
    command += [f"--ignore={path}" for path in LEFT_OUT]
    if combination.is_old:
        command.append(OLDER_WARNINGS)
    status = subprocess.run([*command, *arguments], cwd=CHECKOUT, check=False).returncode
    return _outcome(combination, status, results, time.monotonic() - began)


def _outcome(combination: Combination, status: int, results: Path, seconds: float) -> Outcome:
    if not results.exists():
        return Outcome(combination, f"pytest ended with {status}", ran=False)
    suites = list(ElementTree.parse(results).iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(count, 0)) for suite in suites)
        for count in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    trouble = "" if status == 0 else "FAILED" if failed else f"pytest ended with {status}"
    passed = max(total - failed - skipped, 0)
    return Outcome(combination, trouble, passed=passed, failed=failed, skipped=skipped, seconds=seconds)


def outcomes(
    chosen: Sequence[Combination], found: dict[str, str], folder: Path, arguments: Sequence[str]
) -> Iterator[Outcome]:
    """Run one combination after the other."""
    for combination in chosen:
        if python := found.get(combination.python):
            yield run(combination, python, folder / combination.name, arguments)
        else:
            yield Outcome(combination, f"left out: no Python {combination.python} here", ran=False)


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for and print a table of it; return 0 if every run passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="as 3.1-py3.11 or 3.1-*")
    parser.add_argument("--pythons", nargs="*", default=[], metavar="PATH", help="beside those on the PATH")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".matrix", help="for the environments")
    parser.add_argument("--constraints", type=Path, default=CHECKOUT / "constraints")
    parser.add_argument("arguments", nargs="*", help="pytest's own, after --")
    asked = parser.parse_args(words)
    every = combinations(asked.constraints)
    chosen = [
        one for one in every if not asked.only or any(fnmatchcase(one.name, name) for name in asked.only)
    ]
    unknown = [name for name in asked.only if not any(fnmatchcase(one.name, name) for one in every)]
    if unknown:
        print(f"{', '.join(unknown)}: there are {', '.join(one.name for one in every)}", file=sys.stderr)
        return 2
    for python in asked.pythons:
        if not _version_of(python):
            print(f"{python} is no Python with venv and ensurepip", file=sys.stderr)
            return 2

    done: list[Outcome] = []
    try:
        found = pythons(asked.pythons, [one.python for one in chosen])
        done.extend(outcomes(chosen, found, asked.folder, asked.arguments))
    except KeyboardInterrupt:
        print("\nInterrupted")
        _tell(done)
        return 130
    _tell(done)
    left_out = [one for one in done if one.trouble.startswith("left out")]
    ran_well = [one for one in done if not one.trouble]
    return 0 if ran_well and len(ran_well) + len(left_out) == len(done) else 1


def _tell(done: Sequence[Outcome]) -> None:
    print("\n" + tabulate([one.row() for one in done], headers=COLUMNS))
    missing = sorted({one.combination.python for one in done if one.trouble.startswith("left out")})
    if missing:
        print(f"\nNot run on Python {', '.join(missing)}: name one with PYTHONS=/path/to/python{missing[0]}")
    print("\nLeft out of each, because versions do not matter to it:")
    for path, reason in LEFT_OUT.items():
        if (CHECKOUT / path).exists():
            print(f"  {path}: {reason}")


if __name__ == "__main__":
    # What belongs to another environment must not be seen by these.
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    sys.exit(main())
