"""The set-up of `.venv` by `make`, with a script in place of Python, so that nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent

# Writes its arguments to a file. For `-m venv` it copies itself into the folder, as the Python there.
STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *version_info*"!="*) exit 0 ;;
  *version_info*) echo {version} ;;
  *ensurepip*) exit {ensurepip} ;;
  *"-m venv"*)
    for folder; do :; done
    case "$*" in *--clear*) rm -rf "$folder" ;; esac
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
  *"-m pip"*) [ ! -e break-pip ] ;;
esac
"""


class Checkout:
    """A folder with the Makefile and its prerequisites, under a path with a space."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a checkout"
        self.path.mkdir()
        self.calls = folder / "calls"
        shutil.copy(CHECKOUT / "Makefile", self.path)
        shutil.copy(CHECKOUT / "pyproject.toml", self.path)
        shutil.copytree(CHECKOUT / "constraints", self.path / "constraints")

    def python(self, *, version: str = "3.12", ensurepip: bool = True) -> Path:
        """Write the script that is run in place of Python."""
        python = self.path.parent / "python"
        python.write_text(STAND_IN.format(version=version, ensurepip=0 if ensurepip else 1))
        python.chmod(0o755)
        return python

    def _environment(self) -> dict[str, str]:
        # These tests run under `make test`, whose own arguments must not reach the `make` here.
        environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
        return environment | {"CALLS": str(self.calls)}

    def make(self, target: str, python: Path, *variables: str) -> tuple[int, str, list[str]]:
        """Make a target; return the exit status, the output, and the arguments of each call of Python."""
        self.calls.write_text("")
        done = subprocess.run(
            ["make", target, f"PYTHON={python}", *variables],
            cwd=self.path,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        asked = [line for line in self.calls.read_text().splitlines() if line.startswith("-m")]
        return done.returncode, done.stdout + done.stderr, asked


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


PIP = (
    "-m pip install --quiet --disable-pip-version-check --constraint constraints/py3.12.txt --editable .[dev]"
)


def test_the_first_run_installs_the_pinned_versions_of_the_python_it_found(checkout: Checkout) -> None:
    status, output, asked = checkout.make("demo", checkout.python())

    assert status == 0, output
    assert asked == ["-m venv --clear .venv", PIP, "-m demo.run"]


def test_the_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.make("demo", checkout.python())

    assert checkout.make("demo", checkout.python())[2] == ["-m demo.run"]


def test_another_python_makes_a_new_environment(checkout: Checkout) -> None:
    checkout.make("demo", checkout.python())
    other = checkout.python().rename(checkout.path.parent / "another-python")

    assert checkout.make("demo", other)[2] == ["-m venv .venv", PIP, "-m demo.run"]
    assert checkout.make("demo", other)[2] == ["-m demo.run"]


def test_changed_constraints_are_installed_into_the_existing_environment(checkout: Checkout) -> None:
    checkout.make("demo", checkout.python())
    later = (checkout.path / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(checkout.path / "constraints" / "py3.12.txt", (later, later))

    assert checkout.make("demo", checkout.python())[2] == ["-m venv .venv", PIP, "-m demo.run"]


def test_a_set_up_that_failed_starts_again_with_an_empty_environment(checkout: Checkout) -> None:
    broken = checkout.path / "break-pip"
    broken.touch()
    assert checkout.make("demo", checkout.python())[0] != 0
    broken.unlink()

    assert checkout.make("demo", checkout.python())[2] == ["-m venv --clear .venv", PIP, "-m demo.run"]


def test_a_python_that_is_too_old_is_named_in_one_line(checkout: Checkout) -> None:
    status, output, asked = checkout.make("demo", checkout.python(version="3.9"))

    assert status != 0
    assert asked == []
    (said, _) = output.strip().split("\n", 1)
    assert "needs Python 3.11, 3.12 or 3.13" in said
    assert "is 3.9" in said


def test_a_python_that_does_not_exist_is_named(checkout: Checkout) -> None:
    missing = checkout.path.parent / "no-such-python"
    status, output, _ = checkout.make("demo", missing)

    assert status != 0
    assert f"{missing} does not work here" in output


def test_for_a_python_without_venv_make_prints_the_package_to_install(checkout: Checkout) -> None:
    status, output, asked = checkout.make("demo", checkout.python(ensurepip=False))

    assert status != 0
    assert asked == []
    assert "apt install python3.12-venv" in output


def test_the_matrix_gets_the_combinations_and_the_pythons(checkout: Checkout) -> None:
    checkout.make("test-matrix", checkout.python(), "ONLY=3.1-* 3.3-py3.13", "PYTHONS=/a /b", "ARGS=-x")

    asked = checkout.calls.read_text().splitlines()[-1]
    assert asked == "tests/matrix.py --only 3.1-* 3.3-py3.13 --pythons /a /b -- -x"


def test_the_whole_airflow_may_be_an_older_one_in_an_environment_of_its_own(checkout: Checkout) -> None:
    arguments = ("AIRFLOW=3.1", "ARGS=-x")
    status, output, asked = checkout.make("test-stack", checkout.python(version="3.11"), *arguments)

    constraints = "--constraint constraints/stack-airflow3.1-py3.11.txt"
    assert status == 0, output
    assert asked == [
        "-m venv --clear .venv-stack-3.1",
        f"-m pip install --quiet --disable-pip-version-check {constraints} --editable .[stack]",
        "-m pytest tests/stack -x",
    ]


def test_one_file_of_the_stacks_tests_is_run_alone(checkout: Checkout) -> None:
    file = "tests/stack/test_stack_events.py"
    _, output, asked = checkout.make("test-stack", checkout.python(version="3.11"), f"ARGS={file} -x")
    assert asked[-1] == f"-m pytest {file} -x", output


def test_an_airflow_or_python_without_constraints_is_named(checkout: Checkout) -> None:
    _, output, asked = checkout.make("test-stack", checkout.python(version="3.11"), "AIRFLOW=3.0")
    assert asked == []
    assert "AIRFLOW=3.0 has no file constraints/stack-airflow3.0-py*.txt" in output

    _, output, asked = checkout.make("test-stack", checkout.python(version="3.13"), "AIRFLOW=3.1")
    assert asked == []
    assert "this needs Python 3.11." in output
    assert "is 3.13." in output


def test_make_without_a_target_lists_the_targets(checkout: Checkout) -> None:
    done = subprocess.run(["make"], cwd=checkout.path, capture_output=True, text=True, check=True, timeout=60)

    for target in ("demo", "up", "test", "test-matrix", "lint", "bench", "clean"):
        assert f"make {target} " in done.stdout
