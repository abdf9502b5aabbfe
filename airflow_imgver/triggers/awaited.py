"""The ids that are waited for in one place, for example a data store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_imgver.triggers.interest import Target


class Awaited:
    """
    Id to versions that are polled; nearly always one, and then without a list around it.

    Read from a search's thread too, which only asks whether an id is in it.
    """

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[str, Target | list[Target]] = {}

    def add(self, target: Target) -> None:
        """Add a version."""
        one = target.watched.id
        there = self._by_id.get(one)
        if there is None:
            self._by_id[one] = target
        elif isinstance(there, list):
            there.append(target)
        else:
            self._by_id[one] = [there, target]

    def discard(self, one: str, target: Target) -> None:
        """Remove a version."""
        there = self._by_id.get(one)
        if isinstance(there, list) and target in there:
            there.remove(target)
        if there is target or there == []:
            del self._by_id[one]

    def of(self, one: str) -> Sequence[Target]:
        """Return the versions of an id."""
        there = self._by_id.get(one)
        if there is None:
            return ()
        return tuple(there) if isinstance(there, list) else (there,)

    def __contains__(self, one: object) -> bool:
        return one in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Target]:
        """Go through all versions."""
        for one in list(self._by_id):
            yield from self.of(one)
