"""How the commands come into `airflow`, and what they may not do to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import CHECKOUT, PROGRAM, Run
from support import DATASTORE, IMAGE_SET, connection_json, image_set_entry, load_image_set

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
COMMANDS = {
    "list-image-set-versions",
    "list-image-versions",
    "wait-image-set-version",
    "wait-image-version",
    "explain",
    "report",
    "watch",
}
LISTING = ("list-image-set-versions", "--datastore-id", DATASTORE, "--image-set-id", IMAGE_SET)


def knows_provider_commands() -> bool:
    import airflow

    return tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2)


needs_provider_commands = pytest.mark.skipif(
    not knows_provider_commands(), reason="Airflow takes commands from providers from 3.2 on"
)


@needs_provider_commands
def test_airflow_has_the_commands(run_cold: Run) -> None:
    done = run_cold(AIRFLOW, "imgver", "--help")

    assert done.status == 0
    assert all(command in done.out for command in COMMANDS)


def test_python_has_the_commands(run_cold: Run) -> None:
    done = run_cold(*PROGRAM, "--help")

    assert done.status == 0
    assert all(command in done.out for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_describes_its_options(run: Run, command: str) -> None:
    done = run(command, "--help")

    assert done.status == 0
    assert "--endpoint-url" in done.out


@needs_provider_commands
def test_airflow_runs_a_command_as_python_does(run_cold: Run, run: Run, emulator_url: str) -> None:
    load_image_set(image_set_entry(2), image_set_entry(1, "COPIED"))

    through_airflow = run_cold(AIRFLOW, "imgver", *LISTING, "--output", "json")

    assert through_airflow.status == 0, through_airflow.err
    assert through_airflow.out == run(*LISTING, "--output", "json").out


@needs_provider_commands
def test_airflow_passes_on_the_exit_status(run_cold: Run, emulator_url: str) -> None:
    done = run_cold(AIRFLOW, "imgver", *LISTING)

    assert done.status == 1
    assert "ResourceNotFoundException" in done.err
    assert "Traceback" not in done.err


# What the commands and the provider's metadata are derived from, without Airflow and boto3.
LIGHT = (
    "exceptions.py",
    "options.py",
    "services/__init__.py",
    "services/description.py",
    "services/healthimaging.py",
    "services/import_job.py",
    "services/sagemaker_image.py",
    "services/waitable.py",
    "text.py",
    "versions.py",
)


def test_the_definition_imports_nothing_of_the_package_but_the_descriptions() -> None:
    program = (
        "import sys, airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        "import airflow_imgver.cli.definition\n"
        "airflow_imgver.cli.definition.get_cli_commands()\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )

    # Airflow's discovery of providers may have imported the package and the descriptions before.
    assert set(done.stdout.split()) - {"airflow_imgver"} <= {
        "airflow_imgver.cli",
        "airflow_imgver.cli.connection_options",
        "airflow_imgver.cli.definition",
        "airflow_imgver.cli.examples",
        "airflow_imgver.cli.option_groups",
        "airflow_imgver.cli.report_options",
        "airflow_imgver.cli.watch_options",
        *(
            f"airflow_imgver/{path}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            for path in LIGHT
        ),
    }


@needs_provider_commands
@pytest.mark.parametrize("broken", ["cli/definition.py", "cli/__init__.py"])
def test_a_broken_installation_leaves_airflow_whole(run_cold: Run, tmp_path: Path, broken: str) -> None:
    package = tmp_path / "airflow_imgver"
    for module in ("__init__.py", "get_provider_info.py", *LIGHT, "cli/__init__.py"):
        (package / module).parent.mkdir(parents=True, exist_ok=True)
        (package / module).write_text((CHECKOUT / "airflow_imgver" / module).read_text())
    (package / broken).write_text("raise ImportError('half an installation')\n")

    done = run_cold(AIRFLOW, "version", PYTHONPATH=str(tmp_path))

    assert done.status == 0, done.err
    assert done.out.strip().splitlines()[-1][0].isdigit()


@pytest.mark.usefixtures("metadata_database")
def test_a_connection_of_the_metadata_database_is_found(run: Run, emulator_url: str) -> None:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    load_image_set(image_set_entry(1))
    connection = connection_json(emulator_url)
    with create_session() as session:
        session.add(Connection.from_json(connection, conn_id="aws_stored"))
    try:
        done = run(*LISTING, "--aws-conn-id", "aws_stored", "--output", "json")
    finally:
        with create_session() as session:
            session.query(Connection).filter_by(conn_id="aws_stored").delete()

    assert len(done.json["imageSetPropertiesList"]) == 1
