"""
A gate that finds its image sets by a search.

It searches when it starts. With ``settle_for``, it searches again when all that it has found are as it
waits for them and that many seconds have passed since the first search, or since the last one that found a
new one: where that finds nothing new, the gate opens; where it does, the gate starts again on all. The same
holds in each mode.

The worker searches. A trigger gets ids only, because Airflow stores its arguments, and what is searched for
may identify a patient.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, PokeReturnValue

from airflow_imgver.arguments.searches import WAYS, search_arguments, way_of
from airflow_imgver.exceptions import AwsCallError, NothingFoundError
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import GateSettings, Watch
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.sensors.base import ImageVersionSensor
from airflow_imgver.sensors.found import FoundIds, FoundStore
from airflow_imgver.text import counted

if TYPE_CHECKING:
    from airflow.sdk import Context

# More than the largest gate that was measured.
MANY = 10_000


class SearchingSensor(ImageVersionSensor[HealthImagingHook]):
    """
    The base of the gate on image sets, which writes out the arguments.

    ``way`` is the argument that names the image sets: ``image_set_id``, or one that a search goes by.
    """

    way: str
    datastore_id: str
    updated_after: datetime | str | None
    settle_for: float
    allow_empty: bool
    _found: FoundIds | None = None
    _store: FoundStore | None = None
    _until: datetime | None = None
    _trouble = ""

    @property
    def searches(self) -> bool:
        """Whether the image sets are found by a search."""
        return self.way != "image_set_id"

    @property
    def watch(self) -> Watch:
        """What the gate watches, and its settings, once the templates are rendered and the search is made."""
        if not self.searches:
            return super().watch
        found = [] if self._found is None else self._found.ids
        identity = {"datastore_id": self.datastore_id, "image_set_id": found}
        return Watch(self.service, identity, GateSettings.of(self.service, self))

    @classmethod
    def identity_of(cls, read: Callable[[str], Any], hook: HealthImagingHook) -> dict[str, Any]:
        """Search as the gate does."""
        identity = super().identity_of(read, hook)
        way = way_of({name: read(name) for name in WAYS}, updated_after=read("updated_after"))
        if way != "image_set_id":
            arguments = search_arguments(way, read(way), read("updated_after"))
            identity["image_set_id"] = list(hook.iter_image_set_ids(identity["datastore_id"], **arguments))
        return identity

    def execute(self, context: Context) -> Any:
        """
        Wait, here or in the triggerer; returns and raises what the base class does.

        :return: for a search a list of entries, in the order in which the image sets were found.
        :raises NothingFoundError: a search found nothing, and ``allow_empty`` is not set.
        """
        if not self.searches:
            return super().execute(context)
        self.service.check({"datastore_id": self.datastore_id}, only=("datastore_id",))
        _ = self._arguments
        if self.deferrable:
            return self._search_and_defer(context)
        return self._wait_here(context)

    # --- the search ---

    @property
    def _arguments(self) -> dict[str, Any]:
        return search_arguments(self.way, getattr(self, self.way), self.updated_after)

    def _search(self) -> list[str]:
        arguments = self._arguments
        return self._with_hook(lambda hook: list(hook.iter_image_set_ids(self.datastore_id, **arguments)))

    def _note(self, error: AwsCallError) -> None:
        """Log an error of a search that may pass; a permanent one fails the gate."""
        if not error.transient:
            self._fail(error)
        self._trouble = f"The last search failed with: {error.message}"
        self.log.warning("%s This may pass; searching again in a while. %s", error.message, error.about)

    @property
    def _last_seen(self) -> str:
        return super()._last_seen or self._trouble

    def _log_found(self, found: FoundIds, new: int) -> None:
        self.log.info(
            "The search by %s found %s, %d of them new, in data store %s.",
            self.way,
            counted(len(found.ids), "image set"),
            new,
            self.datastore_id,
        )
        if len(found.ids) > MANY:
            self.log.warning(
                "One gate on so many image sets needs much memory, and makes a large XCom. updated_after "
                "finds fewer."
            )

    def _open_on_none(self) -> list[Any]:
        """Open on an empty result, or raise."""
        if self.allow_empty:
            self.log.info("Open: the search by %s found no image set.", self.way)
            return []
        self._found = None
        raise NothingFoundError(
            f"SearchImageSets found no image set by {self.way}. Check its value and the data store. "
            "settle_for waits for image sets that are still to appear, and allow_empty=True opens the gate "
            "on none.",
            about=f"The search was in data store {self.datastore_id}.",
        )

    def _start_on(self, context: Context, found: FoundIds) -> Gate:
        """Begin to watch all that is found."""
        self._found = found
        gate = self._gate = self._new_gate(context)
        if gate.first is not None:
            self._persist_link(context, gate, gate.first)
        return gate

    # --- in a worker ---

    def poke(self, context: Context) -> PokeReturnValue:
        """Search where that is due, and poll once."""
        if not self.searches or self.deferrable:
            return super().poke(context)
        try:
            found = self._found or self._begin(context)
            poked = super().poke(context) if found.ids else PokeReturnValue(is_done=True)
            if poked.is_done and self.settle_for and not self._has_settled(context, found):
                return PokeReturnValue(is_done=False)
        except AwsCallError as error:
            self._note(error)
            return PokeReturnValue(is_done=False)
        return poked if found.ids else PokeReturnValue(is_done=True, xcom_value=self._open_on_none())

    def _begin(self, context: Context) -> FoundIds:
        """Search for the first time, or take in what an earlier poke found."""
        self._store = FoundStore(context) if self.reschedule else None
        found = self._store.read() if self._store else None
        if found is None:
            found = FoundIds(self._search())
            self._log_found(found, len(found.ids))
            if found.ids or self.settle_for:
                self._keep(found)
        self._start_on(context, found)
        return found

    def _keep(self, found: FoundIds) -> None:
        if self._store is not None:
            self._store.write(found)

    def _has_settled(self, context: Context, found: FoundIds) -> bool:
        """Search again when it is time to; True where nothing new has appeared."""
        early = max(0.0, found.since + self.settle_for - time.time())
        if early and (self._store is None or self._store.is_there):
            self.log.info("Waiting for another %.0f s, in case new ones appear.", early)
            return False
        # Airflow 3.1 and 3.2 keep nothing for a rescheduled gate, whose next poke would begin anew.
        time.sleep(min(early, self.timeout))
        if early > self.timeout:
            return False
        new = found.add(self._search())
        if new:
            self._log_found(found, new)
            self._keep(found)
            self._start_on(context, found)
        return not new

    # --- in the triggerer ---

    def _search_and_defer(self, context: Context) -> Any:
        deadline = self._until = self._deadline(context)
        try:
            found = FoundIds(self._search())
        except AwsCallError as error:
            self._note(error)
            return self._wait_for(context, FoundIds(), deadline, max(self.poke_interval, self.settle_for))
        self._log_found(found, len(found.ids))
        if self.settle_for:
            return self._wait_for(context, found, deadline, self.settle_for)
        if not found.ids:
            return self._end_on_none(context, deadline)
        return self._wait_in_triggerer(context, self._start_on(context, found))

    def _wait_for(self, context: Context, found: FoundIds, deadline: datetime, least: float) -> Any:
        """Wait in the triggerer for all that is found, and at least so many seconds; then search again."""
        gate = self._start_on(context, found)
        not_before = datetime.now(UTC) + timedelta(seconds=least)
        stored = {**gate.remaining.stored(), "not_before": not_before.isoformat()}
        return self._defer(stored, deadline, "execute_complete")

    def _end_on_none(self, context: Context, deadline: datetime) -> Any:
        try:
            return self._open_on_none()
        except NothingFoundError as error:
            if not self.silent_fail:
                self._fail(error)
            self.log.exception("Waiting on, because silent_fail is set.")
        return self._wait_for(context, FoundIds(), deadline, self.poke_interval)

    def _deadline(self, context: Context) -> datetime:
        return self._until or super()._deadline(context)

    @property
    def _waits_for_many(self) -> bool:
        return self.searches or super()._waits_for_many

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Return the entries of the trigger's event, or raise its error; search again where that is due.

        :raises UnexpectedEventError: there is no event, or no trigger of this package sent it.
        """
        entries = super().execute_complete(context, event)
        match event:
            case {"resume": {"ids": list() as ids, "deadline": str(deadline)}} if self.searches:
                self._until = datetime.fromisoformat(deadline)
                return self._search_again(context, entries, FoundIds(ids), self._until)
        return entries

    def _search_again(self, context: Context, entries: Any, known: FoundIds, deadline: datetime) -> Any:
        is_first = not known.ids
        try:
            new = known.add(self._search())
        except AwsCallError as error:
            self._note(error)
            return self._wait_for(context, known, deadline, self.poke_interval)
        if not new:
            return self._end_on_none(context, deadline) if is_first else entries
        self._log_found(known, new)
        if deadline <= datetime.now(UTC):
            self._fail(AirflowSensorTimeout("The gate timed out when a search had found new image sets."))
        if is_first and not self.settle_for:
            # The first search had failed.
            return self._wait_in_triggerer(context, self._start_on(context, known))
        return self._wait_for(context, known, deadline, self.settle_for)
