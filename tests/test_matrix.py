"""The matrix: which combinations there are, and what it prints of them, with a fake Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from matrix import CHECKOUT, LEFT_OUT, combinations, main

# Makes an environment of itself; as pytest, it writes results as pytest does.
STAND_IN = """#!/bin/sh
case "$*" in
  *version_info*) echo 3.99 ;;
  "-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"
    cp "$0" "$folder/bin/python"; echo made >> {made} ;;
  *"-m pip"*) exit {pip} ;;
  *"-m pytest"*)
    for word; do case "$word" in --junit-xml=*) results="${{word#--junit-xml=}}" ;; esac; done
    echo '<suites><testsuite tests="7" failures="{failures}" errors="0" skipped="2"/></suites>' > "$results"
    exit {status} ;;
esac
"""


class Machine:
    """A machine with one Python, 3.99, and constraint files for it and for one that is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.constraints = folder / "constraints"
        self.constraints.mkdir()
        self.made = folder / "made"
        self.pin("airflow3.1-py3.99", "3.1.0")
        self.pin("py3.98", "3.3.2")
        self.python()

    def pin(self, name: str, airflow: str) -> None:
        (self.constraints / f"{name}.txt").write_text(f"apache-airflow=={airflow}\nboto3==1.2.3\n")

    def python(self, *, failures: int = 0, status: int = 0, pip: int = 0) -> None:
        python = self.folder / "python"
        python.write_text(STAND_IN.format(failures=failures, status=status, pip=pip, made=self.made))
        python.chmod(0o755)

    def main(self, *words: str) -> int:
        folders = ("--folder", str(self.folder / "matrix"), "--constraints", str(self.constraints))
        return main([*folders, "--pythons", str(self.folder / "python"), *words])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_table_shows_what_ran_and_what_did_not(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    status = machine.main()
    table = capsys.readouterr().out

    assert status == 0
    assert re.search(r"^3\.1-py3\.99 +3\.1\.0 .*1\.2\.3 +5 +0 +2 +0:0\d +well$", table, re.MULTILINE), table
    assert re.search(r"^3\.3-py3\.98 .*left out: no Python 3\.98 here$", table, re.MULTILINE), table
    assert "Not run on Python 3.98" in table


def test_a_test_that_fails_fails_the_run(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.python(failures=1, status=1)

    assert machine.main() == 1
    assert "FAILED" in capsys.readouterr().out


def test_an_environment_that_cannot_be_made_fails_the_run_and_is_made_anew(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.python(pip=1)
    assert machine.main() == 1
    assert "no environment" in capsys.readouterr().out

    machine.python()
    assert machine.main() == 0


def test_a_run_of_nothing_is_no_success(machine: Machine) -> None:
    assert machine.main("--only", "3.3-py3.98") == 1


def test_an_environment_is_kept_until_its_versions_change(machine: Machine) -> None:
    machine.main()
    machine.main()
    assert machine.made.read_text().split() == ["made"]

    machine.pin("airflow3.1-py3.99", "3.1.1")
    machine.main()
    assert machine.made.read_text().split() == ["made", "made"]


def test_some_can_be_chosen_by_name_or_pattern(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.main("--only", "3.1-*")

    assert "3.3-py3.98" not in capsys.readouterr().out


def test_an_unknown_name_lists_the_known_names(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.main("--only", "2.11-py3.99") == 2
    assert "there are 3.1-py3.99, 3.3-py3.98" in capsys.readouterr().err


def test_there_is_a_combination_of_each_airflow_with_each_python() -> None:
    assert [one.name for one in combinations(CHECKOUT / "constraints")] == [
        f"{airflow}-py{python}" for airflow in ("3.1", "3.2", "3.3") for python in ("3.11", "3.12", "3.13")
    ]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lowest_run_is_of_the_floors_that_the_package_states(python: str) -> None:
    (lowest,) = (one for one in combinations(CHECKOUT / "constraints") if one.name == f"3.1-py{python}")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["emulator"]]
    for requirement in stated:
        package, floor = re.fullmatch(r"([a-z0-9-]+)(?:\[.*\])?>=([0-9.]+).*", requirement).groups()  # type: ignore[union-attr]
        run = lowest.version(package)
        assert run == floor or run.removesuffix(".0") == floor, f"{package}: {run} is run, {floor} is stated"


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    # The stack's tests come with it.
    assert [path for path in LEFT_OUT if not (CHECKOUT / path).exists()] in ([], ["tests/stack"])
