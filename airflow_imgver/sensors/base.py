"""The gate as an Airflow sensor: what both services' sensors share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    PokeReturnValue,
    conf,
)

from airflow_imgver.arguments import names_a_list
from airflow_imgver.exceptions import AwsCallError, TriggerFailedError, UnexpectedEventError
from airflow_imgver.gate import GATE_ERRORS, Gate
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.triggers.base import ImageVersionTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

HookT = TypeVar("HookT", bound=ImageVersionHook)

# The trigger times out by itself, and says what it last saw; Airflow's timeout is for one that is gone.
AIRFLOW_TIMEOUT_GRACE = timedelta(minutes=1)
# About a second of HealthImaging's budget.
LOOKED_AT_BY_THE_WORKER = 20


class ImageVersionSensor(AwsBaseSensor[HookT]):
    """
    Waits until a version is as the pipeline needs it, and returns its entry.

    A passing error (throttling, 5xx, connection trouble, HealthImaging's "not consistent yet") is waited out
    until ``timeout``; a permanent one fails the task at once.

    :param version: the version to watch: a number, digits, or a SageMaker ``ImageVersionArn``. None watches
        the latest, whichever that is at each look. With a list of ids, one for all or a list as long.
    :param wait_until: ``ready``: open when the version can be used, fail when it failed or was deleted.
        ``settled``: open when nothing is going on any more, whatever came of it. ``deleted``: open when it is
        gone.
    :param not_found_retries: how many polls in a row AWS may answer that there is no such thing before the
        gate fails; a new image set can take a moment to show.
    :param fail_fast: with a list of ids, fail at the first that fails; else when all are settled, with one
        error that names each.
    :param deferrable: wait in the triggerer instead of in a worker; the default is Airflow's
        ``[operators] default_deferrable``.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: botocore's client configuration, see
        https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
    """

    trigger_class: ClassVar[type[ImageVersionTrigger]]
    link_class: ClassVar[type[BaseAwsLink]]

    def __init__(
        self,
        *,
        version: int | str | None = None,
        wait_until: str = "ready",
        not_found_retries: int = 2,
        fail_fast: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.version = version
        self.wait_until = wait_until
        self.not_found_retries = not_found_retries
        self.fail_fast = fail_fast
        self.deferrable = deferrable
        self._gate: Gate | None = None

    # --- what a service's sensor adds ---

    def _identity(self) -> dict[str, Any]:
        """Return the fields that say what is watched."""
        return {field: getattr(self, field) for field in self.trigger_class.identity_fields}

    def _names_a_list(self) -> bool:
        *_, field = self.trigger_class.identity_fields
        return names_a_list(getattr(self, field), field)

    def _rule(self) -> dict[str, Any]:
        """Return what a service adds to the rule, for the gate and for the trigger."""
        return {}

    # --- the life of a gate ---

    def execute(self, context: Context) -> Any:
        """
        Wait, here or in the triggerer.

        :return: the version's entry with AWS's names and times as ISO 8601 text, or None where a gate on
            ``deleted`` found nothing at all; for a list of ids a list, in the order given.
        :raises InvalidIdentityError: an id, a name or the version cannot be one; before any request.
        :raises VersionFailedError: the version failed; with AWS's own reason.
        :raises VersionDeletedError: the version was deleted where the gate waits for it to be ready.
        :raises ResourceMissingError: AWS keeps saying that there is no such thing.
        :raises AwsCallError: a call failed and repeating it cannot help.
        """
        gate = self._gate = self._new_gate(context)
        if gate.first is None:
            self.log.info("Open: the list of ids is empty, and there is nothing to wait for.")
            return gate.plain()
        self._persist_link(context, gate.first)
        if self.deferrable:
            return self._wait_in_triggerer(context, gate)
        try:
            return super().execute(context=context)
        except AirflowSensorTimeout as error:
            timeout = AirflowSensorTimeout(f"{error} Last seen: {gate}")
            if self.never_fail:
                # Airflow skips a deferred sensor here, and only that; one gate must not end in two ways.
                raise AirflowSkipException(f"Skipping due to never_fail is set to True. {timeout}") from error
            raise timeout from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        gate = self._gate = self._gate or self._new_gate(context)
        try:
            opened = self._look(gate)
        except AwsCallError as error:
            if not error.transient:
                raise
            self.log.warning("%s This may pass; looking again at the next poke.", error)
            return PokeReturnValue(is_done=False)
        self.log.info("%s until %s: %s", "Open, waited" if opened else "Waiting", self.wait_until, gate)
        return PokeReturnValue(is_done=opened, xcom_value=gate.plain() if opened else None)

    def _look(self, gate: Gate) -> bool:
        try:
            return gate.look(self.hook)
        except AwsCallError as error:
            if not error.expired:
                raise
            self.log.info("%s Resolving the connection again.", error)
        del self.hook
        return gate.look(self.hook)

    def _persist_link(self, context: Context, identity: Mapping[str, str]) -> None:
        try:
            whereabouts = self.hook.whereabouts(identity)
        except AwsCallError as error:
            # A role that cannot be assumed, say: the look meets it too, and judges whether it may pass.
            self.log.warning("%s The task goes without its console link.", error)
        else:
            self.link_class.persist(context=context, operator=self, **whereabouts, **identity)

    def _new_gate(self, context: Context) -> Gate:
        # A rescheduled sensor is a new object at each look; only Airflow's count of them is left.
        spent = context.get("task_reschedule_count", 0) if self.reschedule else 0
        retries = self.not_found_retries
        return Gate(
            self.aws_hook_class,
            self._identity(),
            version=self.version,
            wait_until=self.wait_until,
            not_found_retries=max(0, retries - spent) if spent else retries,
            fail_fast=self.fail_fast,
            silent_fail=self.silent_fail,
            **self._rule(),
        )

    def _wait_in_triggerer(self, context: Context, gate: Gate) -> Any:
        deadline = datetime.now(UTC) + timedelta(seconds=self.timeout)
        # The first look is the worker's: what is settled needs no triggerer, and what is wrong fails here. Of
        # many it would keep the worker for minutes, and ask twice.
        try:
            first = self.poke(context) if gate.size <= LOOKED_AT_BY_THE_WORKER else PokeReturnValue(False)
        except Exception as error:
            if not self.silent_fail:
                self._end(error)
            self.log.exception("Waiting on, because silent_fail is set.")
        else:
            if first.is_done:
                return first.xcom_value
        return self.defer(
            trigger=self.trigger_class(
                **gate.stored,
                **self._rule(),
                wait_until=self.wait_until,
                not_found_retries=gate.retries_left,
                fail_fast=self.fail_fast,
                poke_interval=self.poke_interval,
                exponential_backoff=self.exponential_backoff,
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
                silent_fail=self.silent_fail,
                deadline=deadline.isoformat(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + AIRFLOW_TIMEOUT_GRACE,
        )

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Take the trigger's event for what it says, and nothing else for success.

        :raises UnexpectedEventError: there is no event, or not one of this package's.
        """
        match event:
            case {"status": "open", "entry": list() as entries} if self._names_a_list():
                return entries
            case {"status": "open", "entry": Mapping() | None as entry} if not self._names_a_list():
                return entry
            case {"status": "timeout", "message": str(message)}:
                self._end(AirflowSensorTimeout(message))
            case {"status": "error", "error": str(name), "message": str(message)} if name in _ERRORS:
                self._end(_ERRORS[name](message))
        raise UnexpectedEventError(
            f"the gate was resumed with {event!r}, which no trigger of this package sends; "
            "clear the task to wait again"
        )

    def _end(self, error: Exception) -> NoReturn:
        """Fail as poke mode would."""
        if self.never_fail:
            raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
        raise error


_ERRORS = {error.__name__: error for error in (*GATE_ERRORS, TriggerFailedError)}
