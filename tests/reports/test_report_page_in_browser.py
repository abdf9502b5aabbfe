"""The page of a report in a browser: nothing fetched, everything in reach, on any screen and on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from histories import (
    DATASTORE,
    MADE_AT,
    MIDNIGHT,
    a_day,
    every_status,
    gathered,
    hostile,
    image_set,
    of_builds,
)

from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.earlier import Earlier, Since
from airflow_imgver.reports.page import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Git ignores it; CI keeps it, for a person who changes the page to look at.
PICTURES = Path(__file__).parents[2] / "build" / "report-pages"
PAGE = "s3://reports/2026-03-13/page.html"
FILES = ["s3://reports/2026-03-13/versions.csv", "s3://reports/2026-03-13/versions.parquet"]
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1_100, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for the module: it starts in a second or two."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs a browser for the report's page: apt-get install chromium")
        pytest.skip("no browser to look at the report's page with: apt-get install chromium")
    # The matrix of older Airflows has none, for the page is the same there.
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


def since_yesterday(contents: Contents) -> Since | None:
    """The comparison with reports of the days before, of a part of the same image sets."""
    earlier = Earlier("a data store")
    for days in range(20, 0, -1):
        ago = timedelta(days=days)
        past, _ = gathered(
            every_status()[: 12 - days % 10],
            after=MIDNIGHT - ago - timedelta(days=1),
            before=MIDNIGHT - ago,
            made_at=MADE_AT - ago,
        )
        past.add_unreadable("W" * 300, "gone")
        earlier = Earlier.read(earlier.including(past, None), earlier.subject)
    return earlier.since(contents, None)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Reports as files, by name."""
    folder = tmp_path_factory.mktemp("pages")
    day, _ = gathered(a_day())
    day.add_unreadable(image_set(900), "AccessDeniedException: User is not authorized.")
    statuses, _ = gathered(every_status())
    made = {
        "day": day,
        "statuses": statuses,
        "hostile": gathered(hostile())[0],
        "builds": of_builds()[0],
        "nothing": gathered([])[0],
        "ninety": gathered(a_day()[:91])[0],
    }
    for name, contents in made.items():
        since = since_yesterday(contents) if name in ("day", "hostile", "ninety") else None
        (folder / f"{name}.html").write_text(render(contents, FILES, PAGE, since), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.fixture
def open_page(browser: Any, pages: dict[str, str]) -> Iterator[Any]:
    """Open a report; a word on the console, a request or an error fails the test."""
    contexts = []
    complaints: list[str] = []
    asked: list[str] = []

    def opened(name: str, size: dict[str, int] = DESK, scheme: str = "light") -> Any:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pages[name])
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(asked) <= set(pages.values())


NAMES = ("day", "statuses", "hostile", "builds", "nothing")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_page_is_never_wider_than_the_screen(open_page: Any, name: str, size: dict[str, int]) -> None:
    page = open_page(name, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


# A table is in its box, and what is in a cell is in the cell; the names of those that are not.
OUTSIDE = """[
  ...[...document.querySelectorAll('table')].filter(table => {
    const box = table.parentElement.getBoundingClientRect(), own = table.getBoundingClientRect();
    return own.right > box.right + 1 || own.left < box.left - 1 || table.scrollWidth > box.width + 1;
  }).map(table => 'table ' + table.caption.innerText),
  ...[...document.querySelectorAll('td, th')].filter(cell =>
    cell.clientWidth > 1 && cell.scrollWidth > cell.clientWidth + 1
  ).map(cell => 'cell ' + cell.innerText.slice(0, 60)),
]"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [390, 1024, 1280, 1440, 1920])
def test_no_table_is_wider_than_its_box_and_nothing_in_it_is_cut(
    open_page: Any, name: str, width: int
) -> None:
    page = open_page(name, {"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []


def test_a_table_that_is_too_wide_is_noticed(open_page: Any) -> None:
    page = open_page("day")
    page.evaluate("document.querySelector('#all-versions').style.width = '3000px'")
    assert [found for found in page.evaluate(OUTSIDE) if found.startswith("table Versions in AWS")]


def test_on_a_phone_a_row_is_a_card_with_its_heads_and_still_a_row_of_a_table(open_page: Any) -> None:
    page = open_page("day", PHONE)
    row = page.locator(f"#failed-{image_set(2)}-3")
    assert row.evaluate("row => getComputedStyle(row).display") == "block"
    label = row.locator("td").first.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert label == '"Status"'
    assert page.get_by_role("table", name="Versions that failed").count() == 1
    assert page.get_by_role("columnheader", name="Later version").count() == 1


def test_an_anchor_in_the_address_shows_its_finding(open_page: Any) -> None:
    page = open_page("day", PHONE)
    page.evaluate(f"location.hash = 'failed-{image_set(2)}-2'")
    assert page.locator(":target").evaluate(
        "row => row.getBoundingClientRect().top >= 0 && row.getBoundingClientRect().top < innerHeight"
    )


def test_a_page_has_landmarks_and_headings_for_who_hears_it(open_page: Any) -> None:
    page = open_page("day")
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("heading", level=1).inner_text().startswith("3 failed and 2 stuck")
    names = page.get_by_role("heading", level=2).all_inner_texts()
    assert names == [
        "Needs attention",
        "Since the last report",
        "Superseded versions: 69 in 67 image sets",
        "Counts",
        "Timelines",
        "All versions",
        "Terms",
    ]
    for name in names:
        assert page.get_by_role("region", name=name, exact=True).count() == 1


def test_charts_are_announced_by_their_title_and_numbers(open_page: Any) -> None:
    chart = open_page("day").get_by_role("img", name="Versions of image sets by status")
    assert chart.count() == 1
    assert "IMPORTED 108" in chart.locator("desc").text_content()


def test_the_keyboard_reaches_the_links_the_charts_and_the_choice_to_print(open_page: Any) -> None:
    page = open_page("statuses")
    seen: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.getAttribute('href') || document.activeElement.ariaLabel"
                " || document.activeElement.id || document.activeElement.tagName"
            )
        )
        if seen[-1] == "print-all":
            break
    assert seen[:8] == [
        *("#attention", "#attention", "#superseded", "#counts", "#timelines", "#versions", "#words"),
        (
            f"https://console.aws.amazon.com/medical-imaging/home?region=us-east-1#/dataStores/{DATASTORE}"
            f"/imageSets/{image_set(2)}"
        ),
    ]
    assert "Chart of versions by status" in seen
    assert seen[-1] == "print-all"
    page.keyboard.press("Space")
    assert page.get_by_role("checkbox", name="Print the long tables too").is_checked()


def test_what_has_the_focus_shows_it(open_page: Any) -> None:
    page = open_page("day")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0


def test_the_skip_link_leads_past_the_navigation(open_page: Any) -> None:
    page = open_page("day", PHONE)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('section').id") == "attention"
    assert page.evaluate("document.activeElement.closest('nav')") is None


def test_hostile_messages_do_nothing(open_page: Any) -> None:
    page = open_page("hostile")
    assert "owned" not in page.title()
    assert page.locator("#owned, iframe, script, img").count() == 0
    assert page.locator("h1").count() == 1
    assert page.evaluate("getComputedStyle(document.querySelector('main')).display") != "none"


def test_the_words_of_a_chart_stay_inside_it(open_page: Any) -> None:
    for name in ("statuses", "builds"):
        page = open_page(name)
        outside = page.evaluate(
            """[...document.querySelectorAll('figure svg')].flatMap(chart => {
                 const room = chart.getBoundingClientRect();
                 return [...chart.querySelectorAll('text')].filter(text => {
                   const box = text.getBoundingClientRect();
                   return box.left < room.left - 1 || box.right > room.right + 1;
                 }).map(text => text.textContent);
               })"""
        )
        assert outside == []


def test_the_dark_scheme_turns_paper_and_charts(open_page: Any) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = open_page("day", DESK, scheme)
        colours[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('#counts figure text')).fill]"
        )
    assert colours["light"] == ["rgb(253, 252, 250)", "rgb(86, 93, 102)"]
    assert colours["dark"] == ["rgb(20, 23, 26)", "rgb(165, 171, 179)"]


def test_on_paper_nothing_is_cut_off_at_the_side(open_page: Any) -> None:
    page = open_page("statuses", {"width": 1_017, "height": 700})
    page.emulate_media(media="print")
    # A4 across, less the margins, is 273 mm or 1,032 pixels.
    assert (
        page.evaluate("Math.max(...[...document.querySelectorAll('table')].map(t => t.scrollWidth))") <= 1_017
    )
    assert page.get_by_role("navigation").count() == 0


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_paper_has_what_needs_attention_and_the_long_tables_on_request(open_page: Any) -> None:
    page = open_page("ninety")
    short = pages_of(page.pdf(prefer_css_page_size=True))
    assert 1 < short <= 8
    page.get_by_role("checkbox").check()
    assert short < pages_of(page.pdf(prefer_css_page_size=True)) <= 20
    page.emulate_media(media="print")
    assert page.locator("#all-versions").is_visible()
    page.get_by_role("checkbox", include_hidden=True).evaluate("box => box.checked = false")
    for shown in ("#failed table", "#stuck table", "#since table", "#by-status", "#timelines figure"):
        assert page.locator(shown).first.is_visible(), shown
    assert not page.locator("#all-versions").is_visible()
    assert page.get_by_text("The table is not printed.").is_visible()


@pytest.mark.parametrize("name", [*NAMES, "ninety"])
def test_no_heading_is_alone_at_the_foot_of_a_sheet_and_no_line_on_a_sheet_of_its_own(
    open_page: Any, name: str
) -> None:
    pypdf = pytest.importorskip("pypdf")
    page = open_page(name)
    headings = {text.strip() for text in page.locator("h2, h3").all_inner_texts()}
    for whole in (False, True):
        if whole:
            if not page.get_by_role("checkbox").count():
                continue
            page.get_by_role("checkbox").check()
        sheets = pypdf.PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages
        for sheet in sheets:
            lines = [line.strip() for line in sheet.extract_text().splitlines() if line.strip()]
            assert len(lines) > 1
            assert lines[-1] not in headings


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_a_page_are_left_to_look_at(open_page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page = open_page(name, DESK, scheme)
        page.screenshot(path=PICTURES / f"{name}-{scheme}.png", full_page=True)
    page = open_page(name)
    printed = page.pdf(path=PICTURES / f"{name}.pdf", prefer_css_page_size=True, print_background=True)
    assert printed.startswith(b"%PDF")
    assert (PICTURES / f"{name}-dark.png").read_bytes() != (PICTURES / f"{name}-light.png").read_bytes()
