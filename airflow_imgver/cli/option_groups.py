"""
Options in the groups in which ``--help`` shows them.

Airflow sorts the options of a command by name, so their order in the definition is not what a reader sees.
"""

from __future__ import annotations

import argparse
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from airflow.cli.cli_config import Arg

_TITLES = ("required options", "usual options", "connection options", "AWS CLI options")
_Group = argparse._ArgumentGroup
_groups: WeakKeyDictionary[argparse.ArgumentParser, dict[str, _Group]] = WeakKeyDictionary()


class _Option(Arg):
    """An option in one of the groups."""

    title: ClassVar[str]

    def __init__(self, flags: tuple[str, ...], **argument: Any) -> None:
        super().__init__(flags, **argument)  # type: ignore[no-untyped-call]

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add it to its group, and at the parser's first option all groups; argparse hides empty ones."""
        groups = _groups.get(parser)
        if groups is None:
            groups = _groups[parser] = {title: parser.add_argument_group(title) for title in _TITLES}
        # A group has what add_to_parser calls.
        super().add_to_parser(groups[self.title])  # type: ignore[arg-type]


class Required(_Option):
    """What a command cannot do without."""

    title = _TITLES[0]


class Usual(_Option):
    """What a command is usually used with."""

    title = _TITLES[1]


class ForConnection(_Option):
    """How AWS is reached, in place of what the Airflow connection says."""

    title = _TITLES[2]


class FromAwsCli(_Option):
    """What the AWS CLI's command has too, and few people need."""

    title = _TITLES[3]
