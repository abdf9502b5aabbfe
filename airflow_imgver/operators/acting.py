"""Acting, and waiting for what AWS makes of it: the base of the operators that change something."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, PokeReturnValue

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.operators.record import ActionRecord
from airflow_imgver.operators.started import NotYet, Started
from airflow_imgver.operators.starting import StartingTask
from airflow_imgver.text import as_plain
from airflow_imgver.triggers.turn import TurnTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

HookT = TypeVar("HookT", bound=ImageVersionHook)


class ActingOperator(StartingTask[HookT]):
    """
    Acts once, then waits with the gate for the version that AWS makes.

    A retry goes on with what an earlier try started, and acts again only where that failed at AWS. On Airflow
    3.3 and newer this also holds after a worker was killed; see the page "Acting".

    Until the action can start (another change holds the image set, too many requests for AWS) and until it is
    complete, ``timeout`` applies to the whole, and the arguments of the sensors decide where the task waits:
    ``deferrable``, ``mode``, ``poke_interval``.

    :param wait_for_completion: wait until AWS has finished; else return when AWS has accepted the request.
    :param not_found_retries: how many polls in a row AWS may answer that what it makes does not exist.
    :param deferrable: wait in the triggerer instead of in a worker; the default is Airflow's
        ``[operators] default_deferrable``.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration, see
        https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
    """

    def __init__(self, *, wait_for_completion: bool = True, **kwargs: Any) -> None:
        super().__init__(fail_fast=False, **kwargs)
        self.wait_for_completion = wait_for_completion
        self._started: Started | None = None
        self._obstacle = ""

    # --- acting ---

    def execute(self, context: Context) -> Any:
        """
        Act, and wait.

        :return: the version's entry, with AWS's names and times as ISO 8601 text.
        :raises InvalidIdentityError: an id or a version cannot be valid; before any request.
        :raises ValueError: another argument cannot; before any request.
        :raises NotLatestVersionError: another writer changed the image set first.
        :raises UnknownOutcomeError: the answer to an earlier call was lost, and its outcome cannot be known.
        :raises VersionFailedError: AWS started and failed; with AWS's own reason.
        :raises AwsCallError: a call failed, and repeating it cannot help.
        """
        self._begin(context)
        return self._go_on(context) if self.deferrable else self._wait_here(context)

    def _begin(self, context: Context) -> None:
        self._request = self._read()
        self._record = ActionRecord(context, self._request)
        if self.reschedule and not self._record.is_stored:
            raise ValueError(
                "mode='reschedule' needs Airflow 3.3 or newer here: earlier releases keep nothing of what a "
                "task has started. Set deferrable=True, or mode='poke'."
            )

    def poke(self, context: Context) -> PokeReturnValue:
        """Act, unless that is done; then poll once."""
        if self._gate is None:
            try:
                self._act(context)
            except NotYet as obstacle:
                self.log.info("Not started yet: %s", obstacle)
                self._obstacle = str(obstacle)
                return PokeReturnValue(is_done=False)
        if not self.wait_for_completion:
            return PokeReturnValue(is_done=True, xcom_value=self._accepted())
        polled = super().poke(context)
        if polled.is_done:
            self._record.finish()
        return polled

    def _go_on(self, context: Context) -> Any:
        """Act, and wait in the triggerer, for a chance to act too."""
        try:
            self._act(context)
        except NotYet as obstacle:
            self._wait_to_act(context, obstacle)
        except Exception as error:  # noqa: BLE001  # as poke mode does under never_fail
            self._fail(error)
        if not self.wait_for_completion:
            return self._accepted()
        assert self._gate is not None  # noqa: S101  # _act made it
        return self._wait_in_triggerer(context, self._gate)

    def _wait_to_act(self, context: Context, obstacle: NotYet) -> NoReturn:
        deadline = self._deadline(context)
        if deadline <= datetime.now(UTC):
            self._fail(AirflowSensorTimeout(f"The action could not be started in time. {obstacle}"))
        self.log.info("Not started yet: %s", obstacle)
        if obstacle.busy is not None:
            settled = GateSettings(wait_until="settled", not_found_retries=self.not_found_retries)
            watch = Watch(self.service, obstacle.busy, settled)
            self._defer(watch.stored(), deadline, "act_again")
        self.defer(
            trigger=TurnTrigger(
                service=self.service.client_type,
                operation=self.operation,
                pause=None if obstacle.throttled else self.poke_interval,
                deadline=deadline.isoformat(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="act_again",
            timeout=deadline - datetime.now(UTC) + timedelta(minutes=1),
        )

    def act_again(self, context: Context, event: Any = None) -> Any:
        """
        Try again to act, after a wait in the triggerer.

        :raises UnexpectedEventError: there is no event, or no trigger of this package sent it.
        """
        match event:
            case {"status": "turn"}:
                pass
            case _:
                super().execute_complete(context, event)
        self._begin(context)
        return self._go_on(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Return the entry of the trigger's event, or raise its error; nothing else counts as success.

        :raises UnexpectedEventError: there is no event, or no trigger of this package sent it.
        """
        self._begin(context)
        result = super().execute_complete(context, event)
        self._record.finish()
        return result

    def _act(self, context: Context) -> None:
        """
        Start the action, or find what this task has started, and make the gate on it.

        :raises NotYet: a later attempt may succeed.
        """
        started = self._started = self._start_once()
        gate = self._gate = self._new_gate(context)
        self._persist_link(context, gate, started.identity)

    # --- waiting ---

    @classmethod
    def identity_of(cls, read: Callable[[str], Any], hook: HookT) -> dict[str, Any]:
        """
        Refuse to name what a task that is not deferred has started: no argument of the task says it.

        :raises InvalidIdentityError: always.
        """
        raise InvalidIdentityError(
            f"What a {cls.operation} task has started is in the task's log. It can be explained while the "
            "task is deferred."
        )

    @property
    def watch(self) -> Watch:
        """What the gate watches: the version that AWS makes."""
        started = self._started
        assert started is not None  # noqa: S101  # _act sets it first
        settings = GateSettings(
            version=started.version,
            wait_until=self.waits_until,
            not_found_retries=self.not_found_retries,
            silent_fail=self.silent_fail,
        )
        return Watch(self.service, started.identity, settings)

    @property
    def _waits_for_many(self) -> bool:
        return False

    @property
    def _last_seen(self) -> str:
        return super()._last_seen or f"The action could not be started. {self._obstacle}".rstrip()

    def _deadline(self, context: Context) -> datetime:
        """Count from the task's start, which Airflow keeps while a task is deferred."""
        began = getattr(context["ti"], "start_date", None) or datetime.now(UTC)
        return began + timedelta(seconds=self.timeout)

    def _accepted(self) -> Any:
        assert self._started is not None  # noqa: S101  # _act sets it first
        self._record.finish()
        return as_plain(self._started.entry) or None
