"""One run of a trigger, from its first look to its event. Nothing here is needed to go on after a restart."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sized
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_imgver.exceptions import AwsCallError, TriggerFailedError
from airflow_imgver.gate import GATE_ERRORS, Answer, Gate
from airflow_imgver.triggers.clients import Loan, borrow
from airflow_imgver.triggers.poller import Inbox, Interest, Poller
from airflow_imgver.triggers.schedule import SOONEST_FIRST_LOOK, Schedule

if TYPE_CHECKING:
    from airflow_imgver.triggers.base import ImageVersionTrigger

SECONDS_BETWEEN_LOG_LINES = 60.0
# A gate on many ids changes with every answer; a line for each would drown the log.
SECONDS_BETWEEN_CHANGES_OF_MANY = 10.0
# No look comes sooner than twice that.
LONGEST_START = SOONEST_FIRST_LOOK / 2
# Some milliseconds' work; a gate on ten thousand ids must not hold up the loop.
IDS_A_TURN = 500
PASSING_ERRORS_A_LOG_LINE = 100


class Wait:
    """
    Waits for what a trigger describes.

    :param trigger: its arguments, and the log that is the task's.
    """

    __slots__ = (
        "_inbox",
        "_interests",
        "_loan",
        "_passing",
        "_poller",
        "_renewed",
        "_silenced",
        "_since",
        "_told",
        "_told_at",
        "_trigger",
    )

    def __init__(self, trigger: ImageVersionTrigger) -> None:
        self._trigger = trigger
        self._inbox = Inbox()
        self._interests: dict[Interest, Schedule] = {}
        self._poller: Poller | None = None
        self._loan: Loan | None = None
        self._renewed = False
        # No sooner than the first look of its own would be, though others may look before.
        soonest = min(SOONEST_FIRST_LOOK, trigger.poke_interval)
        self._since = asyncio.get_running_loop().time() + soonest
        self._passing = 0
        self._silenced = 0
        self._told = ""
        self._told_at = float("-inf")

    async def event(self) -> dict[str, Any]:
        """Wait, and return what the trigger's event says."""
        try:
            # Ten thousand gates that are released together would keep the loop busy for a second.
            await asyncio.sleep(random.uniform(0.0, min(LONGEST_START, self._trigger.poke_interval / 2)))
            return await self._outcome(await self._gate())
        except GATE_ERRORS as error:
            return _error_event(error)
        except Exception as error:
            # Left to Airflow it would be an AirflowException in the task, and soft_fail would make it a skip.
            self._trigger.log.exception("The trigger failed")
            return _error_event(TriggerFailedError(f"{type(error).__name__}: {error}"))
        finally:
            self._end()

    async def _gate(self) -> Gate:
        """Read the arguments; what takes long, of many ids, not on the loop."""
        *_, ids = self._trigger.identity().values()
        many = isinstance(ids, Sized) and len(ids) > IDS_A_TURN
        return await asyncio.to_thread(self._trigger.gate) if many else self._trigger.gate()

    async def _outcome(self, gate: Gate) -> dict[str, Any]:
        setup = self._new_schedule()
        while not gate.is_open:
            if self._left() <= 0:
                return {"status": "timeout", "message": f"The gate timed out. Last seen: {gate}"}
            try:
                if self._poller is None:
                    await self._begin(gate)
                for interest, answer in await self._inbox.get(self._patience(gate)):
                    self._take(gate, interest, answer)
            except AwsCallError as error:
                # Of the connection, a role that cannot be assumed say, or of credentials that expired.
                await self._start_over(setup, error)
            if not gate.is_open:
                self._tell(gate)
        self._trigger.log.info("Open, waited until %s: %s", self._trigger.wait_until, gate)
        many = gate.size > IDS_A_TURN
        return {"status": "open", "entry": await asyncio.to_thread(gate.plain) if many else gate.plain()}

    # --- looks ---

    async def _begin(self, gate: Gate) -> None:
        """Borrow a poller, and have it look after all that is unsettled."""
        old, self._loan = self._loan, None
        try:
            self._poller, self._loan = await borrow(self._trigger.hook(), instead_of=old)
        finally:
            if old is not None:
                old.give_back()
        for number, watched in enumerate(gate.unsettled, start=1):
            interest = Interest(watched, self._inbox, self._since, self._trigger.poke_interval)
            schedule = self._interests[interest] = self._new_schedule()
            self._poller.look_after(interest, schedule.first())
            if number % IDS_A_TURN == 0:
                await asyncio.sleep(0)

    def _take(self, gate: Gate, interest: Interest, answer: Answer) -> None:
        """Take in an answer, and plan the next look where one is needed."""
        schedule = self._interests.get(interest)
        if schedule is None or self._poller is None:
            return  # It was on its way when the credentials expired.
        if isinstance(answer, AwsCallError) and answer.expired:
            raise answer
        # Another wait's look: it may open the gate, and counts for neither retries nor backoff.
        early = interest.waits_for_its_turn
        if early and isinstance(answer, Exception):
            return
        if isinstance(answer, AwsCallError) and answer.transient:
            self._poller.look_after(interest, self._pause_after(schedule, answer, gate))
            return
        self._renewed = False
        self._judge(gate, interest, answer)
        if interest.watched.settled:
            self._poller.forget(interest)
            del self._interests[interest]
        elif not early:
            self._poller.look_after(interest, schedule.after_look())

    def _judge(self, gate: Gate, interest: Interest, answer: Answer) -> None:
        try:
            gate.judge(interest.watched, answer)
        except GATE_ERRORS as error:
            if not self._trigger.silent_fail:
                raise
            self._silenced += 1
            if not gate.is_list or self._silenced % PASSING_ERRORS_A_LOG_LINE == 1:
                self._trigger.log.error("%s Waiting on, because silent_fail is set.", error)

    def _pause_after(self, schedule: Schedule, error: AwsCallError, gate: Gate) -> float:
        self._passing += 1
        pause = schedule.after_error()
        if not gate.is_list or self._passing % PASSING_ERRORS_A_LOG_LINE == 1:
            self._trigger.log.warning(
                "%s This may pass (%d so far, %d in a row); looking again in %.0f s.",
                error,
                self._passing,
                schedule.errors,
                pause,
            )
        return pause

    async def _start_over(self, setup: Schedule, error: AwsCallError) -> None:
        """Borrow a new poller: at once where credentials expired, later where an error may pass."""
        self._forget_all()
        if error.expired and not self._renewed:
            self._renewed = True
            self._trigger.log.info("%s Resolving the connection again.", error)
        elif error.transient:
            pause = min(setup.after_error(), max(0.0, self._left()))
            self._trigger.log.warning("%s This may pass; trying again in %.0f s.", error, pause)
            await asyncio.sleep(pause)
        else:
            raise error

    def _forget_all(self) -> None:
        if self._poller is not None:
            for interest in self._interests:
                self._poller.forget(interest)
        self._interests.clear()
        self._poller = None

    def _end(self) -> None:
        self._forget_all()
        if self._loan is not None:
            self._loan.give_back()
            self._loan = None

    # --- time and words ---

    def _new_schedule(self) -> Schedule:
        trigger = self._trigger
        return Schedule(
            trigger.poke_interval, exponential_backoff=trigger.exponential_backoff, max_wait=trigger.max_wait
        )

    def _left(self) -> float:
        """Seconds to the deadline."""
        if self._trigger.deadline is None:
            return float("inf")
        return datetime.fromisoformat(self._trigger.deadline).timestamp() - time.time()

    def _patience(self, gate: Gate) -> float | None:
        """How long to wait for an answer before there is something else to do."""
        patience = self._left()
        if gate.is_list:
            patience = min(patience, SECONDS_BETWEEN_LOG_LINES)
        return None if patience == float("inf") else max(0.0, patience)

    def _tell(self, gate: Gate) -> None:
        """Log what is waited for when it changes, and else once a minute."""
        now = asyncio.get_running_loop().time()
        if gate.is_list and now - self._told_at < SECONDS_BETWEEN_CHANGES_OF_MANY:
            return
        seen = str(gate)
        if seen != self._told or now - self._told_at >= SECONDS_BETWEEN_LOG_LINES:
            self._told, self._told_at = seen, now
            self._trigger.log.info(
                "Waiting until %s: %s%s", self._trigger.wait_until, seen, self._next_look()
            )

    def _next_look(self) -> str:
        due = min((interest.due for interest in self._interests), default=float("inf"))
        if due == float("inf"):
            return ""
        return f"; next look in {max(0.0, due - asyncio.get_running_loop().time()):.0f} s"


def _error_event(error: Exception) -> dict[str, Any]:
    return {"status": "error", "error": type(error).__name__, "message": str(error)}
