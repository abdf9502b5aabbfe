"""The messages that the troubleshooting page quotes are messages of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from pages import CHECKOUT, TROUBLESHOOTING, blocks

# In a page and in the code, the place of a value that the message gets when it is printed.
PLACE_ON_A_PAGE = "…"
PLACE = "\0"
PERCENT_FORMAT = re.compile(r"%[-+ #0-9.]*[sdrgf]")

QUOTES = blocks(TROUBLESHOOTING, "text")


@cache
def texts() -> list[str]:
    """The string literals of the package, docstrings left out."""
    return [
        text
        for path in sorted((CHECKOUT / "airflow_imgver").rglob("*.py"))
        for text in literals(ast.parse(path.read_text(encoding="utf-8")))
    ]


def literals(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else PLACE
            for part in node.values
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield PERCENT_FORMAT.sub(PLACE, node.value)
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


def fragments(quote: str) -> list[str]:
    """The parts of a quoted message that are the same in every message of its kind."""
    return [part for part in (part.strip() for part in quote.split(PLACE_ON_A_PAGE)) if part]


def test_the_page_quotes_messages_of_every_kind() -> None:
    assert len(QUOTES) > 20
    assert len(set(QUOTES)) == len(QUOTES)


@pytest.mark.parametrize("quote", QUOTES, ids=str.strip)
def test_a_quoted_message_is_one_that_the_package_prints(quote: str) -> None:
    parts = fragments(quote)

    assert sum(len(re.findall(r"[A-Za-z]{2,}", part)) for part in parts) >= 2, (
        "too short to identify a message"
    )
    for part in parts:
        assert any(part in text for text in texts()), f"no message of the package has {part!r}"


def test_a_message_that_the_package_does_not_print_is_not_found() -> None:
    assert not any("The gate is fully operational" in text for text in texts())
    assert not any("Named errors, none a subclass" in text for text in texts()), "a docstring is no message"
