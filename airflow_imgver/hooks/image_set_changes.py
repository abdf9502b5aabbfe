"""AWS HealthImaging: which image sets of a data store have changed lately."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import AwsCallError, UnexpectedAnswerError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.hooks.listing import next_answer
from airflow_imgver.services.healthimaging import HEALTHIMAGING

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

    def iter_changed_image_set_pages(self, datastore_id: str, since: datetime) -> Iterator[ChangedPage]:
        """
        Stream the ids of the image sets that have changed since a time, the last changed first, page by page.

        SearchImageSets answers with DICOM attributes of patients and studies. Only ids and the time of the
        answer leave this method, and no error quotes an answer. An image set that changes during the search
        may be missing: the next search shows it.

        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_SearchImageSets.html

        :param datastore_id: the data store, 32 digits and lower-case letters.
        :param since: an aware datetime, which counts to the whole second, as botocore sends it.
        :raises InvalidIdentityError: the id breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        self.service.check({"datastore_id": datastore_id}, only=("datastore_id",))
        call, about = self.service.finding, f"data store {datastore_id}"
        end = max(since, datetime.now(UTC)) + _AHEAD
        request: dict[str, Any] = {
            "datastoreId": datastore_id,
            "searchCriteria": {
                "filters": [{"operator": "BETWEEN", "values": [{"updatedAt": since}, {"updatedAt": end}]}],
                "sort": {"sortField": "updatedAt", "sortOrder": "DESC"},
            },
            "PaginationConfig": {"PageSize": call.largest_page},
        }
        with self.named_errors(about, call.operation):
            answers = iter(self.conn.get_paginator(call.method).paginate(**request))
        while True:
            with _quoting_no_answer(), self.named_errors(about, call.operation):
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


@contextmanager
def _quoting_no_answer() -> Iterator[None]:
    """Give an answer that cannot be read an error without its text, which botocore quotes in full."""
    try:
        yield
    except AwsCallError as error:
        if error.code != ResponseParserError.__name__:
            raise
        details = error.details()
        details["message"] = f"{error.operation} got an answer that cannot be read."
        # Not from the error, whose own text a traceback would print.
        raise type(error)(**details) from None


def _answered_at(answer: Mapping[str, Any]) -> datetime | None:
    """Return the time in the Date header of an answer."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        at = parsedate_to_datetime(text)
        # A date without an offset reads as a naive one.
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
