"""Pages of a list, and the opaque tokens of the next pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_imgver.emulator.contract import ValidationException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

# A token is valid for as long as the process that returned it, so the server keeps nothing for it.
_SIGNING_KEY = secrets.token_bytes(32)


def page(
    items: Sequence[T],
    *,
    size: int,
    token: str | None,
    bound_to: Mapping[str, Any],
    key: Callable[[T], Any],
    descending: bool = False,
) -> tuple[list[T], str | None]:
    """
    Cut one page out of a sorted list and give the token of the next.

    A token carries the key of the last item of its page, not an offset: the next page starts with the first
    item beyond that key. So an item that arrives at the head of the list between two pages repeats nothing,
    and an item that vanishes loses nothing. The token is signed together with ``bound_to``; it holds no
    secret and costs the server no memory.

    :param items: The whole list, sorted by ``key``.
    :param size: The most items on this page. It may change from page to page, as with AWS.
    :param token: The token that the previous page gave; None for the first page.
    :param bound_to: The request that a token belongs to: operation, identities, filters and sort, never the
        page size. Entries that are None count as absent.
    :param key: The sort key of an item: unique in the list, made of numbers, strings and tuples of them.
    :param descending: True where ``items`` run from the greatest key to the least.
    :return: The items of the page, and the token of the next page, None after the last.
    :raises ValidationException: this process did not return the token, or returned it for other arguments.
    """
    first = 0 if token is None else _first_beyond(marker_of(token, bound_to), items, key, descending)
    on_page = list(items[first : first + size])
    if first + size >= len(items):
        return on_page, None
    return on_page, token_after(key(on_page[-1]), bound_to)


def _first_beyond(marker: Any, items: Sequence[T], key: Callable[[T], Any], descending: bool) -> int:
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        found = _as_in_json(key(items[middle]))
        if found < marker if descending else found > marker:
            high = middle
        else:
            low = middle + 1
    return low


def _as_in_json(key: Any) -> Any:
    # A marker went through JSON, which turns tuples into lists, and a tuple does not compare with a list.
    return [_as_in_json(part) for part in key] if isinstance(key, tuple | list) else key


def token_after(marker: Any, bound_to: Mapping[str, Any]) -> str:
    """Make the token of the page that begins beyond a marker."""
    text = json.dumps(marker).encode()
    return base64.urlsafe_b64encode(_signature(text, bound_to) + text).decode()


def marker_of(token: str, bound_to: Mapping[str, Any]) -> Any:
    """
    Give the marker of a token.

    :raises ValidationException: this process did not return the token, or returned it for other arguments.
    """
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    signature, text = raw[: hashlib.sha256().digest_size], raw[hashlib.sha256().digest_size :]
    if not text or not hmac.compare_digest(signature, _signature(text, bound_to)):
        raise ValidationException(
            "The pagination token is not valid for this request: use a token as it was returned, "
            "with the arguments of the request that returned it"
        )
    return json.loads(text)


def _signature(text: bytes, bound_to: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in bound_to.items() if value is not None}
    arguments = json.dumps(present, sort_keys=True, default=str).encode()
    return hmac.digest(_SIGNING_KEY, len(text).to_bytes(4) + text + arguments, "sha256")
