"""What a report is to list: found in one thread, kept on disk, taken in another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from threading import Condition, Thread
from typing import NamedTuple

_BLOCK = 500


class Candidate(NamedTuple):
    """
    An image set or image to list.

    :param name: its id or its name.
    :param certain: whether it belongs into the report whatever its versions say.
    """

    name: str
    certain: bool = True


class Found:
    """
    Candidates in the order in which they were found, each name once.

    A thread of its own does the finding, so that listing does not wait for it and how many there are is known
    long before all are listed. They are kept in SQLite's temporary database, which is a file without a name
    once it outgrows its cache: a million ids would take a hundred megabytes of memory.

    :param candidates: what to draw them from; an error that it raises reaches who takes them.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = candidates
        # Used by two threads, one at a time.
        self._kept = sqlite3.connect("", check_same_thread=False)
        self._kept.execute("CREATE TABLE found (name TEXT UNIQUE, certain INTEGER)")
        self._changed = Condition()
        self._count = 0
        self._error: Exception | None = None
        self._ended = self._abandoned = False
        Thread(target=self._find, name="imgver-find", daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many there are; None while there may be more."""
        return self._count if self._ended else None

    def close(self) -> None:
        """Let go of what was kept; the finding ends with the answer that it waits for, and nobody waits."""
        with self._changed:
            self._abandoned = True
            self._kept.close()

    def after(self, taken: int, timeout: float) -> list[Candidate] | None:
        """
        Give some of those that follow the first so many, and wait for them if need be.

        :param taken: how many have been taken.
        :param timeout: seconds to wait.
        :return: none after the last; None where the time is over and there may be more.
        :raises Exception: what ended the finding.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._count > taken, timeout)
            if self._count > taken:
                rows = self._kept.execute(
                    "SELECT name, certain FROM found WHERE rowid > ? ORDER BY rowid LIMIT ?", (taken, _BLOCK)
                )
                return [Candidate(name, bool(certain)) for name, certain in rows]
            if self._error is not None:
                raise self._error
            return [] if self._ended else None

    def _find(self) -> None:
        try:
            for candidate in self._candidates:
                with self._changed:
                    if self._abandoned:
                        return
                    # Rows of this table are numbered from 1 without gaps: what is there is passed over.
                    new = self._kept.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", candidate)
                    self._count += new.rowcount
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
