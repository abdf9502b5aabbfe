"""The page of a report in a browser: nothing fetched, everything in reach, on any screen and on paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import a_day, every_status, gathered, hostile, image_set, of_builds

from airflow_imgver.reports.page import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Git ignores it; CI keeps it, for a person who changes the page to look at.
PICTURES = Path(__file__).parents[2] / "build" / "report-pages"
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
    }
    for name, contents in made.items():
        (folder / f"{name}.html").write_text(render(contents, FILES), encoding="utf-8")
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


def test_a_page_has_landmarks_and_headings_for_who_hears_it(open_page: Any) -> None:
    page = open_page("day")
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("heading", level=1).inner_text().startswith("3 failed, 2 stuck")
    names = page.get_by_role("heading", level=2).all_inner_texts()
    assert names == ["Needs attention", "Counts", "Timelines", "All versions", "Terms"]
    for name in names:
        assert page.get_by_role("region", name=name, exact=True).count() == 1


def test_charts_are_announced_by_their_title_and_numbers(open_page: Any) -> None:
    chart = open_page("day").get_by_role("img", name="Versions of image sets by status")
    assert chart.count() == 1
    assert "IMPORTED 108" in chart.locator("desc").text_content()


def test_the_keyboard_reaches_the_links_and_every_table_that_scrolls(open_page: Any) -> None:
    page = open_page("day")
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.className.split(' ')[0] + ':' + (document.activeElement.hash"
                " || document.activeElement.getAttribute('aria-labelledby')"
                " || document.activeElement.tagName)"
            )
        )
        if seen[-1] == "scroll:versions-caption":
            break
    assert seen[0] == "skip:#attention"
    assert seen[1:6] == [":#attention", ":#counts", ":#timelines", ":#versions", ":#words"]
    assert seen[-1] == "scroll:versions-caption"
    before = page.evaluate("document.activeElement.scrollLeft")
    page.keyboard.press("ArrowRight")
    # In a frame of the page: what waits for an expression evaluates text, which the page's policy forbids.
    page.evaluate(
        """before => new Promise(done => {
             const element = document.activeElement;
             const look = () => element.scrollLeft > before ? done() : requestAnimationFrame(look);
             look();
           })""",
        before,
    )


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
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "failed-caption"


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
