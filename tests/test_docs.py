"""The documentation: links resolve, data parses, commands exist, and the code runs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from airflow.sdk import DAG
from pages import (
    CHECKOUT,
    LISTING,
    PAGES,
    REPORTING,
    blocks,
    dag_bundle,
    headings,
    links,
    name_of,
    run_page,
    table_under,
    xcom_samples,
)
from support import connection_json, context_of, dag_bags, make_known

from airflow_imgver.operators.base import ListVersionsOperator

STATE = CHECKOUT / "demo" / "state.json"

# The commands that a page may name; for make and for this package, tests check the targets and options.
COMMANDS = {"airflow", "aws", "curl", "export", "grep", "make", "pip", "python"}

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# --- links, data and commands ---------------------------------------------------------------------------


@every_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(CHECKOUT), f"{page.name}: {link}"
        if anchor:
            assert anchor in headings(target), f"{page.name}: {link}"


@every_page
def test_every_json_block_parses(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


def commands(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, "bash", ""):
        for line in block.replace("\\\n", " ").splitlines():
            # Not shlex, because a quoted text may go on in the next line, which begins with a space.
            if line[:1].isalpha():
                yield re.split(r"\s#", line)[0].split()


@every_page
def test_every_command_is_one_that_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page):
        assert words[0] in COMMANDS, f"{page.name}: {words}"
        if words[0] == "make":
            assert words[1] in targets, f"{page.name}: {words}"
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), f"{page.name}: {words}"


def test_every_option_of_the_embedded_aws_is_one_that_it_has() -> None:
    start = ["python", "-m", "airflow_imgver.emulator"]
    options = [words[3:] for page in PAGES for words in commands(page) if words[:3] == start]
    assert options
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow_imgver.emulator", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    for word in chain.from_iterable(options):
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){word}(?![\w-])", help_text), word


def test_every_path_of_the_contributing_page_exists() -> None:
    for paths, _ in table_under(CHECKOUT / "CONTRIBUTING.md", "path", "what it covers"):
        base = CHECKOUT
        for path in re.findall(r"`([^`]+)`", paths):
            # The folders of a row are relative to the parent of the first one.
            found = base / path
            assert found.exists(), path
            base = found.parent


# --- code -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_aws() -> Iterator[str]:
    """The URL of an embedded AWS with the demo's state, in another process: a page may start one in this."""
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_imgver.emulator", "--port", "0", "--state", str(STATE)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture
def connection(demo_aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that the pages' code uses."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(demo_aws))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python")],
    ids=name_of,
)
@pytest.mark.usefixtures("connection")
def test_the_python_of_a_page_runs(page: Path) -> None:
    run_page(page)


@pytest.mark.parametrize("name", ["README.md", "docs/quick-start.md"])
@pytest.mark.usefixtures("connection", "metadata_database")
def test_the_dag_of_a_page_is_found_by_airflow_and_runs_to_its_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = blocks(CHECKOUT / name, "python")
    (tmp_path / "dag_of_a_page.py").write_text(block)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(tmp_path))
    bag = dag_bags().DagBag(str(tmp_path))

    assert bag.import_errors == {}
    make_known(bag)
    (dag,) = bag.dags.values()
    assert isinstance(dag, DAG)
    assert str(dag.test().state) == "success"


@pytest.mark.usefixtures("connection")
def test_every_operator_of_the_listing_page_lists() -> None:
    named = run_page(LISTING)
    operators = {name: found for name, found in named.items() if isinstance(found, ListVersionsOperator)}
    assert set(operators) == {"image_set_versions", "image_versions", "failed", "recent"}
    listed = {name: operator.execute(context_of()) for name, operator in operators.items()}

    (sample,) = [json.loads(block) for block in blocks(LISTING, "json")]
    assert listed["image_set_versions"][2:] == sample
    assert listed["failed"] == [["2", sample[0]["message"]]]
    assert [version["Version"] for version in listed["recent"]][-1] == 2
    assert listed["image_versions"][-1] == xcom_samples()["Version"]


@pytest.mark.usefixtures("connection")
def test_the_summary_of_the_reporting_page_is_what_the_operator_returns(tmp_path: Path) -> None:
    named = run_page(REPORTING)
    (sample,) = [json.loads(block) for block in blocks(REPORTING, "json")]
    report = named["report_image_sets"]
    report.updated_after, report.updated_before = sample["updated_after"], sample["updated_before"]
    report.outputs = [str(tmp_path / "2023-03-28.csv")]
    summary = report.execute(context_of())

    assert list(summary) == list(sample)
    for text in ("text", "html"):
        summary[text] = summary[text].replace(str(tmp_path), "/srv/reports")
    differ = {"paths", "made_at"}
    assert {key: value for key, value in summary.items() if key not in differ} == {
        key: value for key, value in sample.items() if key not in differ
    }


@pytest.mark.usefixtures("connection")
def test_the_xcom_samples_of_the_reference_are_what_the_operators_return() -> None:
    named = run_page(LISTING)

    versions = named["image_set_versions"].execute(context_of())
    assert xcom_samples()["versionId"] in versions
    assert xcom_samples()["Version"] in named["image_versions"].execute(context_of())
