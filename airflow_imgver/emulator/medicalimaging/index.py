"""An index of the image sets of a data store: a page of a search costs what the page holds."""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterator
from typing import Any, TypeVar

Key = tuple[Any, str]
T = TypeVar("T")

# Past this many, the oldest moves are forgotten, and a listing from before them sees the current order.
_MOVES_KEPT = 100_000
# Past this many changes, it is faster to sort again than to insert each.
_MANY = 1_000


class Lag:
    """
    How many seconds after a change of an image set the index shows it; once per process.

    Until then a search finds the image set by the times from before, or not at all if it is new. Searches by
    other attributes, and everything but searches, see the change at once.
    """

    seconds = 0.0


LAG = Lag()


class SortedKeys:
    """
    The keys of all image sets in their order; a listing keeps the order that it began with.

    A key is a value and an image set id. Each change of a key is kept as a move with a number, so that a
    listing that began at a number finds an image set at its key of that time: its pages show no image set
    twice, and leave none out.
    """

    def __init__(self) -> None:
        self._sorted: list[Key] = []
        self._key_of: dict[str, Key] = {}
        self._waiting: dict[str, Key | None] = {}
        self._moves: collections.deque[tuple[int, str, Key]] = collections.deque(maxlen=_MOVES_KEPT)
        self.moves = 0

    def put(self, image_set_id: str, value: Any) -> None:
        """Set the key of an image set; None removes it."""
        key = None if value is None else (value, image_set_id)
        before = self._key_of.get(image_set_id)
        if key == before:
            return
        if before is not None and key is not None:
            self.moves += 1
            self._moves.append((self.moves, image_set_id, before))
        if key is None:
            self._key_of.pop(image_set_id, None)
        else:
            self._key_of[image_set_id] = key
        self._waiting.setdefault(image_set_id, before)

    def walk(self, after: Key | None, *, descending: bool, since: int) -> Iterator[Key]:
        """
        Go through the keys in their order.

        :param after: Begin beyond this key; None for the first.
        :param descending: From the greatest to the least.
        :param since: The value of ``moves`` when the listing began.
        """
        self._apply()
        moved = self.moved(since)
        current = self._from(after, descending=descending)
        if not moved:
            return current
        earlier = sorted(moved.values(), reverse=descending)
        if after is not None:
            earlier = [key for key in earlier if (key < after if descending else key > after)]
        unmoved = (key for key in current if key[1] not in moved)
        return _merged(unmoved, iter(earlier), descending=descending)

    def between(self, least: Any, most: Any) -> list[str]:
        """Give the ids of the image sets whose values are from the least to the most."""
        self._apply()
        first = bisect.bisect_left(self._sorted, least, key=_value)
        last = bisect.bisect_right(self._sorted, most, key=_value)
        return [image_set_id for _, image_set_id in self._sorted[first:last]]

    def count_between(self, least: Any, most: Any) -> int:
        """Count the image sets whose values are from the least to the most."""
        self._apply()
        first = bisect.bisect_left(self._sorted, least, key=_value)
        return max(bisect.bisect_right(self._sorted, most, key=_value) - first, 0)

    def __contains__(self, image_set_id: str) -> bool:
        return image_set_id in self._key_of

    def key_of(self, image_set_id: str) -> Key:
        """Give the key of an image set."""
        return self._key_of[image_set_id]

    def _from(self, after: Key | None, *, descending: bool) -> Iterator[Key]:
        keys = self._sorted
        if descending:
            end = len(keys) if after is None else bisect.bisect_left(keys, after)
            return (keys[place] for place in range(end - 1, -1, -1))
        begin = 0 if after is None else bisect.bisect_right(keys, after)
        return (keys[place] for place in range(begin, len(keys)))

    def moved(self, since: int) -> dict[str, Key]:
        """Give the keys that image sets had when a listing began, of those whose keys have changed since."""
        earlier: dict[str, Key] = {}
        for number, image_set_id, before in reversed(self._moves):
            if number <= since:
                break
            earlier[image_set_id] = before
        return {image_set_id: key for image_set_id, key in earlier.items() if image_set_id in self._key_of}

    def _apply(self) -> None:
        if len(self._waiting) > _MANY:
            self._sorted = sorted(self._key_of.values())
        else:
            for image_set_id, before in self._waiting.items():
                if before is not None:
                    del self._sorted[bisect.bisect_left(self._sorted, before)]
                if image_set_id in self._key_of:
                    bisect.insort(self._sorted, self._key_of[image_set_id])
        self._waiting.clear()


def _value(key: Key) -> Any:
    return key[0]


def _merged(left: Iterator[Key], right: Iterator[Key], *, descending: bool) -> Iterator[Key]:
    first, second = next(left, None), next(right, None)
    while first is not None or second is not None:
        if second is None or (first is not None and (first > second if descending else first < second)):
            assert first is not None  # noqa: S101 - for the type checker
            yield first
            first = next(left, None)
        else:
            yield second
            second = next(right, None)


class Groups:
    """The image sets by the values of their attributes, for filters with EQUAL."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, Any], set[str]] = {}
        self._values_of: dict[str, tuple[tuple[str, Any], ...]] = {}

    def put(self, image_set_id: str, values: tuple[tuple[str, Any], ...]) -> None:
        """Set the attributes of an image set and their values; none remove it."""
        before = self._values_of.pop(image_set_id, ())
        if before == values:
            self._values_of[image_set_id] = values
            return
        for value in before:
            self._members[value].discard(image_set_id)
            if not self._members[value]:
                del self._members[value]
        for value in values:
            self._members.setdefault(value, set()).add(image_set_id)
        if values:
            self._values_of[image_set_id] = values

    def members(self, attribute: str, value: Any) -> set[str]:
        """Give the ids of the image sets with a value."""
        return self._members.get((attribute, value), set())
