"""A report's page as its elements, tables and texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY_ELEMENTS = {"meta", "link", "img", "br", "hr", "input", "col", "wbr"}


@dataclass
class Page(HTMLParser):
    """A page taken apart: every element, the text of each section, the cells of each table."""

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    headings: list[tuple[str, str]] = field(default_factory=list)
    text_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(self.html)
        self.close()
        assert not self._open, f"elements left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        if tag not in EMPTY_ELEMENTS:
            self._open.append((tag, given))
        if tag == "table":
            self.tables[self._place(given)] = []
        elif tag == "tr":
            self._table().append([])
        elif tag in {"td", "th"}:
            self._table()[-1].append("")
        elif tag in {"h1", "h2", "h3"}:
            self.headings.append((tag, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if "style" in tags:
            return
        for _, given in self._open:
            if "id" in given:
                self.text_of[given["id"]] = self.text_of.get(given["id"], "") + data
        if "td" in tags or "th" in tags:
            self._table()[-1][-1] += data
        elif tags and {"h1", "h2", "h3"} & set(tags):
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + data)

    def _place(self, given: dict[str, str]) -> str:
        return given.get("id") or next(at["id"] for _, at in reversed(self._open) if "id" in at)

    def _table(self) -> list[list[str]]:
        return list(self.tables.values())[-1]

    def count(self, finding: str) -> int:
        """The number in a finding's heading."""
        return int(
            next(
                re.findall(r"[\d,]+", text)[0] for _, text in self.headings if text.startswith(finding)
            ).replace(",", "")
        )
