"""What a watcher does when AWS or Airflow refuses: one line in the log, and again after a growing pause."""

from __future__ import annotations

from typing import Any

from airflow_imgver.exceptions import AwsCallError, GateError
from airflow_imgver.text import sentence
from airflow_imgver.triggers.schedule import Pace, Schedule

SHORTEST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
# What passes by itself should not cost minutes after it has passed.
LONGEST_TRANSIENT_PAUSE = 30.0


class Trouble:
    """
    The failures in a row of one thing that a watcher does.

    Nothing may leave a watcher: Airflow ends a trigger that raises, and starts another a second later, for
    ever and with nothing that it knew.

    :param log: the trigger's log.
    :param doing: what fails, for example ``read the queue``.
    """

    def __init__(self, log: Any, doing: str) -> None:
        self._log = log
        self._doing = doing
        self._schedule = Schedule(Pace(poke_interval=SHORTEST_PAUSE))
        self._said = ""

    @property
    def is_on(self) -> bool:
        """Whether the last try failed."""
        return self._schedule.errors > 0

    def pause(self, error: Exception) -> float:
        """Log an error, with a traceback where it is none of AWS's; returns how long to wait."""
        passing = isinstance(error, AwsCallError) and error.transient
        longest = min(LONGEST_PAUSE, LONGEST_TRANSIENT_PAUSE) if passing else LONGEST_PAUSE
        pause = min(self._schedule.after_error(), longest)
        known = isinstance(error, GateError | ValueError)
        news = str(error) if known else f"{type(error).__name__}: {error}"
        # AWS's answers may have a number of their own in them, which does not make them new.
        log = self._log.error if type(error).__name__ + news[:40] != self._said else self._log.warning
        log(
            "Cannot %s (%d in a row): %s Trying again in %.0f s.",
            self._doing,
            self._schedule.errors,
            sentence(news),
            pause,
            **({} if known else {"exc_info": error}),
        )
        self._said = type(error).__name__ + news[:40]
        return pause

    def over(self) -> None:
        """Log that it works again, where it did not."""
        if self.is_on:
            self._log.info("Can %s again, after %d failures.", self._doing, self._schedule.errors)
            self._schedule.after_poll()
            self._said = ""
