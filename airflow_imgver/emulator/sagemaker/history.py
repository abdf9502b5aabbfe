"""The versions of one image, kept in the orders in which they are listed."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_imgver.emulator.sagemaker.models import ImageVersion

Key = tuple[Any, ...]


class History:
    """
    The versions by number, by alias, and in each order of ListImageVersions.

    The orders are kept sorted, so that a page costs the same with 50,000 versions as with 50.
    """

    def __init__(self) -> None:
        self._versions: dict[int, ImageVersion] = {}
        self._orders: dict[str, list[Key]] = {"VERSION": [], "CREATION_TIME": [], "LAST_MODIFIED_TIME": []}
        self._keys: dict[int, dict[str, Key]] = {}
        self._number_of: dict[str, int] = {}
        self._aliases_of: dict[int, tuple[str, ...]] = {}
        self._busy: dict[int, ImageVersion] = {}

    def put(self, version: ImageVersion) -> None:
        """Take a version that is new or has changed."""
        number, keys = version.number, _keys(version)
        before = self._keys.get(number, {})
        for order, key in keys.items():
            if before.get(order) != key:
                self._forget(order, before)
                bisect.insort(self._orders[order], key)
        self._versions[number], self._keys[number] = version, keys
        self._put_aliases(number, tuple(version.aliases))
        if version.next_status() is None:
            self._busy.pop(number, None)
        else:
            self._busy[number] = version

    def remove(self, version: ImageVersion) -> None:
        """Remove a version."""
        if self._versions.pop(version.number, None) is None:
            return
        before = self._keys.pop(version.number)
        for order in self._orders:
            self._forget(order, before)
        self._put_aliases(version.number, ())
        self._busy.pop(version.number, None)

    def by_number(self, number: int) -> ImageVersion | None:
        """Find a version by its number."""
        return self._versions.get(number)

    def by_alias(self, alias: str) -> ImageVersion | None:
        """Find the version that has an alias."""
        number = self._number_of.get(alias)
        return None if number is None else self._versions[number]

    def latest(self) -> ImageVersion | None:
        """Give the version with the greatest number."""
        numbers = self._orders["VERSION"]
        return self._versions[numbers[-1][0]] if numbers else None

    def all(self) -> list[ImageVersion]:
        """Give all versions, in the order of their numbers."""
        return [self._versions[number] for (number,) in self._orders["VERSION"]]

    def busy(self) -> list[ImageVersion]:
        """Give the versions whose status will change by itself."""
        return list(self._busy.values())

    def aliases(self) -> list[str]:
        """Give the aliases of all versions, sorted."""
        return sorted(self._number_of)

    def walk(
        self,
        order: str,
        *,
        descending: bool,
        beyond: Key | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[tuple[Key, ImageVersion]]:
        """
        Go through the versions in an order, each with its key.

        :param order: VERSION, CREATION_TIME or LAST_MODIFIED_TIME.
        :param descending: From the greatest key to the least.
        :param beyond: Begin after this key; None for the first version.
        :param since: The least time of an order by time, in epoch seconds.
        :param until: The greatest time.
        """
        keys = self._orders[order]
        first = 0 if since is None else bisect.bisect_left(keys, (since,))
        end = len(keys) if until is None else bisect.bisect_left(keys, (until, float("inf")))
        if beyond is not None and descending:
            end = min(end, bisect.bisect_left(keys, beyond))
        elif beyond is not None:
            first = max(first, bisect.bisect_right(keys, beyond))
        for place in range(end - 1, first - 1, -1) if descending else range(first, end):
            yield keys[place], self._versions[keys[place][-1]]

    def _forget(self, order: str, keys: dict[str, Key]) -> None:
        if order in keys:
            del self._orders[order][bisect.bisect_left(self._orders[order], keys[order])]

    def _put_aliases(self, number: int, aliases: tuple[str, ...]) -> None:
        for alias in self._aliases_of.pop(number, ()):
            del self._number_of[alias]
        if aliases:
            self._aliases_of[number] = aliases
            self._number_of |= dict.fromkeys(aliases, number)


def _keys(version: ImageVersion) -> dict[str, Key]:
    number = version.number
    return {
        "VERSION": (number,),
        "CREATION_TIME": (version.created_at.timestamp(), number),
        "LAST_MODIFIED_TIME": (version.modified_at.timestamp(), number),
    }
