"""``python -m airflow_imgver``: the commands of ``airflow imgver``, which Airflow 3.1 does not load."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_imgver.cli.definition import COMMANDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; ends the process with its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_imgver",
        description="List the versions of image sets and images on AWS, and wait for them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        described = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            epilog=command.epilog,
            # The lines of the examples stay as they are.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for argument in command.args:
            argument.add_to_parser(described)
        described.set_defaults(func=command.func)
    parsed = parser.parse_args(arguments)
    parsed.func(parsed)


if __name__ == "__main__":
    main()
