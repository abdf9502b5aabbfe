"""`explain`, for task instances as Airflow's metadata database knows them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from import_jobs import CANNOT_READ, JOB, image_set, job, load_jobs, put_manifest, summary
from processes import PROGRAM, Run
from studies import PATIENT, STUDY, add, image_set_id
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    MISMATCH,
    Answer,
    connection_json,
    dag_bags,
    image_set_entry,
    image_version_entry,
    load_image_set,
    stub_aws,
)

OTHER_SET = "0" * 31 + "a"
DAG_FILE = f'''
from datetime import datetime

from airflow.sdk import DAG, task

from airflow_imgver.sensors.healthimaging import (
    HealthImagingDICOMImportJobSensor,
    HealthImagingImageSetVersionSensor,
)
from airflow_imgver.sensors.sagemaker_image import SageMakerImageVersionSensor

print("a Dag's file that prints")

with DAG("clinic", schedule=None, start_date=datetime(2026, 1, 1)):
    HealthImagingImageSetVersionSensor(
        task_id="copied",
        datastore_id="{DATASTORE}",
        image_set_id="{{{{ params }}}}",
        wait_until="settled",
        poke_interval=17,
    )
    HealthImagingImageSetVersionSensor.partial(
        task_id="all_copied", datastore_id="{DATASTORE}", wait_until="settled"
    ).expand(image_set_id=["{IMAGE_SET}", "{OTHER_SET}"])
    SageMakerImageVersionSensor(task_id="built", image_name="{IMAGE}")
    HealthImagingDICOMImportJobSensor(
        task_id="imported", datastore_id="{DATASTORE}", job_id="{JOB}", fail_on_failed_files=True
    )
    HealthImagingImageSetVersionSensor(
        task_id="study", datastore_id="{DATASTORE}", study_instance_uid="{{{{ params }}}}"
    )

    @task
    def work(): ...

    work()
'''
Change = Callable[..., None]


@pytest.fixture(scope="module")
def dag_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "clinic.py").write_text(DAG_FILE)
    return folder


@pytest.fixture(scope="module")
def bundles(dag_folder: Path) -> str:
    """Airflow's setting for the one bundle of Dags."""
    return json.dumps(
        [
            {
                "name": "clinic",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(dag_folder)},
            }
        ]
    )


@pytest.fixture(scope="module")
def run_of_the_dag(metadata_database: None, dag_folder: Path, bundles: str) -> Iterator[str]:
    """A run of the Dag, none of whose tasks has started; gives its id."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.types import DagRunTriggeredByType

    bags = dag_bags()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
        DagBundlesManager().sync_bundles_to_db()
        if hasattr(bags, "BundleDagBag"):
            bag = bags.BundleDagBag(str(dag_folder), bundle_path=dag_folder, bundle_name="clinic")
        else:
            bag = bags.DagBag(str(dag_folder), bundle_path=dag_folder)
        assert not bag.import_errors
        bags.sync_bag_to_db(bag, "clinic", None)
        trigger_dag("clinic", run_id="night", triggered_by=DagRunTriggeredByType.TEST)
        yield "night"


@pytest.fixture
def change(run_of_the_dag: str) -> Iterator[Change]:
    """Change a task instance as a scheduler, a worker and a triggerer would; undone afterwards."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select, update

    def change(
        task_id: str,
        state: str | None,
        *,
        map_index: int = -1,
        rendered: dict[str, Any] | None = None,
        trigger: Any = None,
        looks_again_at: datetime | None = None,
    ) -> None:
        with create_session() as session:
            instance = session.scalars(
                select(TaskInstance).where(
                    TaskInstance.dag_id == "clinic",
                    TaskInstance.task_id == task_id,
                    TaskInstance.map_index == map_index,
                )
            ).one()
            instance.state, instance.start_date = state, datetime.now(UTC)
            instance.hostname = "worker-7"
            if trigger is not None:
                instance.trigger = Trigger.from_object(trigger)
            if looks_again_at is not None:
                now = datetime.now(UTC)
                session.add(TaskReschedule(instance.id, now, now, looks_again_at))
            if rendered is not None:
                session.execute(
                    RenderedTaskInstanceFields.__table__.insert().values(
                        dag_id="clinic",
                        task_id=task_id,
                        run_id=run_of_the_dag,
                        map_index=map_index,
                        rendered_fields=rendered,
                    )
                )

    yield change
    with create_session() as session:
        session.execute(delete(RenderedTaskInstanceFields))
        session.execute(delete(TaskReschedule))
        session.execute(update(TaskInstance).values(state=None, trigger_id=None, start_date=None))
        session.execute(delete(Trigger))


@pytest.fixture
def explained(run: Run, bundles: str) -> Callable[..., Any]:
    """Explain a task instance of the run, and return the output."""

    def explained(task_id: str, *more: str, **environment: str) -> Any:
        environment.setdefault("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
        return run("explain", "clinic", task_id, "night", *more, "-o", "json", **environment)

    return explained


def rendered(image_set_id: Any = IMAGE_SET, **more: Any) -> dict[str, Any]:
    """Rendered fields as a worker stores them."""
    return {
        "datastore_id": DATASTORE,
        "image_set_id": image_set_id,
        "version": None,
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        **more,
    }


@pytest.fixture
def slow_changes(emulator_url: str) -> None:
    """Have the embedded AWS take ten minutes for a change."""
    from moto.moto_api import state_manager

    from airflow_imgver.emulator.registration import MANAGED_MODELS

    for model in MANAGED_MODELS:
        state_manager.set_transition(model, {"progression": "time", "seconds": 600})


@pytest.fixture
def busy(slow_changes: None) -> None:
    load_image_set(image_set_entry(2, "COPYING", "LOCKED"), image_set_entry(1, "COPIED"))


def trigger(**more: Any) -> Any:
    from airflow_imgver.triggers.healthimaging import HealthImagingImageSetVersionTrigger

    deadline = datetime(2030, 1, 1, tzinfo=UTC).isoformat()
    return HealthImagingImageSetVersionTrigger(
        **{"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, "deadline": deadline, **more}
    )


# --- a deferred gate ---


@pytest.mark.usefixtures("busy")
def test_a_deferred_gate_is_explained_by_its_trigger(change: Change, explained: Callable[..., Any]) -> None:
    change("copied", "deferred", trigger=trigger(version="2", wait_until="ready"))

    answer = explained("copied").json

    assert answer["state"].startswith("deferred, started at ")
    assert answer["waits_for"].startswith(f"version 2 of image set {IMAGE_SET}")
    assert answer["waits_for"].endswith("until ready")
    assert answer["aws_says"][0]["ImageSetWorkflowStatus"] == "COPYING"
    assert answer["verdict"] == "wait"
    assert "COPYING (LOCKED, version 2); a gate on ready opens when" in answer["why"]
    assert answer["gives_up"] == "2030-01-01T00:00:00+00:00"
    assert "assumed" not in answer


@pytest.mark.usefixtures("busy")
def test_a_wait_that_no_triggerer_has_taken_up_is_said_to_be_so(
    change: Change, explained: Callable[..., Any]
) -> None:
    change("copied", "deferred", trigger=trigger())

    assert "is `airflow triggerer` running?" in explained("copied").json["next_poll"]


def test_a_triggerer_that_is_not_heard_of_any_more_is_named(
    busy: None, change: Change, explained: Callable[..., Any]
) -> None:
    _take_up(change, heard=datetime.now(UTC) - timedelta(hours=1))

    assert "the one on triggerer-3 sent its last heartbeat at" in explained("copied").json["next_poll"]


def test_a_triggerer_that_is_alive_polls_at_the_interval(
    busy: None, change: Change, explained: Callable[..., Any]
) -> None:
    _take_up(change, heard=datetime.now(UTC))

    next_poll = explained("copied").json["next_poll"]

    assert next_poll.startswith(
        "every 45 s, by the triggerer on triggerer-3; where it has many waits, when a"
    )
    assert "search shows a change, at the latest every 2400 s" in next_poll


def test_without_a_search_for_changes_the_interval_is_all_there_is(
    busy: None, change: Change, explained: Callable[..., Any]
) -> None:
    _take_up(change, heard=datetime.now(UTC))

    assert explained("copied", AIRFLOW__IMGVER__CHANGE_SEARCH="False").json["next_poll"] == (
        "every 45 s, by the triggerer on triggerer-3; the task's log has the time"
    )


def _take_up(change: Change, heard: datetime) -> None:
    """Let a triggerer take up the wait."""
    from airflow.jobs.job import Job
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import select

    change("copied", "deferred", trigger=trigger(poke_interval=45))
    with create_session() as session:
        job = Job(state="running", latest_heartbeat=heard)
        job.job_type, job.hostname = "TriggererJob", "triggerer-3"
        session.add(job)
        session.flush()
        session.scalars(select(Trigger)).one().triggerer_id = job.id


def test_a_gate_that_would_fail_is_shown_with_awss_reason(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    load_image_set(image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    change("copied", "deferred", trigger=trigger())

    answer = explained("copied").json

    assert answer["verdict"] == "fail"
    assert MISMATCH in answer["why"]


def test_a_gate_that_would_open_is_shown(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    load_image_set(image_set_entry(2))
    change("copied", "deferred", trigger=trigger())

    assert explained("copied").json["verdict"] == "open"


def test_a_message_that_no_file_can_hold_does_not_end_the_output_half_way(
    change: Change, explained: Callable[..., Any]
) -> None:
    entry = image_set_entry(2, "COPY_FAILED", message="nul \x00 half \ud83d a pair")
    change("copied", "deferred", trigger=trigger())
    with stub_aws(lambda _: Answer({"imageSetPropertiesList": [entry]})) as stub:
        answer = explained("copied", AIRFLOW_CONN_AWS_DEFAULT=connection_json(stub.url)).json

    assert (
        answer["aws_says"][0]["message"]
        == "nul \N{REPLACEMENT CHARACTER} half \N{REPLACEMENT CHARACTER} a pair"
    )
    assert "nul \\x00 half \\ud83d a pair." in answer["why"]


def test_a_connection_that_aws_does_not_answer_is_what_the_gate_sees(
    change: Change, explained: Callable[..., Any]
) -> None:
    change("copied", "deferred", trigger=trigger())

    answer = explained("copied", "--endpoint-url", "http://127.0.0.1:9").json

    assert answer["verdict"] == "wait"
    assert "EndpointConnectionError" in answer["why"]
    assert "This may pass" in answer["why"]


@pytest.mark.usefixtures("busy")
def test_a_gate_on_several_shows_each(change: Change, explained: Callable[..., Any]) -> None:
    change("copied", "deferred", trigger=trigger(image_set_id=[IMAGE_SET, OTHER_SET]))

    answer = explained("copied").json

    assert answer["waits_for"].startswith("the latest version of image set")
    assert " and 1 more" in answer["waits_for"]
    assert answer["aws_says"][0]["versionId"] == "2"
    assert "does not exist" in answer["aws_says"][1]


def test_a_task_that_waits_for_something_else_is_no_gate(
    change: Change, explained: Callable[..., Any]
) -> None:
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    change("work", "deferred", trigger=DateTimeTrigger(datetime(2030, 1, 1, tzinfo=UTC)))

    done = explained("work")

    assert (done.status, done.out) == (1, "")
    assert "not a gate on image versions" in done.err
    assert "DateTimeTrigger" in done.err


# --- a gate that pokes ---


@pytest.mark.usefixtures("busy")
def test_a_gate_that_pokes_is_explained_by_its_rendered_fields_and_the_dags_file(
    change: Change, explained: Callable[..., Any]
) -> None:
    change("copied", "running", rendered=rendered(version="2"))

    done = explained("copied")

    assert done.json["waits_for"].startswith(f"version 2 of image set {IMAGE_SET}")
    assert done.json["waits_for"].endswith("until settled")
    assert done.json["next_poll"] == "every 17 s, by the worker on worker-7"
    assert "assumed" not in done.json
    assert "a Dag's file that prints" in done.err


@pytest.mark.usefixtures("busy")
def test_a_rescheduled_gate_shows_when_it_polls_next(change: Change, explained: Callable[..., Any]) -> None:
    at = datetime(2030, 1, 1, 3, tzinfo=UTC)
    change("copied", "up_for_reschedule", rendered=rendered(), looks_again_at=at)

    assert explained("copied").json["next_poll"] == "at 2030-01-01T03:00:00Z, when a worker is free"


@pytest.mark.usefixtures("busy")
def test_a_mapped_gate_is_explained_by_its_index(
    change: Change, run: Run, explained: Callable[..., Any]
) -> None:
    change("all_copied", "running", map_index=0, rendered=rendered())
    change("all_copied", "running", map_index=1, rendered=rendered(OTHER_SET))

    answer = explained("all_copied", "--map-index", "1").json

    assert OTHER_SET in answer["waits_for"]
    assert answer["waits_for"].endswith("until settled")
    assert "give one with --map-index, 0 to 1" in run("explain", "clinic", "all_copied", "night").err


@pytest.mark.usefixtures("busy")
def test_without_the_dags_file_the_defaults_are_taken_and_said_to_be(
    change: Change, explained: Callable[..., Any], tmp_path: Path
) -> None:
    change("copied", "running", rendered=rendered())
    elsewhere = json.dumps(
        [
            {
                "name": "clinic",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(tmp_path)},
            }
        ]
    )

    answer = explained("copied", AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=elsewhere).json

    assert answer["waits_for"].endswith("until ready")
    assert "have their defaults here" in answer["assumed"]


def test_a_sagemaker_gate_is_explained_too(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    from airflow_imgver.emulator.state import load

    load({"sagemaker": {IMAGE: [image_version_entry(3)]}})
    fields = {"image_name": IMAGE, "version": None, "aws_conn_id": "aws_default"}
    change("built", "success", rendered={**fields, "region_name": None, "verify": None})

    answer = explained("built").json

    assert answer["verdict"] == "open"
    assert answer["aws_says"][0]["Version"] == 3
    assert answer["next_poll"] == "never: the task has ended (success)"


def test_a_gate_on_an_arn_of_another_region_would_fail(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:image-version/{IMAGE}/3"
    fields = {"image_name": IMAGE, "version": arn, "aws_conn_id": "aws_default"}
    change("built", "failed", rendered={**fields, "region_name": None, "verify": None})

    answer = explained("built").json

    assert answer["verdict"] == "fail"
    assert "is an ARN of eu-west-1, and the gate polls us-east-1" in answer["why"]


@pytest.mark.usefixtures("busy")
def test_a_person_reads_labelled_lines(change: Change, run: Run, bundles: str) -> None:
    change("copied", "deferred", trigger=trigger())

    lines = run("explain", "clinic", "copied", "night").out.splitlines()

    labels = [line[:10].strip() for line in lines if line[:10].strip()]
    assert labels == [
        *("task", "state", "waits for", "asks", "gives up", "aws says", "verdict", "why", "next poll"),
    ]
    assert all("\x1b" not in line for line in lines)


@pytest.mark.usefixtures("busy")
def test_a_person_reads_times_to_the_second_and_how_far_away_they_are(change: Change, run: Run) -> None:
    ends = datetime.now(UTC) + timedelta(hours=2, minutes=5, seconds=30)
    change("copied", "deferred", trigger=trigger(deadline=ends.isoformat()))

    shown = run("explain", "clinic", "copied", "night").out

    assert re.search(r"^gives up +\S+:\d\dZ \(in 2 h 5 min\)$", shown, re.MULTILINE)
    assert re.search(r"^state +deferred, started at \S+:\d\dZ \((\d+ s ago|now)\)$", shown, re.MULTILINE)
    assert re.search(r"createdAt 2023-03-28T18:12:06Z \([\d,]+ days ago\)$", shown, re.MULTILINE)


def test_a_text_of_awss_that_looks_like_a_time_is_shown_as_it_is(change: Change, run: Run) -> None:
    entry = image_set_entry(2, "COPY_FAILED", message="2026-13-01T00:00:00Z")
    change("copied", "deferred", trigger=trigger())
    with stub_aws(lambda _: Answer({"imageSetPropertiesList": [entry]})) as stub:
        done = run("explain", "clinic", "copied", "night", AIRFLOW_CONN_AWS_DEFAULT=connection_json(stub.url))

    assert done.status == 0, done.err
    assert "message 2026-13-01T00:00:00Z\n" in done.out


# --- import jobs and searches ---


def test_a_deferred_gate_on_an_import_job_shows_the_job(
    slow_changes: None, change: Change, explained: Callable[..., Any]
) -> None:
    from airflow_imgver.triggers.healthimaging import HealthImagingDICOMImportJobTrigger

    load_jobs(job("IN_PROGRESS"))
    deadline = datetime(2030, 1, 1, tzinfo=UTC).isoformat()
    waits = HealthImagingDICOMImportJobTrigger(datastore_id=DATASTORE, job_id=JOB, deadline=deadline)
    change("imported", "deferred", trigger=waits)

    answer = explained("imported").json

    assert answer["waits_for"].startswith(f"import job {JOB}")
    assert answer["asks"].startswith("GetDICOMImportJob with the connection aws_default")
    assert answer["aws_says"][0]["jobStatus"] == "IN_PROGRESS"
    assert answer["verdict"] == "wait"


JOB_FIELDS = {"datastore_id": DATASTORE, "job_id": JOB, "aws_conn_id": "aws_default"}


def test_a_job_that_failed_is_shown_with_awss_reason(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    load_jobs(job("FAILED", message=CANNOT_READ))
    change("imported", "failed", rendered={**JOB_FIELDS, "region_name": None, "verify": None})

    answer = explained("imported").json

    assert answer["verdict"] == "fail"
    assert CANNOT_READ in answer["why"]


def test_a_job_with_failed_files_is_explained_with_the_dags_own_setting(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    load_jobs(job())
    put_manifest(emulator_url, summary(image_set(1), failed=(2, 0)))
    change("imported", "running", rendered={**JOB_FIELDS, "region_name": None, "verify": None})

    answer = explained("imported").json

    assert answer["verdict"] == "fail"
    assert "2 of 5 files were not imported" in answer["why"]


def test_a_gate_by_search_searches_as_it_does_and_shows_no_patient(
    emulator_url: str, change: Change, explained: Callable[..., Any]
) -> None:
    add(1, 2)
    fields = {**rendered(None), "study_instance_uid": STUDY, "updated_after": None}
    change("study", "running", rendered=fields)

    done = explained("study")

    assert done.status == 0, done.err
    assert " and 1 more, until ready" in done.json["waits_for"]
    assert {entry["imageSetId"] for entry in done.json["aws_says"]} == {image_set_id(1), image_set_id(2)}
    assert done.json["verdict"] == "open"
    assert not [secret for secret in (STUDY, *PATIENT) if secret in done.out + done.err]


# --- what cannot be explained ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clinic", "copied", "never"), "has no run 'never'"),
        (("clinic", "nothing", "night"), "has no task 'nothing'"),
        (("clinic", "copied", "night"), "its templates are rendered when it starts"),
        (("clinic", "work", "night"), "not a gate on image versions"),
        (("clinic", "copied", "night", "--map-index", "3"), "has no map index 3"),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_status_1(
    run: Run, run_of_the_dag: str, bundles: str, arguments: tuple[str, ...], message: str
) -> None:
    done = run("explain", *arguments, AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=bundles)

    assert (done.status, done.out) == (1, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_without_a_metadata_database_explain_says_so_in_one_line(run_cold: Run, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/empty.db"

    explain = ("explain", "clinic", "copied", "night")
    done = run_cold(*PROGRAM, *explain, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database)

    assert (done.status, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("Airflow's metadata database cannot be read: no such table: ")
    assert "SELECT" not in done.err
