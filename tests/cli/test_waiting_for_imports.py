"""`wait-dicom-import-job`: exit statuses, and what is printed."""

from __future__ import annotations

import pytest
from import_jobs import CANNOT_READ, JOB, OUTPUT, image_set, job, load_jobs, put_manifest, summary
from processes import Run
from support import DATASTORE

from airflow_imgver.emulator import calls

WAIT = ("wait-dicom-import-job", "--datastore-id", DATASTORE, "--job-id")


def test_a_completed_job_is_status_0_and_says_what_it_made(run: Run, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1), image_set(2)))
    done = run(*WAIT, JOB)
    assert (done.status, done.err) == (0, "")
    assert done.out.partition(" s, ")[2] == (
        f"waited until ready: COMPLETED (2 image sets, 6 files imported): import job {JOB} "
        f"in data store {DATASTORE}\n"
    )


def test_a_failed_job_is_status_1_and_awss_message(run: Run, emulator_url: str) -> None:
    load_jobs(job("FAILED", message=CANNOT_READ))
    done = run(*WAIT, JOB)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"FAILED: {CANNOT_READ}. ")


def test_failed_files_are_status_1_where_asked_for(run: Run, emulator_url: str) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1), failed=(1, 0)))
    assert run(*WAIT, JOB).status == 0
    done = run(*WAIT, JOB, "--fail-on-failed-files")
    assert done.status == 1
    assert f"{OUTPUT}FAILURE/" in done.err


def test_a_job_that_goes_on_is_status_124(run: Run, emulator_url: str) -> None:
    from moto.moto_api import state_manager

    state_manager.set_transition("medical-imaging::import-job", {"progression": "time", "seconds": 600})
    load_jobs(job("IN_PROGRESS"))
    done = run(*WAIT, JOB, "--timeout", "0")
    assert done.status == 124
    assert f"Last seen: IN_PROGRESS: import job {JOB}" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*WAIT, "JOB"), "job_id must be 1 to 32 digits"),
        (WAIT[:3], "required: --job-id"),
        ((*WAIT, JOB, "--version", "1"), "unrecognized arguments: --version"),
        ((*WAIT, JOB, "--wait-until", "deleted"), "unrecognized arguments: --wait-until"),
    ],
)
def test_a_mistake_is_status_2_and_asks_aws_nothing(
    run: Run, emulator_url: str, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert calls() == {}
