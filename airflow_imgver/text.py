"""What the package writes: values as plain data, other people's text in one line, times and durations."""

from __future__ import annotations

import base64
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# PostgreSQL stores no NUL, and UTF-8 encodes no half of a surrogate pair: one of them in an event ends a
# triggerer, again and again.
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
# Airflow sends events and XComs between its processes as MessagePack, which refuses greater numbers.
_NUMBERS = range(-(2**63), 2**64)


def storable(text: str) -> str:
    """Replace the characters that a database cannot store or a file cannot encode by U+FFFD."""
    return _NOT_STORABLE.sub(REPLACEMENT, text)


def as_plain(value: Any) -> Any:
    """
    Turn AWS's dictionaries and lists into plain JSON values, which any database, file and language can take.

    Everything that leaves for an event, an XCom or a file goes through here. Times become ISO 8601 strings in
    UTC, bytes become base64, NaN and the infinities become None, text is :func:`storable`; numbers stay
    numbers, except whole ones of more than 64 bits, and any other object becomes its text.

    :param value: an entry, a list of entries, or a whole response.
    """
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value in _NUMBERS else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): as_plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(member) for member in value]
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return storable(str(value))


def _iso(when: datetime) -> str:
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).isoformat()
    except OverflowError:
        # Within a day of the first or the last year that Python knows.
        return aware.isoformat()


def one_line(text: str) -> str:
    """Escape the characters that could break a line of a log, change its writing direction or hide text."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character)[0] in "CZ" and character != " "
        else character
        for character in text
    )


def sentence(text: str) -> str:
    """Return AWS's text in one line, closed with a full stop where it has no end mark."""
    line = one_line(text).rstrip()
    return line if line.endswith((".", "!", "?")) else f"{line}."


def timestamp(when: datetime) -> str:
    """Write a time to the second, in UTC: ``2026-11-25 06:00:00 UTC``."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def whole_second(end: datetime) -> datetime:
    """Round up, because botocore cuts a time off at its second, and the end of an interval with it."""
    return end if end.microsecond == 0 else end.replace(microsecond=0) + timedelta(seconds=1)


def duration(length: timedelta | float) -> str:
    """Write a duration in its two greatest units: ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``12 days``."""
    seconds = round(length.total_seconds() if isinstance(length, timedelta) else length)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days >= 10:
        return f"{days:,} days"
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def relative(when: datetime, now: datetime) -> str:
    """Write how far away a time is: ``3 min 20 s ago``, ``in 2 h 5 min``, ``now``."""
    seconds = round((when - now).total_seconds())
    if not seconds:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def joined(parts: list[str]) -> str:
    """Write "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# The longest message that AWS documents; a longer one is cut, and is complete in the table files.
LONGEST_MESSAGE = 2_048


class Piece(NamedTuple):
    """A part of a text; an unseen one names a character that itself shows nothing."""

    text: str
    unseen: bool


def visible(text: str, longest: int = LONGEST_MESSAGE) -> list[Piece]:
    """
    Split a text so that control characters are shown and have no effect.

    :param text: AWS's text; line breaks, changes of the writing direction and lone surrogates are named.
    :param longest: how many characters are kept.
    """
    pieces: list[Piece] = []
    for character in text[:longest]:
        unseen = unicodedata.category(character)[0] == "C" or unicodedata.category(character) in {"Zl", "Zp"}
        shown = f"U+{ord(character):04X}" if unseen else character
        if pieces and not unseen and not pieces[-1].unseen:
            pieces[-1] = Piece(pieces[-1].text + shown, False)
        else:
            pieces.append(Piece(shown, unseen))
    if len(text) > longest:
        pieces.append(Piece(f"… {number(len(text) - longest)} more characters", True))
    return pieces


def ascii_only(text: str, longest: int) -> str:
    """Write a text in printable ASCII, for a chart, whose font may lack other characters."""
    shown = text.encode("ascii", "backslashreplace").decode()
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def number(count: int) -> str:
    """Write 12345 as 12,345."""
    return f"{count:,}"


def counted(count: int, one: str) -> str:
    """Write "1 image set", "2 image sets"."""
    return f"{number(count)} {one}{'' if count == 1 else 's'}"
