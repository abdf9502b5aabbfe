"""The message of a report: ready to send, three lines at most, and safe as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from histories import HOSTILE, MISMATCH, gathered, hostile, hours, image_set, version

from airflow_imgver.reports.message import as_html, as_text

PATHS = ["/srv/page.csv", "/srv/page.html"]


def test_a_message_says_what_and_where_the_first_finding_and_the_page_with_its_anchor() -> None:
    contents, _ = gathered(
        [
            [version(1, "COPYING", hours(30), "LOCKED")],
            [version(2, "COPY_FAILED", hours(8), message=MISMATCH), version(1, "CREATED", hours(80))],
        ]
    )
    assert as_text(contents, PATHS).split("\n") == [
        (
            "1 failed and 1 stuck: data store 12345678901234567890123456789012, "
            "changes of 2026-03-13 00:00:00 UTC to 2026-03-14 00:00:00 UTC"
        ),
        f"First: COPY_FAILED, version 2 of image set {image_set(1)}: {MISMATCH}",
        f"/srv/page.html#failed-{image_set(1)}-2",
    ]


def test_a_stuck_version_says_for_how_long() -> None:
    contents, _ = gathered([[version(1, "COPYING", hours(30), "LOCKED")]])
    assert "\nFirst: COPYING, version 1 of image set" in as_text(contents, PATHS)
    assert as_text(contents, PATHS).split("\n")[1].endswith(", for 1 d 6 h")


def test_an_unreadable_one_is_named_with_its_reason() -> None:
    contents, _ = gathered([])
    contents.add_unreadable(image_set(1), "AccessDeniedException: no.")
    assert as_text(contents, PATHS).split("\n")[1:] == ["First: AccessDeniedException: no.", "/srv/page.html"]


def test_a_failure_that_needs_no_attention_is_not_the_first_finding() -> None:
    contents, _ = gathered([[version(2, "COPIED", hours(7)), version(1, "COPY_FAILED", hours(8))]])
    assert as_text(contents, PATHS).startswith("Nothing needs attention: ")
    assert "First" not in as_text(contents, PATHS)


class Elements(HTMLParser):
    """The elements of a text, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(name for name, _ in attrs)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_in_its_line_and_is_escaped(text: str) -> None:
    contents, _ = gathered([[version(2, f"{text}_FAILED", hours(8), message=text)]])
    paths = [f"s3://reports/{text[:20]}/page.html"]
    lines = as_text(contents, paths).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    html = as_html(contents, paths)
    assert Elements(html).found <= {("p", ()), ("strong", ()), ("code", ()), ("a", ("href",))}
    html.encode()


def test_a_message_is_short_whatever_aws_writes() -> None:
    contents, _ = gathered(hostile())
    assert len(as_text(contents, PATHS)) < 2_000
