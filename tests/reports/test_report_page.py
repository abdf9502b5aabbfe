"""The page of a report: its numbers are the rows', and what AWS sends can do nothing to it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from histories import (
    DATASTORE,
    HOSTILE,
    MIDNIGHT,
    MISMATCH,
    a_day,
    every_status,
    gathered,
    hostile,
    hours,
    image_set,
    of_builds,
    version,
)
from page_taken_apart import Page

from airflow_imgver.reports import contents as contents_module
from airflow_imgver.reports import counts
from airflow_imgver.reports.contents import ROWS_SHOWN, Contents
from airflow_imgver.reports.page import headline, render
from airflow_imgver.reports.rows import Attention, Row
from airflow_imgver.text import ascii_only, duration, timestamp, visible

FILES = ["s3://reports/2026-03-13/versions.csv", "s3://reports/2026-03-13/versions.parquet"]
# An SVG's own elements are written with a slash, or closed.
OURS = set(
    "html head meta title style body a div header p h1 h2 h3 dl dt dd nav ul li main section table caption"  # noqa: SIM905
    " thead tbody tfoot tr th td span bdi code time figure figcaption details summary footer"
    " svg desc g path defs use text clippath rect pattern colgroup col wbr input label".split()
)


def page_of(contents: Contents, files: list[str] = FILES) -> Page:
    return Page(render(contents, files))


@pytest.fixture(scope="module")
def day() -> tuple[Contents, list[Row]]:
    contents, rows = gathered(a_day())
    contents.add_unreadable(image_set(900), "AccessDeniedException: User is not authorized.")
    return contents, rows


@pytest.fixture(scope="module")
def page(day: tuple[Contents, list[Row]]) -> Page:
    return page_of(day[0])


def test_the_headline_says_what_needs_a_person(page: Page) -> None:
    assert page.headings[0][1] == "3 failed and 2 stuck; 1 image set could not be read"


def test_nothing_that_needs_a_person_is_said_in_as_many_words() -> None:
    contents, _ = gathered([[version(1, "CREATED", hours(8))]])
    assert headline(contents) == "Nothing needs attention"


def test_a_single_finding_reads_as_one() -> None:
    contents, _ = gathered([[version(1, "COPY_FAILED", hours(8), message=MISMATCH)]])
    assert headline(contents) == "1 failed"


def test_superseded_versions_have_a_section_of_their_own_and_are_never_in_the_headline() -> None:
    contents, _ = gathered([[version(2, "UPDATED", hours(8)), version(1, "CREATED", hours(80))]] * 344)
    page = page_of(contents)
    assert page.headings[0][1] == "Nothing needs attention"
    assert ("h2", "Superseded versions: 344 in 344 image sets") in page.headings
    assert "superseded" not in page.text_of["attention"].lower()


SOLVED = [
    [version(4, "COPIED", hours(7)), version(3, "COPY_FAILED", hours(8), message=MISMATCH)],
    [version(2, "COPY_FAILED", hours(20), message=MISMATCH), version(1, "CREATED", hours(80))],
    [version(1, "IMPORT_FAILED", hours(9), message="INTERNAL_ERROR: try again.")],
]


def test_a_failure_that_a_good_version_followed_is_shown_and_needs_no_attention() -> None:
    contents, _ = gathered(SOLVED)
    page = page_of(contents)
    assert page.headings[0][1] == "2 failed"
    assert contents.needs_attention == {"failed": 2, "stuck": 0, "unreadable": 0}
    assert page.count("Failed") == 2
    assert "1 more failed version needs no attention" in page.text_of["failed"]
    assert "superseded by a good version 4" in page.text_of[f"failed-{image_set(0)}-3"]
    assert "none is good" in page.text_of[f"failed-{image_set(1)}-2"]


def test_failures_are_grouped_by_equal_message_those_in_need_first_then_the_newest() -> None:
    page = page_of(gathered(SOLVED)[0])
    _, *body = page.tables["failed"]
    assert [cells[0].split("  ")[0] if len(cells) == 1 else cells[1] for cells in body] == [
        "INTERNAL_ERROR: try again. 1 version",
        image_set(2),
        "INVALID_REQUEST:",
        image_set(1),
        image_set(0),
    ]
    assert body[2][0].endswith("match. 2 versions")


def test_a_group_counts_the_failures_that_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_module, "FINDINGS_SHOWN", 5)
    contents, _ = gathered(
        [[version(1, "COPY_FAILED", hours(at), message=MISMATCH)] for at in range(30, 18, -1)]
    )
    _, group, *rows = page_of(contents).tables["failed"]
    assert group[0].endswith("12 versions")
    assert [cells[1] for cells in rows] == [image_set(at) for at in range(11, 6, -1)], "the newest"


def test_stuck_versions_are_ordered_by_how_long(page: Page) -> None:
    assert [cells[0] for cells in page.tables["stuck"][1:]] == ["1 d 2 h", "7 h 30 min"]


def test_each_finding_has_a_stable_anchor(page: Page, day: tuple[Contents, list[Row]]) -> None:
    wanted = {
        f"{row.attention}-{row.name}-{row.status.number}"
        for row in day[1]
        if row.attention in (Attention.FAILED, Attention.STUCK)
    } | {f"unreadable-{image_set(900)}", f"superseded-{image_set(0)}"}
    assert wanted <= {given.get("id") for _, given in page.elements}


def test_image_sets_link_to_the_console_and_files_are_relative() -> None:
    contents, _ = gathered(SOLVED)
    page = Page(render(contents, ["s3://r/day/a b.csv", "s3://r/x.jsonl", "/srv/x.csv"], "s3://r/day/p.html"))
    links = {given["href"] for tag, given in page.elements if tag == "a"}
    assert (
        "https://console.aws.amazon.com/medical-imaging/home?region=us-east-1"
        f"#/dataStores/{DATASTORE}/imageSets/{image_set(0)}"
    ) in links
    assert {"./a%20b.csv", "../x.jsonl"} <= links
    assert not [link for link in links if "srv" in link], "another storage has no relative address"


def test_an_image_of_another_partition_links_to_its_own_console() -> None:
    html = render(of_builds(partition="aws-cn", region="cn-north-1")[0], FILES)
    assert "https://console.amazonaws.cn/sagemaker/home?region=cn-north-1#/images/studio-kernel-0" in html
    assert "https://console" not in render(of_builds(partition="aws-iso")[0], FILES)


def test_a_page_names_its_scope_and_interval(page: Page) -> None:
    text = " ".join(page.html.split())
    assert "data store 12345678901234567890123456789012" in text
    assert "2026-03-13 00:00:00 UTC to 2026-03-14 00:00:00 UTC" in text


def test_the_findings_are_the_rows_that_need_a_person(page: Page, day: tuple[Contents, list[Row]]) -> None:
    _, rows = day
    found = Counter(row.values["attention"] for row in rows)
    failed = [cells for cells in page.tables["failed"][1:] if len(cells) > 1]
    assert page.count("Failed") == found[Attention.FAILED] == len(failed)
    assert page.count("Stuck") == found[Attention.STUCK] == len(page.tables["stuck"]) - 1
    assert page.count("Superseded") == found[Attention.SUPERSEDED]
    assert sum(int(cells[2]) for cells in page.tables["superseded"][1:]) == found[Attention.SUPERSEDED]
    assert {(cells[1], cells[2], cells[0]) for cells in failed} == {
        (
            row.values["imageSetId"],
            str(row.values["versionId"]),
            row.values["ImageSetWorkflowStatus"],
        )
        for row in rows
        if row.values["attention"] == Attention.FAILED
    }


def test_the_counts_by_status_are_the_rows(page: Page, day: tuple[Contents, list[Row]]) -> None:
    _, rows = day
    shown = {(cells[0], cells[1]): int(cells[2]) for cells in page.tables["by-status"][1:-1]}
    counted = Counter(
        (row.values["ImageSetWorkflowStatus"] or row.values["imageSetState"], row.values["phase"])
        for row in rows
    )
    assert shown == counted
    assert sum(shown.values()) == len(rows) == int(page.tables["by-status"][-1][-1])


def test_more_statuses_than_a_chart_holds_are_added_up() -> None:
    histories = [[version(1, f"STATUS_{at:02}", hours(9))] for at in range(counts.STATUSES_SHOWN + 2)]
    table = page_of(gathered(histories)[0]).tables["by-status"]
    assert table[counts.STATUSES_SHOWN][:3] == ["3 other statuses", "various", "3"]
    assert table[-1][-1] == str(counts.STATUSES_SHOWN + 2)


def test_one_status_in_two_phases_is_counted_as_two(page: Page) -> None:
    shown = {(cells[0], cells[1]) for cells in page.tables["by-status"]}
    assert {("UPDATED", "ready"), ("UPDATED", "busy")} <= shown


def test_the_counts_by_day_are_the_rows(page: Page, day: tuple[Contents, list[Row]]) -> None:
    contents, rows = day
    head, *body = page.tables["by-day"]
    shown = {
        (cells[0], phase): int(count)
        for cells in body
        for phase, count in zip(head[1:], cells[1:], strict=True)
    }
    first, last = MIDNIGHT.date() - timedelta(days=30), MIDNIGHT.date() - timedelta(days=1)
    assert +Counter(shown) == Counter(
        (str(row.values["updatedAt"].date()), row.values["phase"])
        for row in rows
        if first <= row.values["updatedAt"].date() <= last
    )
    days = counts.days(contents)
    assert days.inside + days.earlier + days.later + days.undated == len(rows)
    assert f"{days.earlier} changed before them" in page.text_of["counts"]


def test_the_table_holds_every_row_as_the_files_do(page: Page, day: tuple[Contents, list[Row]]) -> None:
    _, rows = day
    head, *body = page.tables["all-versions"]
    assert len(body) == len(rows)
    for cells, row in zip(body, rows, strict=True):
        shown = dict(zip(head, cells, strict=True))
        assert shown["Image set"] == row.values["imageSetId"]
        assert shown["Version"].split()[0] == str(row.values["versionId"])
        assert ("latest" in shown["Version"]) == row.values["is_latest"]
        status = row.values["ImageSetWorkflowStatus"] or row.values["imageSetState"]
        assert shown["Status"] == f"{status} {row.values['phase']}"
        assert shown["Attention"] == (row.values["attention"] or "")
        assert (
            shown["Last change"]
            == f"{timestamp(row.values['updatedAt'])} {duration(row.age_seconds or 0)} ago"
        )
        assert shown["Message"] == (row.values["message"] or "")
        assert shown["imageSetState"] == row.values["imageSetState"]


def test_attention_status_and_message_come_first(page: Page) -> None:
    head = page.tables["all-versions"][0]
    assert head[:6] == ["Attention", "Status", "Message", "Image set", "Version", "Last change"]


def test_a_column_that_says_nothing_is_left_out_and_one_value_for_all_is_said_once() -> None:
    page = page_of(gathered([[version(1, "CREATED", hours(8), isPrimary=True)]] * 3)[0])
    assert page.tables["all-versions"][0] == ["Status", "Image set", "Version", "Last change"]
    said = " ".join(page.text_of["versions"].split())
    assert (
        "The same in each row: imageSetState ACTIVE, isPrimary yes, createdAt 2025-02-07 06:05:00 UTC."
        in said
    )


def test_the_members_that_are_yes_are_named_in_one_column(page: Page) -> None:
    head, *body = page.tables["all-versions"]
    assert {cells[head.index("Flags")] for cells in body} == {"", "isPrimary", "overrides.forced"}


def test_the_days_of_an_interval_say_that_they_count_only_the_report(page: Page) -> None:
    assert ("h3", "By day, only of the image sets in this report") in page.headings
    assert "earlier days have fewer versions than AWS has" in page.text_of["counts"]
    assert "Versions of the image sets in this report by the day" in page.text_of["days-title"]
    everything = page_of(gathered(SOLVED, after=None, before=None)[0])
    assert ("h3", "By day") in everything.headings


def test_what_could_not_be_read_is_listed_with_its_reason(page: Page) -> None:
    assert page.count("Could not be read") == 1
    assert page.tables["unreadable"][1] == ["AccessDeniedException: User is not authorized.", image_set(900)]


def test_the_timeline_is_written_in_words_too(page: Page, day: tuple[Contents, list[Row]]) -> None:
    for name, rows in day[0].histories.items():
        assert name in page.text_of["timelines"]
        for row in rows:
            assert timestamp(row.values["updatedAt"]) in page.text_of["timelines"]


def test_a_long_report_is_cut_and_points_to_the_files() -> None:
    contents, rows = gathered([[version(1, "CREATED", hours(8))]] * (ROWS_SHOWN + 7))
    page = page_of(contents)
    assert len(page.tables["all-versions"]) - 1 == ROWS_SHOWN
    said = " ".join(page.text_of["versions"].split())
    assert "Rows 1 to 1,000 of 1,007; the page is cut at 1,000." in said
    assert f"All rows are in {FILES[0]} and {FILES[1]}." in said
    assert len(rows) == ROWS_SHOWN + 7


def test_a_page_without_table_files_says_how_to_have_one() -> None:
    contents, _ = gathered(every_status())
    assert "add an output in .csv, .jsonl or .parquet" in page_of(contents, []).text_of["versions"]


def test_findings_that_are_cut_are_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_module, "FINDINGS_SHOWN", 5)
    contents, _ = gathered([[version(1, "COPY_FAILED", hours(8), message=MISMATCH)]] * 12)
    for at in range(9):
        contents.add_unreadable(f"thing-{at}", "gone")
    page = page_of(contents)
    assert page.count("Failed") == 12
    assert len(page.tables["failed"]) == 1 + 1 + 5, "a head, a group and its rows"
    assert "The first 5 of 12 failed versions." in page.text_of["failed"]
    assert "The first 5 of 9;" in page.text_of["unreadable"]


def test_an_empty_report_is_a_page_too() -> None:
    contents, _ = gathered([])
    page = page_of(contents)
    assert page.headings[0] == ("h1", "Nothing needs attention")
    assert "No versions were listed" in page.text_of["counts"]
    assert page.tables == {}


def test_nothing_listed_and_something_unreadable_is_no_peace() -> None:
    contents, _ = gathered([])
    contents.add_unreadable(image_set(1), "gone")
    assert headline(contents) == "1 image set could not be read"


def test_images_of_sagemaker_have_a_page_in_their_own_words() -> None:
    contents, rows = of_builds()
    page = page_of(contents)
    assert page.headings[0] == ("h1", "2 failed and 1 stuck")
    assert "superseded" not in page.text_of
    assert page.tables["all-versions"][0][:4] == ["Attention", "Status", "Message", "Image"]
    assert len(page.tables["all-versions"]) - 1 == len(rows)
    assert "pip install exited with 1" in page.text_of["failed"]


@pytest.mark.parametrize(
    ("after", "before", "said"),
    [
        (None, None, "all the past"),
        (None, MIDNIGHT, "all the time before 2026-03-14 00:00:00 UTC"),
        (MIDNIGHT, None, "2026-03-14 00:00:00 UTC to 2026-03-14 06:05:00 UTC (now)"),
    ],
)
def test_an_open_interval_is_said_in_words(
    after: datetime | None, before: datetime | None, said: str
) -> None:
    contents, _ = gathered([[version(1, None, hours(8))]], after=after, before=before)
    assert said in page_of(contents).html


def test_versions_without_a_time_are_counted_and_shown() -> None:
    entry = {"versionId": "1", "imageSetState": "LOCKED", "ImageSetWorkflowStatus": "COPYING"}
    failed = {"versionId": "2", "imageSetState": "ACTIVE", "ImageSetWorkflowStatus": "COPY_FAILED"}
    contents, _ = gathered([[entry], [failed]])
    page = page_of(contents)
    assert "2 have no time." in page.text_of["counts"]
    assert page.tables["failed"][1] == ["AWS gave no reason 1 version"]
    assert page.tables["failed"][2][3] == "no time"


def test_days_end_with_the_interval_and_are_thirty_however_long_the_history() -> None:
    contents, rows = gathered([[version(1, "CREATED", timedelta(days=at))] for at in range(0, 4_000, 7)])
    days = counts.days(contents)
    assert len(days.counts) == counts.DAYS_SHOWN
    assert days.counts[-1][0] == (MIDNIGHT - timedelta(days=1)).date()
    assert days.inside + days.earlier + days.later == len(rows)


# --- hostile text ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_page() -> Page:
    contents, rows = gathered(hostile())
    assert len(rows) == 3_000
    contents.add_unreadable(HOSTILE[0], HOSTILE[1])
    return page_of(contents, [f"/tmp/{HOSTILE[0]}.csv"])


def test_hostile_text_makes_no_element_and_no_attribute(hostile_page: Page) -> None:
    assert {tag for tag, _ in hostile_page.elements} <= OURS
    for tag, given in hostile_page.elements:
        assert not any(name.startswith("on") for name in given), (tag, given)
        assert "owned" not in given.get("id", "")
        assert given.get("href", "#").startswith(("#", "https://console.aws.amazon.com/")), given
        assert not {"src", "xlink:href"} & set(given)


def test_hostile_text_is_shown_as_it_is(hostile_page: Page) -> None:
    messages = {cells[0] for cells in hostile_page.tables["failed"][1:] if len(cells) == 1}
    for text in (HOSTILE[0], HOSTILE[9]):
        assert any(message.startswith(f"{text} ") for message in messages)


def test_characters_that_hide_or_turn_are_named_instead(hostile_page: Page) -> None:
    hidden = [character for character in hostile_page.html if visible(character)[0].unseen]
    assert set(hidden) == {"\n"}
    assert "U+202E" in hostile_page.text_of["failed"]
    assert "U+D800" in hostile_page.text_of["failed"]
    hostile_page.html.encode()


def test_a_message_of_any_length_is_cut_and_says_so() -> None:
    contents, _ = gathered([[version(1, "COPY_FAILED", hours(8), message="x" * 100_000)]])
    html = render(contents, FILES)
    assert len(html) < 120_000
    assert "… 97,952 more characters" in html


def test_somebody_elses_text_is_isolated_from_the_text_around_it(hostile_page: Page) -> None:
    isolated = [given for tag, given in hostile_page.elements if tag == "bdi"]
    assert isolated
    assert all(given == {"dir": "auto"} for given in isolated)


# --- the page as a document -----------------------------------------------------------------------------


def test_ids_are_unique_and_every_reference_finds_its_own(page: Page) -> None:
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert sorted(set(ids)) == sorted(ids)
    wanted = re.findall(r'(?:href="#|url\(#)([^")]+)', page.html)
    for _, given in page.elements:
        wanted += given.get("aria-labelledby", "").split() + given.get("aria-describedby", "").split()
    assert set(wanted) <= set(ids)


def test_the_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "@import" not in page.html
    policy = next(given["content"] for _, given in page.elements if given.get("http-equiv"))
    assert policy.startswith("default-src 'none';")


def test_every_table_has_a_caption_and_heads_with_a_scope(page: Page) -> None:
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["caption"] == tags["table"] == 7
    assert all("scope" in given for tag, given in page.elements if tag == "th")


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_charts_are_images_with_a_title_and_their_numbers(page: Page) -> None:
    images = [given for tag, given in page.elements if tag == "svg" and given.get("role") == "img"]
    assert len(images) == 3
    assert "IMPORTED 108, CREATED 98, UPDATED 62" in page.text_of["statuses-desc"]


def test_charts_take_the_pages_colours(page: Page) -> None:
    charts = "".join(re.findall(r"<svg.*?</svg>", page.html, re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b", charts)
    assert {"var(--ready)", "var(--busy)", "var(--failed)"} <= set(re.findall(r"var\(--\w+\)", charts))


def test_phases_are_shown_by_shape_and_pattern_as_well(page: Page) -> None:
    assert len({given["id"].partition("-h")[2] for tag, given in page.elements if tag == "pattern"}) >= 3


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_have_contrast_in_the_light_and_in_the_dark(page: Page) -> None:
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", page.html, re.DOTALL)
    ]
    for scheme in schemes[:2]:
        for name in ("ink", "quiet", "link", "focus", "ready", "busy", "failed", "deleted"):
            one, other = sorted((luminance(scheme[name]), luminance(scheme["paper"])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (name, scheme[name])


def test_the_same_contents_make_the_same_page(day: tuple[Contents, list[Row]], page: Page) -> None:
    assert render(day[0], FILES) == page.html


# --- words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (86_405, "1 d"),
        (10_000_000, "115 days"),
        (86_400 * 12_345, "12,345 days"),
    ],
)
def test_a_duration_is_said_by_its_two_greatest_units(seconds: int, said: str) -> None:
    assert duration(seconds) == said


def test_a_time_is_shown_in_utc() -> None:
    assert timestamp(datetime.fromisoformat("2026-03-14T01:00:00+02:00")) == "2026-03-13 23:00:00 UTC"
    assert timestamp(datetime(2026, 3, 14, tzinfo=UTC)) == "2026-03-14 00:00:00 UTC"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_goes_into_a_chart_is_printable_and_short(text: str) -> None:
    shown = ascii_only(text, 40)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 40


def test_timelines_show_failures_before_what_is_only_superseded() -> None:
    kept = [[version(2, "UPDATED", hours(9)), version(1, "CREATED", hours(90))] for _ in range(40)]
    contents, _ = gathered([*kept, [version(1, "COPY_FAILED", hours(10), message=MISMATCH)]])
    shown = list(contents.histories)
    assert shown[0] == image_set(40)
    assert shown[1:] == [image_set(at) for at in range(29)]
