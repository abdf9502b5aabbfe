"""The gate of a task instance, read from Airflow's metadata database and from the Dag's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_imgver.cli.running import NotExplainedError
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import CHANGE_SEARCH, UNCHANGED_POLL_INTERVAL
from airflow_imgver.sensors.base import GateSensor
from airflow_imgver.services import WAITABLES
from airflow_imgver.triggers.base import GateTrigger

if TYPE_CHECKING:
    from airflow.dag_processing.bundles.base import BaseDagBundle
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class GateTask:
    """
    The gate of a task instance.

    :param state: the task instance's state, in words.
    :param watch: what it watches, and its settings.
    :param gate: the gate.
    :param hook: its hook.
    :param deadline: when it gives up, ISO 8601, where that is known.
    :param next_poll: when it polls AWS next, in words.
    :param assumed: what could not be read, and what was assumed instead.
    """

    state: str
    watch: Watch
    gate: Gate
    hook: ImageVersionHook
    deadline: str | None
    next_poll: str
    assumed: str | None = None


def gate_task(
    dag_id: str,
    task_id: str,
    run_id: str,
    map_index: int | None,
    session: Session,
    connected: Callable[[ImageVersionHook], ImageVersionHook],
) -> GateTask:
    """
    Find the gate of a task instance.

    :param connected: overrides the connection of a hook.

    :raises NotExplainedError: the task instance does not exist, is not a gate, or has no rendered fields.
    """
    instance = _instance(dag_id, task_id, run_id, map_index, session)
    if instance.state == TaskInstanceState.DEFERRED and instance.trigger is not None:
        return _of_trigger(instance, connected)
    return _of_fields(instance, session, connected)


def _instance(
    dag_id: str, task_id: str, run_id: str, map_index: int | None, session: Session
) -> TaskInstance:
    of_task = (TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id, TaskInstance.run_id == run_id)
    found = list(session.scalars(select(TaskInstance).where(*of_task).order_by(TaskInstance.map_index)))
    if not found:
        runs = session.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        missing = (
            f"Dag {dag_id!r} has no run {run_id!r}; `airflow dags list-runs {dag_id}` lists its runs."
            if runs is None
            else f"Run {run_id!r} of Dag {dag_id!r} has no task {task_id!r}; "
            f"`airflow tasks states-for-dag-run {dag_id} {run_id}` lists its tasks."
        )
        raise NotExplainedError(missing)
    indexes = [instance.map_index for instance in found]
    if map_index is None and len(found) > 1:
        raise NotExplainedError(
            f"Task {task_id!r} is mapped: give one with --map-index, {indexes[0]} to {indexes[-1]}."
        )
    if map_index is not None and map_index not in indexes:
        raise NotExplainedError(f"Task {task_id!r} has no map index {map_index}; it has {indexes}.")
    return found[0] if map_index is None else found[indexes.index(map_index)]


# --- a deferred gate: the trigger's stored kwargs -------------------------------------------------------


def _of_trigger(
    instance: TaskInstance, connected: Callable[[ImageVersionHook], ImageVersionHook]
) -> GateTask:
    stored = instance.trigger
    module, _, name = stored.classpath.rpartition(".")
    try:
        trigger_class = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotExplainedError(
            f"The task waits in the trigger {stored.classpath}, which cannot be imported here: {error}."
        ) from error
    if not (isinstance(trigger_class, type) and issubclass(trigger_class, GateTrigger)):
        raise NotExplainedError(f"The task is not a gate on image versions: it waits in {stored.classpath}.")
    trigger = trigger_class(**stored.kwargs)
    return GateTask(
        state=_state(instance),
        watch=trigger.watch,
        gate=trigger.watch.gate(),
        hook=connected(trigger.hook()),
        deadline=trigger.deadline,
        next_poll=_next_poll_of_trigger(stored, trigger),
    )


def _next_poll_of_trigger(stored: Any, trigger: GateTrigger) -> str:
    job = stored.triggerer_job
    if job is None:
        return (
            "when a triggerer picks up the wait, which has been queued since "
            f"{_time(stored.created_date)}; is `airflow triggerer` running?"
        )
    if not job.is_alive():
        return (
            f"when another triggerer picks up the wait: the one on {job.hostname} sent its last heartbeat at "
            f"{_time(job.latest_heartbeat)}"
        )
    every = _every(trigger.poke_interval, backoff=trigger.exponential_backoff)
    by = f"{every}, by the triggerer on {job.hostname}"
    if trigger.service.changed_by is None or not CHANGE_SEARCH.is_on():
        return f"{by}; the task's log has the time"
    seconds = max(trigger.poke_interval, UNCHANGED_POLL_INTERVAL.number())
    return (
        f"{by}; where it has many waits, when a search shows a change, at the latest every {seconds:g} s; "
        "the task's log says which, and the time"
    )


# --- any other gate: the rendered fields, and the rest from the Dag's file -------------------------------


def _of_fields(
    instance: TaskInstance, session: Session, connected: Callable[[ImageVersionHook], ImageVersionHook]
) -> GateTask:
    task, why_not = _task(instance, session)
    sensor = _sensor_class(task, instance)
    rendered = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == instance.dag_id,
            RenderedTaskInstanceFields.task_id == instance.task_id,
            RenderedTaskInstanceFields.run_id == instance.run_id,
            RenderedTaskInstanceFields.map_index == instance.map_index,
        )
    )
    if rendered is None:
        raise NotExplainedError(
            f"The task has not started: it is {_state(instance)}, and its templates are rendered when it "
            "starts. Try again then."
        )
    settings = _Settings(sensor, task, rendered)
    service = sensor.service
    names = [name for name in GateSettings.names(service) if name != "silent_fail"]
    hook = connected(
        sensor.aws_hook_class(
            aws_conn_id=settings.read("aws_conn_id"),
            region_name=settings.read("region_name"),
            verify=settings.read("verify"),
            config=settings.read("botocore_config"),
        )
    )
    watch = Watch(
        service,
        sensor.identity_of(settings.read, hook),
        GateSettings(**{name: settings.read(name) for name in names}),
    )
    return GateTask(
        state=_state(instance),
        watch=watch,
        gate=watch.gate(),
        hook=hook,
        deadline=None,
        next_poll=_next_poll_of_task(instance, settings, session),
        assumed=why_not,
    )


class _Settings:
    """
    A gate's arguments: as rendered, else as the Dag's file gives them, else their defaults.

    :param sensor: the gate's class.
    :param task: the task, mapped or not; None where the Dag's file cannot be read here.
    :param rendered: the rendered template fields.
    """

    def __init__(self, sensor: type[GateSensor[Any]], task: Any, rendered: Mapping[str, Any]) -> None:
        self._rendered = rendered
        self._task = task
        self._defaults = {
            name: parameter.default
            for cls in reversed(sensor.__mro__[:-1])
            for name, parameter in signature(cls).parameters.items()
            if parameter.default is not parameter.empty
        }

    def read(self, name: str) -> Any:
        """Return an argument."""
        if name in self._rendered:
            return self._rendered[name]
        given = getattr(self._task, "partial_kwargs", None)
        if given is not None:
            return given.get(name, self._defaults.get(name))
        return getattr(self._task, name, self._defaults.get(name))


def _sensor_class(task: Any, instance: TaskInstance) -> type[GateSensor[Any]]:
    if task is None:
        sensors = {sensor.__name__: sensor for sensor in (service.sensor_class() for service in WAITABLES)}
        found: Any = sensors.get(instance.operator or "")
    else:
        found = getattr(task, "operator_class", type(task))
    if not (isinstance(found, type) and issubclass(found, GateSensor)):
        raise NotExplainedError(f"The task is not a gate on image versions: it is a {instance.operator}.")
    return found


def _task(instance: TaskInstance, session: Session) -> tuple[Any, str | None]:
    """Read the task from the Dag's file; where that fails, return why, and what is assumed instead."""
    try:
        return _dag(instance, session).get_task(instance.task_id), None
    except Exception as error:  # noqa: BLE001  # reading a Dag's file runs its code
        return None, (
            "wait_until, allow_read_only and the intervals have their defaults here, because the Dag's file "
            f"cannot be read: {type(error).__name__}: {error}"
        )


def _dag(instance: TaskInstance, session: Session) -> Any:
    """Read the one file, and write nothing to the database, as `airflow tasks render` would."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    model = session.get(DagModel, instance.dag_id)
    if model is None or model.bundle_name is None or model.relative_fileloc is None:
        raise LookupError("Airflow has no path for it")
    bundle = DagBundlesManager().get_bundle(model.bundle_name)
    bundle.initialize()
    bag = _bag(str(bundle.path / model.relative_fileloc), bundle)
    if errors := list(bag.import_errors.values()):
        raise LookupError(errors[0].strip().splitlines()[-1])
    return bag.dags[instance.dag_id]


def _bag(file: str, bundle: BaseDagBundle) -> Any:
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:
        # Airflow 3.1 has one class for all Dag bags, in another place; 3.1.0 gives it no bundle's name.
        from airflow.models.dagbag import DagBag

        return DagBag(dag_folder=file, bundle_path=bundle.path)
    return BundleDagBag(dag_folder=file, bundle_path=bundle.path, bundle_name=bundle.name)


def _next_poll_of_task(instance: TaskInstance, settings: _Settings, session: Session) -> str:
    state = instance.state
    if state == TaskInstanceState.UP_FOR_RESCHEDULE:
        at = session.scalar(
            select(TaskReschedule.reschedule_date)
            .where(TaskReschedule.ti_id == instance.id)
            .order_by(TaskReschedule.id.desc())
            .limit(1)
        )
        return f"at {_time(at)}, when a worker is free" if at else "when a worker is free"
    if state == TaskInstanceState.RUNNING:
        every = _every(float(settings.read("poke_interval")), backoff=settings.read("exponential_backoff"))
        return f"{every}, by the worker on {instance.hostname}"
    if state in {TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, TaskInstanceState.SKIPPED}:
        return f"never: the task has ended ({state})"
    if state == TaskInstanceState.UP_FOR_RETRY:
        return f"at {_time(instance.next_retry_datetime())}, with the next try"
    return "when a worker picks up the task"


def _every(interval: float, *, backoff: bool) -> str:
    return f"every {interval:g} s at first, then less and less often" if backoff else f"every {interval:g} s"


def _state(instance: TaskInstance) -> str:
    state = str(instance.state or "not scheduled yet")
    return f"{state}, started at {_time(instance.start_date)}" if instance.start_date else state


def _time(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
