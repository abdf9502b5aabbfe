"""The page on the command line names every command, option and status that there is."""

from __future__ import annotations

import re

import pytest
from processes import CHECKOUT

from airflow_imgver.cli import running
from airflow_imgver.cli.definition import COMMANDS

PAGE = (CHECKOUT / "docs" / "command-line.md").read_text()
OPTIONS = {
    flag
    for command in COMMANDS
    for argument in command.args
    for flag in argument.flags
    if flag.startswith("--")
}


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_every_option_is_on_the_page(option: str) -> None:
    assert re.search(rf"`{option}[`, ]", PAGE) or f"{option}`" in PAGE


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"| `{command}` |" in PAGE


def test_the_page_names_no_option_that_there_is_not() -> None:
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))

    # --help is of every parser.
    assert documented - OPTIONS == {"--help", "--profile"}


@pytest.mark.parametrize(
    "status", [running.FAILED, running.USAGE, running.TIMED_OUT, running.INTERRUPTED, running.PIPE_CLOSED]
)
def test_every_exit_status_is_on_the_page(status: int) -> None:
    assert f"\n| {status} | " in PAGE
