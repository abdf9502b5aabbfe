"""`--help`, of each command, in Airflow's own parser and in ours."""

from __future__ import annotations

import argparse
import re

import pytest
from airflow.cli.cli_parser import _add_command

from airflow_imgver.__main__ import main
from airflow_imgver.cli.definition import COMMANDS

GROUPS = ["required options", "usual options", "connection options", "aws cli options"]
# Told apart from the lists of options by a line that says so.
TITLE = re.compile(r"^([a-z ]*options|examples):$", re.IGNORECASE | re.MULTILINE)


def airflow_help(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help as Airflow's parser writes it."""
    parser = argparse.ArgumentParser(prog="airflow imgver")
    commands = parser.add_subparsers()
    for command in COMMANDS:
        _add_command(commands, command)
    with pytest.raises(SystemExit):
        parser.parse_args([name, "--help"])
    return capsys.readouterr().out


def our_help(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help as ``python -m airflow_imgver`` writes it."""
    with pytest.raises(SystemExit):
        main([name, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
@pytest.mark.parametrize("helped", [airflow_help, our_help])
def test_required_options_come_first_and_those_of_the_aws_cli_last(
    name: str, helped: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert callable(helped)

    titles = [title.lower() for title in TITLE.findall(helped(name, capsys))]

    assert titles[-1] == "examples"
    groups = [title for title in titles if title in GROUPS]
    assert groups == sorted(groups, key=GROUPS.index)
    assert "usual options" in groups


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_every_option_is_in_a_group(
    command: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    shown = our_help(command.name, capsys)  # type: ignore[attr-defined]

    alone = shown.split("\noptions:\n")[1].split("\n\n")[0]
    assert re.findall(r"--[a-z-]+", alone) == ["--help"]


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_ends_with_two_examples_that_the_command_accepts(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = our_help(name, capsys).split("examples:\n")[1].replace("\\\n", " ").strip().splitlines()

    assert len(examples) >= 2
    for example in examples:
        assert parsed(example.split("&&")[0].strip()), example


def parsed(example: str) -> argparse.Namespace:
    """Parse an example's words as a shell and Airflow would."""
    import shlex

    program, group, name, *arguments = shlex.split(example)
    assert (program, group) == ("airflow", "imgver")
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for command in COMMANDS:
        _add_command(commands, command)
    return parser.parse_args([name, *arguments])
