"""A response as text, in the forms of ``--output``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TextIO

from airflow_imgver.cli.tables import field, nests, write_lines, write_plain, write_table
from airflow_imgver.services.waitable import Waitable

# Characters that JSON leaves unescaped and a terminal obeys: controls, and those that turn or hide text.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def write(value: Any, form: str, out: TextIO, *, service: Waitable, color: str = "auto") -> None:
    """
    Write a response, or the result of a query.

    :param form: ``json``, ``yaml``, ``table``, ``plain`` or ``text``.
    :param service: the service, for the order of a table's columns.
    :param color: ``on``, ``off`` or ``auto``; for a table.
    """
    if form == "json":
        write_lines(as_json(value), out)
    elif form == "yaml":
        write_lines(_yaml(value), out)
    elif form == "text":
        write_text(value, out)
    elif form == "plain":
        write_plain(value, out, service)
    else:
        write_table(value, out, service, color)


def write_text(value: Any, out: TextIO) -> None:
    """Write a response, or a page of one, in the form of ``--output text``."""
    out.writelines(f"{line}\n" for line in text_lines(value))


def as_json(value: Any) -> str:
    """Write JSON as the AWS CLI does: indented by four, letters of all languages as they are."""
    text = json.dumps(value, indent=4, ensure_ascii=False, default=datetime.isoformat)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _yaml(value: Any) -> str:
    from airflow.utils import yaml

    return str(yaml.dump(value, sort_keys=False))


# --- text -----------------------------------------------------------------------------------------------

# The AWS CLI's form: a line for each entry, its fields in the order of their names with tabs between them,
# and the name of the list in front; entries of one list have the same columns; nested values follow.


def text_lines(value: Any, name: str | None = None) -> Iterator[str]:
    """
    Write a response as the AWS CLI's ``--output text`` does.

    :param value: the response, or the result of a query.
    :param name: the name of the member that holds the value.
    """
    if isinstance(value, Mapping):
        yield from _text_of_mapping(value, name, None)
    elif isinstance(value, list):
        yield from _text_of_list(value, name)
    else:
        yield field(value)


def _text_of_mapping(value: Mapping[str, Any], name: str | None, columns: list[str] | None) -> Iterator[str]:
    if columns is None:
        columns = sorted(key for key, member in value.items() if not nests(member))
    if columns:
        label = [] if name is None else [name.upper()]
        yield "\t".join([*label, *(field(value.get(column, "")) for column in columns)])
    for key in sorted(value.keys() - set(columns)):
        yield from text_lines(value[key], key)


def _text_of_list(value: list[Any], name: str | None) -> Iterator[str]:
    mappings = [member for member in value if isinstance(member, Mapping)]
    if mappings:
        columns = sorted({key for each in mappings for key, member in each.items() if not nests(member)})
        for member in value:
            if isinstance(member, Mapping):
                yield from _text_of_mapping(member, name, columns)
            else:
                yield from text_lines(member, name)
        return
    plain = [field(member) for member in value if not nests(member)]
    if plain and name is None:
        yield "\t".join(plain)
    elif name is not None:
        yield from (f"{name.upper()}\t{member}" for member in plain)
    for member in value:
        if nests(member):
            yield from text_lines(member, name)
