"""One listing of versions: its pages, asked for as they are drawn, and the token that resumes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from botocore.paginate import TokenDecoder, TokenEncoder
from botocore.parsers import ResponseParserError

from airflow_imgver.exceptions import InvalidTokenError
from airflow_imgver.versions import one_line

if TYPE_CHECKING:
    from botocore.paginate import PageIterator

Hook = TypeVar("Hook")
Arguments = ParamSpec("Arguments")


class Listing(NamedTuple):
    """The items of a listing, and the token that resumes it where ``max_items`` cut it off, else None."""

    items: list[dict[str, Any]]
    next_token: str | None


class Versions(Iterator[dict[str, Any]]):
    """
    A stream of version entries, a page asked for when the one before is used up.

    botocore's paginator does the paging. What it does not do is resume in pages of another size than those
    that were cut: its token says how many items of a page to pass over, and it passes over them in the first
    page only. So the token is taken apart here, and the items are passed over in as many pages as they fill.

    :param paginate: makes botocore's page iterator from a ``PaginationConfig``.
    :param named_errors: a context in which boto3's errors get the names of the call and of what it asked for.
    :param result_key: where in an answer the entries stand.
    :param wire_token: the name of the API's own page token.
    """

    def __init__(
        self,
        paginate: Callable[[Mapping[str, Any]], PageIterator[Any]],
        named_errors: Callable[[], AbstractContextManager[None]],
        *,
        result_key: str,
        wire_token: str,
        page_size: int,
        max_items: int | None = None,
        starting_token: str | None = None,
    ) -> None:
        self._pass_over, start = _open_token(starting_token, wire_token)
        self._config: dict[str, Any] = {"PageSize": _positive(page_size, "page_size")}
        if max_items is not None:
            self._config["MaxItems"] = self._pass_over + _positive(max_items, "max_items")
        if start is not None:
            self._config["StartingToken"] = start
        self._paginate = paginate
        self._named_errors = named_errors
        self._result_key = result_key
        self._entries = (entry for page in self.pages() for entry in page)
        self.next_token: str | None = None
        """Resumes a listing that ``max_items`` cut off; known once the stream is at its end."""

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """Draw the entries a page at a time."""
        with self._named_errors():
            pages = self._paginate(self._config)
        answers = iter(pages)
        pass_over = self._pass_over
        while True:
            with self._named_errors():
                answer = readable(answers, self._result_key)
            # Where a cut falls between two pages, botocore says so only after the last of them. Typed as it
            # decodes the token, though it is the encoded text that is handed out.
            self.next_token = cast("str | None", pages.resume_token)
            if answer is None:
                return
            entries = answer[self._result_key]
            yield list(islice(entries, pass_over, None))
            pass_over = max(0, pass_over - len(entries))

    def __next__(self) -> dict[str, Any]:
        return next(self._entries)


def listed(
    stream: Callable[Concatenate[Hook, Arguments], Versions],
) -> Callable[Concatenate[Hook, Arguments], Listing]:
    """Make of a method that streams versions its twin that returns them all, with the same arguments."""

    @wraps(stream)
    def twin(hook: Hook, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Listing:
        versions = stream(hook, *args, **kwargs)
        return Listing(list(versions), versions.next_token)

    twin.__name__ = stream.__name__.replace("iter_", "list_")
    twin.__qualname__ = stream.__qualname__.replace("iter_", "list_")
    twin.__annotations__ = {**stream.__annotations__, "return": "Listing"}
    twin.__doc__ = f"""
        List versions; arguments and errors are those of :meth:`{stream.__name__}`.

        :return: a :class:`Listing`: the items, and the resume token of a listing that ``max_items`` cut off,
            else None. Put into ``starting_token``, it goes on exactly where the listing stopped, in pages of
            any size.
        """
    return twin


def readable(answers: Iterator[Mapping[str, Any]], result_key: str) -> Mapping[str, Any] | None:
    """
    Draw an answer; None after the last.

    botocore takes a body that is no JSON, half an answer say or a proxy's page, for one with nothing in it.
    An empty listing would open a gate on "deleted"; AWS's own says that it is empty.
    """
    try:
        answer = next(answers, None)
    except (AttributeError, TypeError, ValueError) as error:
        raise ResponseParserError(f"the answer is not of AWS's form: {error}") from error
    if answer is not None and result_key not in answer:
        raise ResponseParserError(f"the answer has no {result_key}; it was cut off, or is not AWS's")
    return answer


def _positive(value: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, not {value!r}")
    return value


def _open_token(token: str | None, wire_token: str) -> tuple[int, str | None]:
    """Take a resume token apart: how many items to pass over, and the token of the page they stand in."""
    if token is None:
        return 0, None
    try:
        content = TokenDecoder().decode(token)
        pass_over = content.pop("boto_truncate_amount", 0)
        fits = set(content) == {wire_token} and isinstance(pass_over, int) and pass_over >= 0
    except (ValueError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise InvalidTokenError(
            f"starting_token {one_line(str(token))[:80]!r} is no resume token of this listing; "
            "give the next_token of a truncated listing as it is, or leave it out to start at the beginning"
        )
    return pass_over, None if content[wire_token] is None else TokenEncoder().encode(content)
