"""SearchImageSets: its filters, its sort, and the pages of its answers."""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.medicalimaging.exceptions import ValidationException
from airflow_imgver.emulator.medicalimaging.index import LAG, Groups, Key, SortedKeys
from airflow_imgver.emulator.paging import marker_of, token_after

if TYPE_CHECKING:
    from airflow_imgver.emulator.medicalimaging.image_sets import ImageSet

Filter = dict[str, Any]

DEFAULT_SORT = {"sortField": "updatedAt", "sortOrder": "DESC"}
_STUDY_TIME = "DICOMStudyDateAndTime"
_TIMES = ("createdAt", "updatedAt", _STUDY_TIME)
_EQUALS = (
    "DICOMPatientId",
    "DICOMAccessionNumber",
    "DICOMStudyId",
    "DICOMStudyInstanceUID",
    "DICOMSeriesInstanceUID",
    "isPrimary",
)
# So many image sets are filtered and sorted faster than the index is walked to the first that matches.
_FEW = 1_000


class Search:
    """
    The searches of one data store.

    :param image_sets: The image sets of the data store by their ids.
    """

    def __init__(self, image_sets: dict[str, ImageSet]) -> None:
        self._image_sets = image_sets
        self._changed: dict[str, None] = {}
        self._late: collections.deque[tuple[float, str, dict[str, Any]]] = collections.deque()
        self._keys = {field: SortedKeys() for field in _TIMES}
        self._groups = Groups()

    def changed(self, image_set: ImageSet) -> None:
        """Note an image set that is new or has changed; a search takes the change into the index."""
        self._changed[image_set.image_set_id] = None
        if LAG.seconds:
            self._late.append(
                (time.monotonic() + LAG.seconds, image_set.image_set_id, self._times_of(image_set))
            )

    def members(self, attribute: str, value: Any) -> list[ImageSet]:
        """Give the image sets, except deleted ones, whose latest version has a value of an attribute."""
        self._refresh()
        return [self._image_sets[image_set_id] for image_set_id in self._groups.members(attribute, value)]

    def page(
        self,
        filters: list[Filter],
        sort: dict[str, str],
        *,
        size: int,
        token: str | None,
        bound_to: dict[str, Any],
    ) -> tuple[list[ImageSet], str | None]:
        """
        Give one page of the image sets that match all filters, and the token of the next page.

        An image set whose sort key changes between two pages stays at its place in the listing.

        :param size: The most image sets on this page.
        :param token: The token that the previous page gave.
        :param bound_to: The request that a token belongs to.
        """
        self._refresh()
        field, descending = sort["sortField"], sort["sortOrder"] == "DESC"
        keys = self._keys[field]
        since, after = keys.moves, None
        if token is not None:
            since, *key = marker_of(token, bound_to)
            after = (key[0], key[1])
        found = self._matching(filters, field, after, descending=descending, since=since)
        page = list(itertools.islice(found, size + 1))
        next_token = token_after((since, *page[size - 1]), bound_to) if len(page) > size else None
        return [self._image_sets[image_set_id] for _, image_set_id in page[:size]], next_token

    def _matching(
        self, filters: list[Filter], field: str, after: Key | None, *, descending: bool, since: int
    ) -> Iterator[Key]:
        keys, chosen = self._keys[field], self._smallest_group(filters)
        spans = [(_field_of(each), *_span(each)) for each in filters if _field_of(each) in _TIMES]
        for name, least, most in spans:
            is_large = chosen is None or len(chosen) > _FEW
            if is_large and self._keys[name].count_between(least, most) <= _FEW:
                chosen = set(self._keys[name].between(least, most))
        if chosen is not None and len(chosen) <= _FEW:
            moved = keys.moved(since)
            few = sorted(
                (moved.get(each) or keys.key_of(each) for each in chosen if each in keys), reverse=descending
            )
            walk: Iterator[Key] = (
                key for key in few if after is None or (key < after if descending else key > after)
            )
        else:
            walk = self._walk(spans, field, after, descending=descending, since=since)
        return (
            key
            for key in walk
            if (chosen is None or key[1] in chosen)
            and all(_matches(self._image_sets[key[1]], each) for each in filters)
        )

    def _walk(
        self,
        spans: list[tuple[str, Any, Any]],
        field: str,
        after: Key | None,
        *,
        descending: bool,
        since: int,
    ) -> Iterator[Key]:
        """Walk the index, inside the span of a filter on the sort field."""
        end: Any = None
        for name, least, most in spans:
            if name != field:
                continue
            begin, end = ((most, _LAST), least) if descending else ((least, ""), most)
            if after is None or (begin < after if descending else begin > after):
                after = begin
        for key in self._keys[field].walk(after, descending=descending, since=since):
            if end is not None and (key[0] < end if descending else key[0] > end):
                return
            yield key

    def _smallest_group(self, filters: list[Filter]) -> set[str] | None:
        groups = [
            self._groups.members(_field_of(each), each["values"][0][_field_of(each)])
            for each in filters
            if each["operator"] == "EQUAL" and _field_of(each) in _EQUALS
        ]
        return min(groups, key=len) if groups else None

    def _refresh(self) -> None:
        for image_set_id in self._changed:
            image_set = self._image_sets[image_set_id]
            if not LAG.seconds:
                self._put(image_set_id, self._times_of(image_set))
            listed = not image_set.is_deleted
            values = ((field, _attribute(image_set, field)) for field in _EQUALS if listed)
            self._groups.put(image_set_id, tuple(pair for pair in values if pair[1] is not None))
        self._changed.clear()
        while self._late and self._late[0][0] <= time.monotonic():
            _, image_set_id, times = self._late.popleft()
            self._put(image_set_id, times)

    def _times_of(self, image_set: ImageSet) -> dict[str, Any]:
        listed = not image_set.is_deleted
        return {field: _sort_value(image_set, field) if listed else None for field in _TIMES}

    def _put(self, image_set_id: str, times: dict[str, Any]) -> None:
        for field, value in times.items():
            self._keys[field].put(image_set_id, value)


_LAST = chr(0x10FFFF)


def check_filters(filters: list[Filter]) -> None:
    """
    Refuse filters that the service model accepts and the service does not.

    :raises ValidationException: the values do not fit the operator.
    """
    for search_filter in filters:
        operator, values = search_filter["operator"], search_filter["values"]
        names = [name for value in values for name in value]
        if len(values) != (2 if operator == "BETWEEN" else 1):
            wanted = "two values" if operator == "BETWEEN" else "one value"
            raise ValidationException(f"The operator {operator} takes {wanted}, got {len(values)}.")
        if operator == "BETWEEN" and (len(set(names)) != 1 or names[0] not in _TIMES):
            raise ValidationException(
                f"The operator BETWEEN takes two values of one of {_TIMES}, got {names}."
            )


def summary(image_set: ImageSet) -> dict[str, Any]:
    """Describe the latest version in the form of SearchImageSets, where version numbers are integers."""
    return {
        "imageSetId": image_set.image_set_id,
        "version": image_set.latest.number,
        "createdAt": image_set.created_at,
        "updatedAt": image_set.latest.changed_at,
        "lastAccessedAt": image_set.latest.changed_at,
        "storageTier": "FREQUENT_ACCESS",
        "DICOMTags": image_set.latest.contents.tags,
        "isPrimary": image_set.latest.properties.get("isPrimary"),
    }


def _matches(image_set: ImageSet, search_filter: Filter) -> bool:
    """Check one filter; BETWEEN includes both ends."""
    field = _field_of(search_filter)
    if field not in _TIMES:
        return bool(_attribute(image_set, field) == search_filter["values"][0][field])
    found = _comparable(field, _attribute(image_set, field))
    if found is None:
        return False
    least, most = _span(search_filter)
    return bool(least <= found <= most)


def _span(search_filter: Filter) -> tuple[Any, Any]:
    """Give the least and the most value that a filter on a time lets through."""
    field = _field_of(search_filter)
    values = [_comparable(field, value[field]) for value in search_filter["values"]]
    least, most = values[0], values[-1]
    if field == _STUDY_TIME:
        # A date without a time, or a time without seconds, matches all times that begin with it.
        return least, most + _LAST
    if search_filter["operator"] == "EQUAL":
        # A client sends whole seconds, an image set has milliseconds.
        return int(least), int(least) + 0.9995
    return least, most


def _field_of(search_filter: Filter) -> str:
    return str(next(iter(search_filter["values"][0])))


def _sort_value(image_set: ImageSet, field: str) -> Any:
    value = _comparable(field, _attribute(image_set, field))
    if value is None:
        return "" if field == _STUDY_TIME else 0.0
    return value


def _attribute(image_set: ImageSet, field: str) -> Any:
    latest = image_set.latest
    if field == "createdAt":
        return image_set.created_at
    if field == "updatedAt":
        return latest.changed_at
    if field == "isPrimary":
        return image_set.is_primary
    tags = latest.contents.tags
    if field == _STUDY_TIME:
        return tags if tags.get("DICOMStudyDate") else None
    return tags.get(field)


def _comparable(field: str, value: Any) -> Any:
    if value is None:
        return None
    if field == _STUDY_TIME:
        # The texts of DICOM's dates and times sort like the times.
        return value.get("DICOMStudyDate", "") + value.get("DICOMStudyTime", "")
    return value.timestamp()
