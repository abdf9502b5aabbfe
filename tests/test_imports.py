"""Imports run one way, and stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_imgver

PACKAGE = Path(airflow_imgver.__file__).parent

# Each module or subpackage, and the parts of this package that it may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "exceptions": set(),
    "text": set(),
    "options": set(),
    "versions": {"exceptions", "text"},
    "services": {"exceptions", "text", "options", "versions"},
    "get_provider_info": {"options", "services"},
    "arguments": {"exceptions", "text", "services", "versions"},
    "hooks": {"exceptions", "text", "options", "versions", "services", "arguments"},
    "gate": {"exceptions", "text", "options", "versions", "services", "arguments", "hooks"},
    "events": {"exceptions", "text", "options", "versions", "services", "hooks", "gate"},
    "triggers": {"exceptions", "text", "options", "services", "hooks", "gate", "events"},
    "links": {"services"},
    "sensors": {"exceptions", "text", "services", "arguments", "hooks", "gate", "triggers", "links"},
    "reports": {"exceptions", "text", "options", "versions", "services", "hooks"},
    "query": {"exceptions", "text"},
    "operators": {
        "exceptions",
        "text",
        "versions",
        "services",
        "arguments",
        "hooks",
        "gate",
        "triggers",
        "links",
        "sensors",
        "query",
        "reports",
    },
    "cli": {
        *{"exceptions", "text", "options", "versions", "services", "arguments", "hooks", "gate", "triggers"},
        *{"sensors", "query"},
        *{"operators", "reports", "events"},
    },
    "__main__": {"cli"},
    "emulator": set(),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def run(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement and expression in a node, except those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from run(child)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports when it runs, by its full name."""
    for node in run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["airflow_imgver", *path.relative_to(PACKAGE).parts[:-1]]
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_modules_below_it(path: Path) -> None:
    module = module_of(path)
    assert module in MAY_IMPORT, "a new module needs a line here"
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("airflow_imgver.")}
    assert ours - {module} <= MAY_IMPORT[module]


@pytest.mark.parametrize(
    "module", ["versions", "text", "exceptions", "arguments/identities", "services/description"]
)
def test_the_rule_knows_neither_airflow_nor_boto(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(PACKAGE / f"{module}.py")}
    assert roots & {"airflow", "boto3", "botocore", "moto", "jmespath", "pendulum"} == set()


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint('MODULES', *sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return set(run.stdout.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".versions",
        ".text",
        ".options",
        ".exceptions",
        ".services",
        ".arguments.identities",
        ".gate.settings",
        ".events",
        ".events.queue",
        ".events.watching",
        ".get_provider_info",
        ".emulator",
    ],
)
def test_what_is_light_imports_nothing_of_airflow_boto_or_moto(module: str) -> None:
    roots = {name.split(".")[0] for name in modules_after(f"import airflow_imgver{module}")}
    assert roots & {"airflow", "boto3", "botocore", "moto"} == set()


def test_a_sensor_brings_neither_moto_nor_aiobotocore() -> None:
    roots = {name.split(".")[0] for name in modules_after("import airflow_imgver.sensors.healthimaging")}
    assert "airflow" in roots
    assert roots & {"moto", "aiobotocore", "werkzeug"} == set()


@pytest.mark.parametrize("module", ["healthimaging", "sagemaker_image"])
def test_a_trigger_that_airflow_imports_on_its_event_loop_brings_nothing_of_aws(module: str) -> None:
    loaded = modules_after(f"import airflow_imgver.triggers.{module}")
    assert not {"boto3", "botocore", "airflow_imgver.hooks.base"} & loaded


def test_a_dag_file_that_uses_the_package_writes_nothing_to_the_log_of_its_parsing() -> None:
    code = """
import logging
seen = []
class Seen(logging.Handler):
    def emit(self, record):
        seen.append(record.name)
logging.getLogger().addHandler(Seen())
logging.getLogger().setLevel(logging.DEBUG)
from airflow_imgver.operators.healthimaging import HealthImagingVersionReportOperator
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor
HealthImagingImageSetVersionSensor(task_id="a", datastore_id="b", image_set_id="c", deferrable=True)
HealthImagingVersionReportOperator(task_id="d", datastore_id="b", outputs=["e.csv"])
print("LOGGED", *[name for name in seen if "imgver" in name])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert run.stdout.rpartition("LOGGED")[2].strip() == ""
    assert "imgver" not in run.stdout.partition("LOGGED")[0] + run.stderr
