"""The gate as an Airflow sensor: the base of the services' sensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    PokeReturnValue,
    conf,
)

from airflow_imgver.arguments.identities import is_list, wait_until_value
from airflow_imgver.exceptions import AwsCallError, UnexpectedEventError
from airflow_imgver.gate.events import error_of
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.sensors.not_found import NotFoundAnswers
from airflow_imgver.services.waitable import Waitable
from airflow_imgver.triggers.base import GateTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

HookT = TypeVar("HookT", bound=ImageVersionHook)
T = TypeVar("T")

# The trigger times out by itself, and says what it last saw; Airflow's timeout is for a lost trigger.
AIRFLOW_TIMEOUT_GRACE = timedelta(minutes=1)
# About a second of HealthImaging's budget.
POLLED_BY_THE_WORKER = 20
# Where Airflow keeps nothing from one poke to the next, a worker waits so long for "not found" to pass.
LONGEST_PAUSE_IN_WORKER = 60.0


class GateSensor(AwsBaseSensor[HookT]):
    """
    Waits for something of AWS's, and returns what it waited for.

    A passing error (throttling, 5xx, connection trouble, HealthImaging's "not consistent yet") is waited out
    until ``timeout``; a permanent one fails the task at once.

    :param not_found_retries: how many polls in a row AWS may answer that it does not exist before the gate
        fails; a new image set can take a while to show.
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

    service: ClassVar[Waitable]
    trigger_class: ClassVar[type[GateTrigger]]
    link_class: ClassVar[type[BaseAwsLink]]

    def __init__(
        self,
        *,
        not_found_retries: int = 2,
        fail_fast: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.not_found_retries = not_found_retries
        self.fail_fast = fail_fast
        self.deferrable = deferrable
        self._gate: Gate | None = None
        self._not_found: NotFoundAnswers | None = None

    @property
    def watch(self) -> Watch:
        """What the gate watches, and its settings, once the templates are rendered."""
        identity = {name: getattr(self, name) for name in self.service.identity_names}
        return Watch(self.service, identity, GateSettings.of(self.service, self))

    @classmethod
    def identity_of(cls, read: Callable[[str], Any], hook: HookT) -> dict[str, Any]:
        """
        Return the identity of a gate from its arguments, for a command that explains it.

        :param read: returns an argument, rendered.
        :param hook: a hook with the gate's connection, for what is found by a search.
        """
        return {name: read(name) for name in cls.service.identity_names}

    def execute(self, context: Context) -> Any:
        """
        Wait, here or in the triggerer.

        :return: the version's entry with AWS's names and times as ISO 8601 text, or None where a gate on
            ``deleted`` found nothing; for a list of ids a list, in the order given.
        :raises InvalidIdentityError: an id, a name or the version cannot be valid; before any request.
        :raises VersionFailedError: the version failed; with AWS's own reason.
        :raises VersionDeletedError: the version was deleted, and the gate waits until it is ready.
        :raises ResourceMissingError: AWS keeps answering that it does not exist.
        :raises AwsCallError: a call failed, and repeating it cannot help.
        """
        gate = self._gate = self._new_gate(context)
        if gate.first is None:
            self.log.info("Open: the list of ids is empty.")
            return self._result(gate.plain())
        self._persist_link(context, gate, gate.first)
        if self.deferrable:
            return self._wait_in_triggerer(context, gate)
        return self._wait_here(context)

    def _wait_here(self, context: Context) -> Any:
        """Poke until the gate opens, in a worker."""
        try:
            return super().execute(context=context)
        except AirflowSensorTimeout as error:
            timeout = AirflowSensorTimeout(f"{error} {self._last_seen}")
            if self.never_fail:
                # Airflow only skips a deferred sensor here; a gate must end the same in all modes.
                raise AirflowSkipException(f"Skipping due to never_fail is set to True. {timeout}") from error
            raise timeout from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once."""
        gate = self._gate = self._gate or self._new_gate(context)
        try:
            opened = self._poll(gate)
        except AwsCallError as error:
            if not error.transient:
                raise
            self.log.warning(
                "%s This may pass; polling again at the next poke. %s", error.message, error.about
            )
            return PokeReturnValue(is_done=False)
        self.log.info("%s until %s: %s", "Open, waited" if opened else "Waiting", gate.wait_until, gate)
        return PokeReturnValue(is_done=opened, xcom_value=self._result(gate.plain()) if opened else None)

    @property
    def _last_seen(self) -> str:
        """What a timeout reports."""
        return self._gate.last_seen if self._gate else ""

    def _poll(self, gate: Gate) -> bool:
        opened = self._poll_once(gate)
        if self._not_found is not None:
            while not opened and gate.not_found_answers and not self._not_found.are_kept:
                self.log.info("Waiting until %s: %s", gate.wait_until, gate)
                time.sleep(min(self.poke_interval, LONGEST_PAUSE_IN_WORKER))
                opened = self._poll_once(gate)
            self._not_found.keep(gate)
        return opened

    def _poll_once(self, gate: Gate) -> bool:
        return self._with_hook(gate.poll)

    def _with_hook(self, call: Callable[[HookT], T]) -> T:
        """Call with the hook; where credentials expired, once more with those of the connection now."""
        try:
            return call(self.hook)
        except AwsCallError as error:
            if not error.expired:
                raise
            self.log.info("%s Resolving the connection again. %s", error.message, error.about)
        del self.hook
        return call(self.hook)

    def _persist_link(self, context: Context, gate: Gate, identity: Mapping[str, str]) -> None:
        try:
            address = self.hook.console_address(self.service.describe(identity))
        except AwsCallError as error:
            # For example a role that cannot be assumed: the poll meets it too, and judges if it may pass.
            self.log.warning("No console link for this task: %s", error)
        else:
            gate.check_region(address["region_name"])
            self.link_class.persist(context=context, operator=self, **address, **identity)

    def _new_gate(self, context: Context) -> Gate:
        gate = self.watch.gate()
        if self.reschedule:
            self._not_found = NotFoundAnswers(context)
            self._not_found.restore(gate)
        return gate

    def _wait_in_triggerer(self, context: Context, gate: Gate) -> Any:
        deadline = self._deadline(context)
        # The first poll is the worker's: a settled version needs no triggerer, and an error fails here. Of
        # many ids it would keep the worker for minutes, and poll twice.
        try:
            first = self.poke(context) if gate.size <= POLLED_BY_THE_WORKER else PokeReturnValue(False)
        except Exception as error:
            if not self.silent_fail:
                self._fail(error)
            self.log.exception("Waiting on, because silent_fail is set.")
        else:
            if first.is_done:
                return first.xcom_value
        return self._defer(gate.remaining.stored(), deadline, "execute_complete")

    def _deadline(self, context: Context) -> datetime:
        """When the wait in the triggerer is over."""
        return datetime.now(UTC) + timedelta(seconds=self.timeout)

    def _defer(self, stored: Mapping[str, Any], deadline: datetime, method: str) -> NoReturn:
        """
        Defer to a gate in the triggerer.

        :param stored: what it watches, as a trigger's keyword arguments store it.
        :param deadline: when it times out.
        :param method: the method that Airflow resumes the task with.
        """
        self.defer(
            trigger=self.trigger_class(
                **stored,
                poke_interval=self.poke_interval,
                exponential_backoff=self.exponential_backoff,
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
                deadline=deadline.isoformat(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name=method,
            # In whole seconds, as a first poll has taken a part of one.
            timeout=timedelta(seconds=max(0, ceil((deadline - datetime.now(UTC)).total_seconds())))
            + AIRFLOW_TIMEOUT_GRACE,
        )

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Return the entry of the trigger's event, or raise its error; nothing else counts as success.

        :raises UnexpectedEventError: there is no event, or no trigger of this package sent it.
        """
        many = self._waits_for_many
        match event:
            case {"status": "open", "entry": list() as entries} if many:
                return self._result(entries)
            case {"status": "open", "entry": Mapping() | None as entry} if not many:
                return self._result(entry)
            case {"status": "timeout", "message": str(message)}:
                self._fail(AirflowSensorTimeout(message))
            case {"status": "error", "error": str(name), "message": str(message), **rest}:
                if error := error_of(name, message, rest.get("details")):
                    self._fail(error)
        raise UnexpectedEventError(
            f"The gate was resumed with {event!r}, and no trigger of this package sends that. "
            "Clear the task to wait again."
        )

    def _result(self, found: Any) -> Any:
        """
        Return what the task returns.

        :param found: the entry of the one, or the entries of the list in the order given, as plain JSON.
        """
        return found

    @property
    def _waits_for_many(self) -> bool:
        """Whether the gate is on a list."""
        key = self.service.key.name
        return is_list(getattr(self, key), key)

    def _fail(self, error: Exception) -> NoReturn:
        """Fail as poke mode would."""
        if self.never_fail:
            raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
        raise error


class ImageVersionSensor(GateSensor[HookT]):
    """
    Waits until a version is as the pipeline needs it, and returns its entry.

    Takes the arguments of :class:`GateSensor` too.

    :param version: the version to watch: a number, digits, or a SageMaker ``ImageVersionArn``. None watches
        the latest version at each poll. With a list of ids, one for all or a list as long.
    :param wait_until: ``ready``: open when the version can be used, fail when it failed or was deleted.
        ``settled``: open when the version is no longer busy, failed or not. ``deleted``: open when it is
        deleted.
    """

    def __init__(self, *, version: int | str | None = None, wait_until: str = "ready", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version
        # Not a template, so a typing error shows when the Dag is parsed.
        self.wait_until = wait_until_value(wait_until)
