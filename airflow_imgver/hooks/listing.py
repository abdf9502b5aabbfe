"""One listing of versions: its pages, requested as they are read, and the token that resumes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.paginate import TokenDecoder, TokenEncoder
from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import InvalidTokenError
from airflow_imgver.services.description import ListCall
from airflow_imgver.text import one_line

if TYPE_CHECKING:
    from botocore.paginate import PageIterator


class Listing(NamedTuple):
    """The items of a listing, and the token that resumes it where ``max_items`` cut it off, else None."""

    items: list[dict[str, Any]]
    next_token: str | None


class Versions(Iterator[dict[str, Any]]):
    """
    A stream of version entries; a page is requested when the one before is used up.

    botocore's paginator does the paging. What it does not do is resume in pages of another size than those
    that were cut: its token says how many items of a page to skip, and it skips them in the first page only.
    So the token is taken apart here, and the items are skipped in as many pages as they fill.

    :param paginate: makes botocore's page iterator from a ``PaginationConfig``.
    :param named_errors: a context in which boto3's errors get the names of the call and of its subject.
    :param call: the list call.
    :param page_size: items a request; None requests the largest page the API gives.
    :param max_items: how many items at the most; None for all.
    :param starting_token: the resume token of a truncated listing.
    """

    def __init__(
        self,
        paginate: Callable[[Mapping[str, Any]], PageIterator[Any]],
        named_errors: Callable[[], AbstractContextManager[None]],
        call: ListCall,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> None:
        self._skipped, start = _open_token(starting_token, call.token)
        size = call.largest_page if page_size is None else page_size
        self._config: dict[str, Any] = {"PageSize": _positive(size, "page_size")}
        if max_items is not None:
            self._config["MaxItems"] = self._skipped + _positive(max_items, "max_items")
        if start is not None:
            self._config["StartingToken"] = start
        self._paginate = paginate
        self._named_errors = named_errors
        self._result_key = call.result_key
        self._entries = (entry for page in self.pages() for entry in page)
        self.next_token: str | None = None
        """Resumes a listing that ``max_items`` cut off; set at the end of the stream."""

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """Stream the entries a page at a time."""
        with self._named_errors():
            pages = self._paginate(self._config)
        answers = iter(pages)
        skipped = self._skipped
        while True:
            with self._named_errors():
                answer = next_answer(answers, self._result_key)
            # Where a cut falls between two pages, botocore knows only after the last of them. Typed as it
            # decodes the token, though it returns the encoded text.
            self.next_token = cast("str | None", pages.resume_token)
            if answer is None:
                return
            entries = answer[self._result_key]
            yield list(islice(entries, skipped, None))
            skipped = max(0, skipped - len(entries))

    def all(self) -> Listing:
        """Read the stream to its end."""
        items = list(self)
        return Listing(items, self.next_token)

    def __next__(self) -> dict[str, Any]:
        return next(self._entries)


def next_answer(answers: Iterator[Mapping[str, Any]], result_key: str) -> Mapping[str, Any] | None:
    """
    Return the next answer; None after the last.

    botocore takes a body that is not JSON, for example half an answer or a proxy's page, for an answer with
    nothing in it. An empty listing would open a gate on "deleted"; AWS's own has an empty list.
    """
    try:
        answer = next(answers, None)
    except (AttributeError, TypeError, ValueError) as error:
        raise ResponseParserError(f"the answer does not have AWS's form: {error}") from error
    if answer is not None and result_key not in answer:
        raise ResponseParserError(f"the answer has no {result_key}; it was cut off, or AWS did not send it")
    return answer


def _positive(value: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, not {value!r}.")
    return value


def _open_token(token: str | None, wire_token: str) -> tuple[int, str | None]:
    """Take a resume token apart: how many items to skip, and the token of the page that holds them."""
    if token is None:
        return 0, None
    try:
        content = TokenDecoder().decode(token)
        skipped = content.pop("boto_truncate_amount", 0)
        fits = set(content) == {wire_token} and isinstance(skipped, int) and skipped >= 0
    except (ValueError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise InvalidTokenError(
            f"starting_token {one_line(str(token))[:80]!r} does not resume this listing. "
            "Give the next_token of a truncated listing unchanged, or leave it out to start at the beginning."
        )
    return skipped, None if content[wire_token] is None else TokenEncoder().encode(content)
