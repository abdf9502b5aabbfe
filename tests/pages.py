"""The pages of the documentation, as their tests read them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "benchmarks/RESULTS.md"]
)
REFERENCE = CHECKOUT / "docs" / "reference.md"
GATES = CHECKOUT / "docs" / "gates.md"
REPORTING = CHECKOUT / "docs" / "reporting.md"
TROUBLESHOOTING = CHECKOUT / "docs" / "troubleshooting.md"
RECIPES = CHECKOUT / "docs" / "recipes.md"
LISTING = CHECKOUT / "docs" / "listing.md"


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks in a language; "" means an indented block."""
    return [
        token.content
        for token in tokens_of(page)
        if token.type in ("fence", "code_block") and token.info.strip() in languages
    ]


def headings(page: Path) -> set[str]:
    """The anchors that the headings of a page get, as code hosts make them."""
    seen: Counter[str] = Counter()
    anchors = set()
    tokens = tokens_of(page)
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return anchors


def links(page: Path) -> Iterator[str]:
    for token in tokens_of(page):
        for child in token.children or []:
            if address := child.attrs.get("href") or child.attrs.get("src"):
                yield str(address)


class NamedTable(NamedTuple):
    """A table, and the dotted path that is the whole paragraph before it, if any."""

    path: str | None
    rows: list[list[str]]


def tables(page: Path) -> Iterator[NamedTable]:
    paragraph: str | None = None
    rows: list[list[str]] = []
    for token, inline in pairwise([*tokens_of(page), Token("end", "", 0)]):
        if token.type == "paragraph_open":
            paragraph = inline.content
        elif token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(inline.content)
        elif token.type == "table_close":
            named = re.fullmatch(r"`([\w.]+)`", paragraph or "")
            yield NamedTable(named[1] if named else None, rows)
            paragraph = None


def table_under(page: Path, *header: str) -> list[list[str]]:
    """The rows of the table with this header."""
    (found,) = [rows[1:] for _, rows in tables(page) if tuple(rows[0]) == header]
    return found


def run_page(page: Path) -> dict[str, Any]:
    """Run the Python of a page, its blocks one after another; give what it named."""
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem}"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
    return namespace


def xcom_samples() -> dict[str, dict[str, Any]]:
    """The reference's sample entries, by the name that holds their version number."""
    entries = [json.loads(block) for block in blocks(REFERENCE, "json")]
    return {
        key: entry
        for entry in entries
        if "status" not in entry
        for key in entry
        if key.startswith(("V", "v"))
    }


def dag_bundle(folder: Path) -> str:
    """Airflow's setting of the folder of Dags: `dag.test()` runs only Dags that it finds there."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return json.dumps([{"name": folder.name, "classpath": local, "kwargs": {"path": str(folder)}}])
