"""Reports the whole way, from what the embedded AWS lists to the files: they say what they always said."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from histories import DATASTORE, MADE_AT, MIDNIGHT, every_status, image_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_taken_apart import Page
from support import changes_after, client_of, context_of

from airflow_imgver.emulator.state import load
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.text import as_plain

GOLDEN = Path(__file__).with_name("golden")
REMADE = Path(__file__).parents[2] / "build" / "golden"
SUFFIXES = (".html", ".csv", ".jsonl", ".parquet")


class TheMoment(datetime):
    """The clock, stopped at the time of the made-up reports."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return MADE_AT


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch, aws_connection: str) -> Iterator[None]:
    """Nothing settles meanwhile, and a report is made when the histories say."""
    monkeypatch.setattr("airflow_imgver.operators.report.datetime", TheMoment)
    with changes_after(polls=1_000_000):
        yield


def reported(
    folder: Path, histories: list[list[dict[str, Any]]], datastore_id: str = DATASTORE, **more: Any
) -> dict[str, Path]:
    """Let the embedded AWS have the histories, and report on them; give the files by suffix."""
    sets = {
        image_set(at): [{"imageSetId": image_set(at), **entry} for entry in entries]
        for at, entries in enumerate(histories)
    }
    load({"healthimaging": {datastore_id: sets}})
    places = {suffix: folder / f"image_sets{suffix}" for suffix in SUFFIXES}
    operator = HealthImagingVersionReportOperator(
        task_id="report", datastore_id=datastore_id, outputs=[str(place) for place in places.values()], **more
    )
    operator.execute(context_of())
    return places


def compared(path: Path, folder: Path) -> str:
    """The text of a file, without what depends on the machine: folders, and what matplotlib draws."""
    text = path.read_bytes().decode().replace(str(folder), "/reports")
    text = re.sub(r"<svg.*?</svg>", "<svg></svg>", text, flags=re.DOTALL)
    return re.sub(r"<style>.*?</style>", "<style></style>", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("all", {}),
        ("day", {"updated_after": MIDNIGHT.replace(day=13), "updated_before": MIDNIGHT}),
    ],
)
def test_a_report_says_what_it_always_said(tmp_path: Path, name: str, interval: dict[str, Any]) -> None:
    """What differs is left in build/golden/, to look at, and to keep if it is meant."""
    made = reported(tmp_path, every_status(), **interval)
    texts = {f"{name}{suffix}": compared(made[suffix], tmp_path) for suffix in SUFFIXES[:3]}
    for file, text in texts.items():
        kept = GOLDEN / file
        if not kept.exists() or kept.read_bytes().decode() != text:
            REMADE.mkdir(parents=True, exist_ok=True)
            (REMADE / file).write_bytes(text.encode())
    for file, text in texts.items():
        assert text == (GOLDEN / file).read_bytes().decode()


def test_the_numbers_on_the_page_are_the_rows_of_every_table_file(tmp_path: Path) -> None:
    made = reported(tmp_path, every_status())
    page = Page(made[".html"].read_text())
    lines = [json.loads(line) for line in made[".jsonl"].read_text().splitlines()]
    parquet = pyarrow.parquet.read_table(made[".parquet"]).to_pylist()
    cells = made[".csv"].read_text().splitlines()

    assert page.text_of["rows"] == str(len(lines)) == str(len(parquet)) == str(len(cells) - 1)
    assert page.text_of["read"] == str(len({line["imageSetId"] for line in lines}))
    for rows in (lines, parquet):
        attention = Counter(row["attention"] for row in rows)
        for heading, kind in (("Stuck", "stuck"), ("Superseded", "superseded")):
            assert page.count(heading) == attention[kind]
        failed = [row for row in rows if row["attention"] == "failed"]
        assert page.count("Failed") == sum(row["good_successor"] is None for row in failed)
        assert len([cells for cells in page.tables["failed"][1:] if len(cells) > 1]) == len(failed)
        shown = {(cells[0], cells[1]): int(cells[2]) for cells in page.tables["by-status"][1:-1]}
        assert shown == Counter(
            (row["ImageSetWorkflowStatus"] or row["imageSetState"], row["phase"]) for row in rows
        )
        head, *body = page.tables["all-versions"]
        name, number = head.index("Image set"), head.index("Version")
        assert [(each[name], int(each[number].split()[0])) for each in body] == [
            (row["imageSetId"], row["versionId"]) for row in rows
        ]


# No search finds what has been deleted.
statuses = sorted(
    {
        entry["ImageSetWorkflowStatus"]
        for entries in every_status()
        for entry in entries
        if entry.get("ImageSetWorkflowStatus") not in (None, "DELETED")
    }
)
times = st.datetimes(datetime(2024, 1, 1), datetime(2026, 3, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)


# What AWS's pattern for a message lets through.
messages = st.text("aZ09_ !\"#$%&'()*+,-./:`", min_size=1, max_size=40)
# A data store for each, so that nothing of the one before is there.
EXAMPLES = count()


@st.composite
def a_history(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The versions of an image set, newest first."""
    found = []
    for number in range(draw(st.integers(1, 6)), 0, -1):
        entry = {
            "versionId": str(number),
            "imageSetState": draw(st.sampled_from(["ACTIVE", "LOCKED"])),
            "ImageSetWorkflowStatus": draw(st.sampled_from(statuses)),
            "createdAt": draw(times),
            "updatedAt": draw(times),
        }
        if (message := draw(st.none() | messages)) is not None:
            entry["message"] = message
        found.append(entry)
    return found


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(a_history(), max_size=5))
def test_whatever_the_histories_the_rows_are_what_the_api_returned(
    tmp_path_factory: pytest.TempPathFactory, emulator_url: str, histories: list[list[dict[str, Any]]]
) -> None:
    datastore_id = f"{next(EXAMPLES):032d}"
    made = reported(tmp_path_factory.mktemp("report"), histories, datastore_id)
    lines = [json.loads(line) for line in made[".jsonl"].read_text().splitlines()]
    parquet = pyarrow.parquet.read_table(made[".parquet"]).to_pylist()
    with closing(client_of("medical-imaging", emulator_url)) as client:
        listed = {
            (name, int(entry["versionId"])): entry
            for name in map(image_set, range(len(histories)))
            for entry in client.list_image_set_versions(datastoreId=datastore_id, imageSetId=name)[
                "imageSetPropertiesList"
            ]
        }

    assert len(lines) == len(parquet) == len(listed)
    for line, row in zip(lines, parquet, strict=True):
        entry = listed.pop((line["imageSetId"], line["versionId"]))
        for name in ("imageSetState", "ImageSetWorkflowStatus", "message"):
            assert line[name] == row[name] == entry.get(name)
        for name in ("createdAt", "updatedAt"):
            assert line[name] == as_plain(entry.get(name))
            assert row[name] == entry.get(name)
    assert listed == {}
