"""A CSV file in a spreadsheet: formulas do nothing, whichever character the reader takes for a separator."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_imgver.reports.tables import CsvFile, cell
from airflow_imgver.services.description import Column

FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
SEPARATORS = ",;|\t"


def cells_of(texts: list[str], separator: str) -> list[str]:
    """The cells that a reader makes of a row of texts, as the package writes it."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC).writerow(map(cell, texts))
    read = csv.reader(io.StringIO(written.getvalue(), newline=""), delimiter=separator)
    return [each for row in read for each in row]


texts = st.lists(
    st.text(st.sampled_from("=+-@\uff1d;,|\t\r\n \"'a1\x00\u00a0"), max_size=12), min_size=1, max_size=3
)


@given(texts)
@example([";=cmd|' /C calc'!A0"])
@example(['x;"=cmd'])
@example(['x|" "=cmd'])
def test_no_separator_makes_a_cell_that_is_a_formula(some: list[str]) -> None:
    for separator in SEPARATORS:
        for found in cells_of(some, separator):
            assert not found.lstrip().startswith(FORMULA), (separator, found)


@given(texts)
def test_a_reader_of_commas_gets_every_text_in_its_cell(some: list[str]) -> None:
    read = cells_of(some, ",")
    assert len(read) == len(some)
    for text, found in zip(some, read, strict=True):
        assert found.replace("'", "") == text.replace("'", "").replace("\x00", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("text", ["COPY_FAILED", "a-b", "x = 1", "it's; no formula", "a, b | c"])
def test_a_text_without_a_formula_is_as_aws_sent_it(text: str) -> None:
    assert cell(text) == text


@pytest.mark.parametrize(("bom", "first"), [(False, b'"n"\r\n'), (True, b'\xef\xbb\xbf"n"\r\n')])
def test_excel_recognizes_utf_8_by_a_byte_order_mark(tmp_path: Path, bom: bool, first: bytes) -> None:
    path = tmp_path / "report.csv"
    CsvFile(path, [Column(name="n", type="text")], bom=bom).close()
    assert path.read_bytes() == first
