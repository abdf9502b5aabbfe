"""The candidates of a report: found in one thread, kept on disk, listed in others."""

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
    :param certain: whether it is in the report whatever its versions show.
    """

    name: str
    certain: bool = True


class Found:
    """
    Candidates in the order of finding, each name once.

    A thread of its own finds them, so that listing does not wait for it, and the total is known long before
    all are listed. They are kept in SQLite's temporary database, an unnamed file once it outgrows its cache:
    a million ids would take a hundred megabytes of memory.

    :param candidates: the source; :meth:`after` raises the error that ends it.
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
        """The total; None while there may be more."""
        return self._count if self._ended else None

    def close(self) -> None:
        """Drop the candidates; the finding thread ends with its next answer, and nobody waits for it."""
        with self._changed:
            self._abandoned = True
            self._kept.close()

    def after(self, taken: int, timeout: float) -> list[Candidate] | None:
        """
        Return some candidates after the first ``taken`` ones, and wait for them if necessary.

        :param taken: how many have been taken.
        :param timeout: seconds to wait.
        :return: an empty list after the last; None after the timeout, where there may be more.
        :raises Exception: the error that ended the finding.
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
                    # The rows are numbered from 1 without gaps, because a known name is ignored.
                    new = self._kept.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", candidate)
                    self._count += new.rowcount
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
