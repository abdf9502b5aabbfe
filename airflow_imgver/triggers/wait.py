"""One run of a trigger, from its first poll to its event. Nothing here is needed to go on after a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sized
from operator import attrgetter
from typing import Any

from airflow_imgver.exceptions import AwsCallError, GateError, TriggerFailedError
from airflow_imgver.gate.events import error_event, open_event, timeout_event
from airflow_imgver.gate.gate import Gate
from airflow_imgver.gate.settings import Watch
from airflow_imgver.gate.watched import Answer
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.text import sentence
from airflow_imgver.triggers.clients import SharedPoller, acquire_poller
from airflow_imgver.triggers.poller import Inbox, Interest, Poller
from airflow_imgver.triggers.schedule import SOONEST_FIRST_POLL, Pace, Schedule

SECONDS_BETWEEN_LOG_LINES = 60.0
# A gate on many ids changes with every answer; a line for each would flood the log.
SECONDS_BETWEEN_CHANGES_OF_MANY = 10.0
# No poll comes sooner than twice that.
LONGEST_START = SOONEST_FIRST_POLL / 2
# Some milliseconds' work; a gate on ten thousand ids must not block the loop.
IDS_A_TURN = 500
PASSING_ERRORS_A_LOG_LINE = 100


class Wait:
    """
    Waits for one gate.

    :param watch: what the gate watches, and its settings.
    :param pace: how often it polls, and until when.
    :param new_hook: makes a hook with the trigger's connection settings.
    :param log: the task's log.
    """

    __slots__ = (
        "_inbox",
        "_interests",
        "_log",
        "_logged",
        "_logged_at",
        "_new_hook",
        "_pace",
        "_passing",
        "_poller",
        "_renewed",
        "_shared",
        "_silenced",
        "_since",
        "_watch",
    )

    def __init__(self, watch: Watch, pace: Pace, new_hook: Callable[[], ImageVersionHook], log: Any) -> None:
        self._watch = watch
        self._pace = pace
        self._new_hook = new_hook
        self._log = log
        self._inbox = Inbox()
        self._interests: dict[Interest, Schedule] = {}
        self._poller: Poller | None = None
        self._shared: SharedPoller | None = None
        self._renewed = False
        # No sooner than the first poll of its own would be, though others may poll before.
        self._since = asyncio.get_running_loop().time() + pace.soonest
        self._passing = 0
        self._silenced = 0
        self._logged = ""
        self._logged_at = float("-inf")

    async def event(self) -> dict[str, Any]:
        """Wait, and return the trigger's event."""
        try:
            # Ten thousand gates that are released together would keep the loop busy for a second.
            await asyncio.sleep(random.uniform(0.0, min(LONGEST_START, self._pace.poke_interval / 2)))
            return await self._outcome(await self._gate())
        except GateError as error:
            return error_event(error)
        except Exception as error:  # noqa: BLE001  # every error must reach the task
            # Left to Airflow it would be an AirflowException in the task, and soft_fail would make it a skip.
            self._log.exception("The trigger failed")
            return error_event(TriggerFailedError(sentence(f"{type(error).__name__}: {error}")))
        finally:
            self._end()

    async def _gate(self) -> Gate:
        """Check the arguments; of many ids not on the loop, because that takes long."""
        ids = self._watch.identity[self._watch.service.key.name]
        many = isinstance(ids, Sized) and len(ids) > IDS_A_TURN
        return await asyncio.to_thread(self._watch.gate) if many else self._watch.gate()

    async def _outcome(self, gate: Gate) -> dict[str, Any]:
        setup: Schedule | None = None
        while not gate.is_open:
            if self._pace.left() <= 0:
                return timeout_event(f"The gate timed out. {gate.last_seen}")
            try:
                if self._poller is None:
                    await self._begin(gate)
                for interest, answer in await self._inbox.get(self._patience(gate)):
                    self._take(gate, interest, answer)
            except AwsCallError as error:
                # Of the connection, for example a role that cannot be assumed, or expired credentials.
                setup = setup or Schedule(self._pace)
                await self._start_over(setup, error)
            if not gate.is_open:
                self._log_waiting(gate)
        self._log.info("Open, waited until %s: %s", self._watch.settings.wait_until, gate)
        if self._pace.not_before is not None and not await self._may_open():
            return timeout_event(f"The gate timed out. {gate.last_seen}")
        many = gate.size > IDS_A_TURN
        return open_event(
            await asyncio.to_thread(gate.plain) if many else gate.plain(),
            resume=None if self._pace.not_before is None else self._resume(),
        )

    async def _may_open(self) -> bool:
        """Wait until the gate may open; returns whether that is before its deadline."""
        self._end()
        early = self._pace.early()
        if early > 0:
            self._log.info("Waiting for another %.0f s, in case new ones appear.", early)
            await asyncio.sleep(min(early, max(0.0, self._pace.left())))
        return self._pace.left() > 0

    def _resume(self) -> dict[str, Any]:
        """Return what the sensor needs to go on, which keeps nothing of its own."""
        return {"ids": self._watch.identity[self._watch.service.key.name], "deadline": self._pace.deadline}

    # --- polls ---

    async def _begin(self, gate: Gate) -> None:
        """Acquire a poller, and plan the first poll of all that is unsettled."""
        old, self._shared = self._shared, None
        try:
            self._poller, self._shared = await acquire_poller(self._new_hook(), instead_of=old)
        finally:
            if old is not None:
                old.release()
        for number, watched in enumerate(gate.unsettled, start=1):
            interest = Interest(watched, self._inbox, self._since, self._pace.poke_interval)
            schedule = self._interests[interest] = Schedule(self._pace)
            self._poller.poll_in(interest, schedule.first_of_many() if gate.is_list else schedule.first())
            if number % IDS_A_TURN == 0:
                await asyncio.sleep(0)

    def _take(self, gate: Gate, interest: Interest, answer: Answer) -> None:
        """Take in an answer, and plan the next poll where one is needed."""
        schedule = self._interests.get(interest)
        if schedule is None or self._poller is None:
            return  # It was on its way when the credentials expired.
        if isinstance(answer, AwsCallError) and answer.expired:
            raise answer
        # Another wait's poll: it may open the gate, and counts for neither retries nor backoff.
        early = interest.waits_for_its_turn
        if early and isinstance(answer, Exception):
            return
        if isinstance(answer, AwsCallError) and answer.transient:
            gate.note(answer)
            self._poller.poll_in(interest, self._pause_after(schedule, answer, gate))
            return
        self._renewed = False
        self._judge(gate, interest, answer)
        if interest.watched.settled:
            self._poller.forget(interest)
            del self._interests[interest]
        elif not early:
            self._poller.poll_in(interest, schedule.after_poll())

    def _judge(self, gate: Gate, interest: Interest, answer: Answer) -> None:
        try:
            gate.judge(interest.watched, answer)
        except GateError as error:
            if not self._watch.settings.silent_fail:
                raise
            self._silenced += 1
            if not gate.is_list or self._silenced % PASSING_ERRORS_A_LOG_LINE == 1:
                self._log.error("Waiting on, because silent_fail is set: %s", error)

    def _pause_after(self, schedule: Schedule, error: AwsCallError, gate: Gate) -> float:
        self._passing += 1
        pause = schedule.after_throttling() if error.throttled else schedule.after_error()
        if not gate.is_list or self._passing % PASSING_ERRORS_A_LOG_LINE == 1:
            self._log.warning(
                "%s This may pass (%d so far, %d in a row); next poll in %.0f s. %s",
                error.message,
                self._passing,
                schedule.errors,
                pause,
                error.about,
            )
        return pause

    async def _start_over(self, setup: Schedule, error: AwsCallError) -> None:
        """Acquire a new poller: at once where credentials expired, later where an error may pass."""
        self._forget_all()
        if error.expired and not self._renewed:
            self._renewed = True
            self._log.info("%s Resolving the connection again. %s", error.message, error.about)
        elif error.transient:
            pause = min(setup.after_error(), max(0.0, self._pace.left()))
            self._log.warning(
                "%s This may pass; trying again in %.0f s. %s", error.message, pause, error.about
            )
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
        if self._shared is not None:
            self._shared.release()
            self._shared = None

    # --- time and log ---

    def _patience(self, gate: Gate) -> float | None:
        """How long to wait for an answer before there is something else to do."""
        patience = self._pace.left()
        if gate.is_list:
            patience = min(patience, SECONDS_BETWEEN_LOG_LINES)
        return None if patience == float("inf") else max(0.0, patience)

    def _log_waiting(self, gate: Gate) -> None:
        """Log the news when they change, and else once a minute."""
        now = asyncio.get_running_loop().time()
        if gate.is_list and now - self._logged_at < SECONDS_BETWEEN_CHANGES_OF_MANY:
            return
        news = gate.news
        if news != self._logged or now - self._logged_at >= SECONDS_BETWEEN_LOG_LINES:
            self._logged, self._logged_at = news, now
            self._log.info(
                "Waiting until %s: %s%s%s",
                self._watch.settings.wait_until,
                news,
                self._next_poll(now),
                f": {gate.about}" if gate.about else "",
            )

    def _next_poll(self, now: float) -> str:
        first = min(self._interests, key=attrgetter("due"), default=None)
        if first is None or first.due == float("inf"):
            return ""
        seconds = f"{max(0.0, first.due - now):.0f} s"
        if first.is_searched_for:
            return f", next poll when a search shows a change, at the latest in {seconds}"
        return f", next poll in {seconds}"
