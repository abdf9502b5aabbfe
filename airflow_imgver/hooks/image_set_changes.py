"""AWS HealthImaging: which image sets of a data store have changed lately."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from airflow_imgver.arguments.times import time_value
from airflow_imgver.exceptions import UnexpectedAnswerError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.listing import next_answer
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.text import whole_second

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# BETWEEN must have an end. A day, because this machine's clock may be behind AWS's.
_AHEAD = timedelta(days=1)


class ChangedPage(NamedTuple):
    """
    One page of a search for changes.

    :param ids: the ids that it shows.
    :param at: when AWS answered, by AWS's clock, to the second; None where the answer does not say.
    """

    ids: list[str]
    at: datetime | None


class ImageSetChanges(ImageVersionHook):
    """Find the image sets of a data store that have changed since a time."""

    service = HEALTHIMAGING

    def iter_changed_image_sets(
        self, datastore_id: str, *, updated_after: datetime | str, page_size: int | None = None
    ) -> Iterator[tuple[str, datetime | None]]:
        """
        Stream the image sets that changed since a time, with the time of their last change.

        Nothing else of a search's answers leaves this method, because they are about patients. The time
        counts to the whole second. An image set that changes during the search may be named twice.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param updated_after: a datetime or an ISO 8601 text, UTC unless it names an offset.
        :param page_size: image sets a request, 1 to 50; None requests 50.
        :return: id and time; None for a time that AWS does not give.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.service.check({"datastore_id": datastore_id}, only=("datastore_id",))
        criteria = {"filters": [updated_between(time_value(updated_after, "updated_after"), None)]}
        request = {"datastoreId": datastore_id, "searchCriteria": criteria}
        found = self.found(request, f"data store {datastore_id}", page_size=page_size)
        for each in found:
            updated = each.get("updatedAt")
            yield each[self.service.found_name], updated if isinstance(updated, datetime) else None

    def iter_changed_image_set_pages(self, datastore_id: str, since: datetime) -> Iterator[ChangedPage]:
        """
        Stream the ids of the image sets that have changed since a time, the last changed first, page by page.

        SearchImageSets answers with DICOM attributes of patients and studies. Only ids and the time of the
        answer leave this method. An image set that changes during the search
        may be missing: the next search shows it.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param since: an aware datetime, which counts to the whole second, as botocore sends it.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.service.check({"datastore_id": datastore_id}, only=("datastore_id",))
        call, about = self.service.finding, f"data store {datastore_id}"
        request: dict[str, Any] = {
            "datastoreId": datastore_id,
            "searchCriteria": {
                "filters": [updated_between(since, max(since, datetime.now(UTC)) + _AHEAD)],
                "sort": {"sortField": "updatedAt", "sortOrder": "DESC"},
            },
            "PaginationConfig": {"PageSize": call.largest_page},
        }
        with self.named_errors(about, call.operation):
            answers = iter(self.conn.get_paginator(call.method).paginate(**request))
        while True:
            with self.named_errors(about, call.operation):
                answer = next_answer(answers, call.result_key)
            if answer is None:
                return
            found = [each.get(self.service.found_name) for each in answer[call.result_key]]
            if not all(isinstance(each, str) for each in found):
                raise UnexpectedAnswerError(
                    f"{call.operation} answered with an item whose {self.service.found_name} is not a text.",
                    about=f"The call was for {about}.",
                )
            yield ChangedPage(found, _answered_at(answer))


def updated_between(after: datetime | None, before: datetime | None) -> dict[str, Any]:
    """Write the filter of a search by the time of the last change."""
    ends = (after or _BEGINNING, whole_second(before or datetime.now(UTC) + _AHEAD))
    return {"operator": "BETWEEN", "values": [{"updatedAt": end} for end in ends]}


def _answered_at(answer: Mapping[str, Any]) -> datetime | None:
    """Return the time in the Date header of an answer."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        at = parsedate_to_datetime(text)
        # A date without an offset reads as a naive one.
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
