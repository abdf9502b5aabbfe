"""The documentation: links resolve, code runs, data parses, and its tables say what the code says."""

from __future__ import annotations

import importlib.util
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import conf
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSensorTimeout
from markdown_it import MarkdownIt
from markdown_it.token import Token

from airflow_imgver import emulator, exceptions
from airflow_imgver.exceptions import VersionDeletedError, VersionFailedError
from airflow_imgver.operators.base import ListVersionsOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
from airflow_imgver.versions import Phase, gate_opens, image_set_status, image_version_status
from tests.support import connection_json, context_of

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "benchmarks/RESULTS.md"]
)
REFERENCE = CHECKOUT / "docs" / "reference.md"
GATES = CHECKOUT / "docs" / "gates.md"
LISTING = CHECKOUT / "docs" / "listing.md"
STATE = CHECKOUT / "demo" / "state.json"

# Commands of others' that a page may name; of our own and of make's, the targets and options are looked up.
COMMANDS = {"airflow", "aws", "curl", "export", "make", "pip", "python"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


# --- reading Markdown -----------------------------------------------------------------------------------


def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks in a language; "" stands for an indented block."""
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
    """A table, and the dotted path that stands alone in the paragraph before it, if one does."""

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
    targets = set(re.findall(r"^([a-z]+):.*##", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page):
        assert words[0] in COMMANDS, f"{page.name}: {words}"
        if words[0] == "make":
            assert words[1] in targets, f"{page.name}: {words}"
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), f"{page.name}: {words}"


def test_every_option_of_the_embedded_aws_is_one_that_it_has() -> None:
    start = ["python", "-m", "airflow_imgver.emulator"]
    told = [words[3:] for page in PAGES for words in commands(page) if words[:3] == start]
    assert told
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow_imgver.emulator", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    for word in chain.from_iterable(told):
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){word}(?![\w-])", help_text), word


def test_every_room_of_the_contributing_page_is_there() -> None:
    for room, _ in table_under(CHECKOUT / "CONTRIBUTING.md", "room", "what it covers"):
        base = CHECKOUT
        for path in re.findall(r"`([^`]+)`", room):
            # A list of folders is told from the first one's place.
            found = base / path
            assert found.exists(), path
            base = found.parent


# --- code -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_aws() -> Iterator[str]:
    """The URL of an embedded AWS with the demo's state. In its own process, as a page may start one here."""
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


def run_page(page: Path) -> dict[str, Any]:
    """Run the Python of a page, its blocks one after another; give what it named."""
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem}"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python")],
    ids=lambda page: str(page.relative_to(CHECKOUT)),
)
@pytest.mark.usefixtures("connection")
def test_the_python_of_a_page_runs(page: Path) -> None:
    run_page(page)


def dag_bundle(folder: Path) -> str:
    """Airflow's setting of where Dags are: `dag.test()` runs none that it does not find there."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return json.dumps([{"name": folder.name, "classpath": local, "kwargs": {"path": str(folder)}}])


@pytest.mark.parametrize("name", ["README.md", "docs/quick-start.md"])
@pytest.mark.usefixtures("connection", "metadata_database")
def test_the_dag_of_a_page_is_found_by_airflow_and_runs_to_its_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = blocks(CHECKOUT / name, "python")
    (tmp_path / "dag_of_a_page.py").write_text(block)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(tmp_path))
    bag = DagBag(str(tmp_path))

    assert bag.import_errors == {}
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


# --- the reference --------------------------------------------------------------------------------------


def public_object(path: str) -> Any:
    return pkgutil.resolve_name(path)


def signature(path: str) -> dict[str, str]:
    """The arguments of a class or a method, with their defaults as the reference writes them."""
    found = public_object(path)
    if path.endswith("ImageVersionHook"):
        found = AwsGenericHook  # whose arguments the hooks pass on, but for the service itself
    called = found.__init__ if isinstance(found, type) else found
    arguments = {}
    for name, parameter in inspect.signature(called).parameters.items():
        passed_on = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        # What a user does not give: the object itself, boto3's kind of client, a name that has been replaced.
        if passed_on or name in {"self", "hook", "client_type", "resource_type", "region"}:
            continue
        required = parameter.default is parameter.empty
        arguments[name] = "required" if required else f"`{parameter.default!r}`"
    if "deferrable" in arguments:
        configured = conf.getboolean("operators", "default_deferrable", fallback=False)
        assert arguments["deferrable"] == f"`{configured}`"
        arguments["deferrable"] = "`[operators] default_deferrable`"
    return arguments


ARGUMENT_TABLES = {table.path: table.rows for table in tables(REFERENCE) if table.path}


@pytest.mark.parametrize("path", ARGUMENT_TABLES)
def test_an_argument_table_of_the_reference_is_the_signature(path: str) -> None:
    header, *rows = ARGUMENT_TABLES[path]

    assert header == ["argument", "default", "what it is"]
    assert {argument.strip("`"): default for argument, default, _ in rows} == signature(path)


def test_the_reference_has_every_public_class() -> None:
    text = REFERENCE.read_text()
    for room in ("hooks", "operators", "sensors", "triggers", "links"):
        for service in ("healthimaging", "sagemaker_image"):
            module = importlib.import_module(f"airflow_imgver.{room}.{service}")
            for name, found in vars(module).items():
                if isinstance(found, type) and found.__module__ == module.__name__:
                    told = f"airflow_imgver.{room}.{service}.{name}"
                    assert told in text, told


@pytest.mark.parametrize(
    ("listing", "stream"),
    [
        ("HealthImagingHook.list_image_set_versions", "HealthImagingHook.iter_image_set_versions"),
        ("SageMakerImageHook.list_image_versions", "SageMakerImageHook.iter_image_versions"),
    ],
)
def test_a_list_method_has_the_arguments_of_its_stream(listing: str, stream: str) -> None:
    (path,) = [path for path in ARGUMENT_TABLES if path.endswith(stream)]
    assert signature(path.replace(stream, listing)) == signature(path)
    assert f"`{path.replace(stream, listing)}` has the same arguments" in REFERENCE.read_text()


def test_the_reference_has_every_error_and_what_it_is() -> None:
    told = {
        name.strip("`"): base.strip("`") for name, base, _ in table_under(REFERENCE, "error", "is a", "when")
    }
    defined = {
        name: found.__base__.__name__
        for name, found in vars(exceptions).items()
        if isinstance(found, type) and found.__module__ == exceptions.__name__
    }
    assert told == defined


def test_the_embedded_aws_has_the_names_that_the_reference_tells() -> None:
    (paragraph,) = re.findall(
        r"## The embedded AWS\n\n(.+?) in `airflow_imgver.emulator`", REFERENCE.read_text(), re.DOTALL
    )
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(emulator.__all__)


def test_a_gate_takes_the_events_of_the_reference_for_what_they_say() -> None:
    gate = HealthImagingImageSetVersionSensor(task_id="gate", datastore_id="", image_set_id="")
    opened, failed, timed_out = [
        event for block in blocks(REFERENCE, "json") if "status" in (event := json.loads(block))
    ]

    assert gate.execute_complete({}, opened) == opened["entry"]
    with pytest.raises(VersionFailedError, match="Series of SourceImageSet"):
        gate.execute_complete({}, failed)
    with pytest.raises(AirflowSensorTimeout, match="Last seen: image studio-imaging"):
        gate.execute_complete({}, timed_out)


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


@pytest.mark.usefixtures("connection")
def test_the_xcom_samples_of_the_reference_are_what_the_operators_return() -> None:
    named = run_page(LISTING)

    versions = named["image_set_versions"].execute(context_of())
    assert xcom_samples()["versionId"] in versions
    assert xcom_samples()["Version"] in named["image_versions"].execute(context_of())


# --- the rule -------------------------------------------------------------------------------------------

IMAGE_SET_ROWS = {
    "busy": ("UPDATING", "LOCKED"),
    "ready": ("UPDATED", "ACTIVE"),
    "failed": ("COPY_FAILED", "ACTIVE"),
    "deleted": ("DELETED", "DELETED"),
}


def test_the_table_of_the_gates_page_is_the_rule() -> None:
    rows = table_under(GATES, "what AWS lists", "`ready` (the default)", "`settled`", "`deleted`")
    for what, *told in rows[:-1]:  # the last, of what does not exist, is no row of the rule but of a gate's
        found = None
        if "DELETE_FAILED" in what:
            found = image_version_status({"Version": 1, "ImageVersionStatus": "DELETE_FAILED"})
        elif what in IMAGE_SET_ROWS:
            status, state = IMAGE_SET_ROWS[what]
            found = image_set_status(
                {"versionId": "1", "imageSetState": state, "ImageSetWorkflowStatus": status}
            )
        for wait_until, cell in zip(("ready", "settled", "deleted"), told, strict=True):
            try:
                verdict = "open" if gate_opens(found, wait_until, of="it") else "wait"  # type: ignore[arg-type]
            except (VersionFailedError, VersionDeletedError) as error:
                verdict = f"raise `{type(error).__name__}`"
            assert cell == verdict, (what, wait_until)


def test_the_gates_page_has_every_status_of_aws_in_its_phase() -> None:
    told = {
        phase: (set(re.findall(r"`([A-Z_]+)`", sets)), set(re.findall(r"`([A-Z_]+)`", images)))
        for phase, sets, images in table_under(GATES, "", "HealthImaging", "SageMaker AI")
    }
    for status in statuses("medical-imaging", "ImageSetWorkflowStatus"):
        entry = {"versionId": "1", "imageSetState": "ACTIVE", "ImageSetWorkflowStatus": status}
        phase = image_set_status(entry).phase
        assert (status in told[phase.value][0]) or phase is Phase.READY, status
    for status in statuses("sagemaker", "ImageVersionStatus"):
        phase = image_version_status({"Version": 1, "ImageVersionStatus": status}).phase
        assert status in told[phase.value][1], status


def statuses(service: str, shape: str) -> list[str]:
    client = boto3.Session(
        region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    ).client(service)
    try:
        return list(client.meta.service_model.shape_for(shape).enum)
    finally:
        client.close()
