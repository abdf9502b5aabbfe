"""How a page says things: moments in UTC, how long, how many, and text of AWS's with nothing hidden in it."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

# What AWS's documents allow a message to have; a longer one is cut, and is whole in the table files.
LONGEST_MESSAGE = 2_048


class Piece(NamedTuple):
    """A stretch of somebody's text; an unseen one stands for a character that shows nothing itself."""

    text: str
    unseen: bool


def visible(text: str, longest: int = LONGEST_MESSAGE) -> list[Piece]:
    """
    Take somebody's text apart, so that control characters are shown and can do nothing.

    :param text: what AWS sent; line breaks, turns of the writing direction and lone surrogates are named.
    :param longest: as many characters are kept.
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


def plain(text: str, longest: int) -> str:
    """Write somebody's text in printable ASCII, for a chart, whose font may know no other."""
    shown = text.encode("ascii", "backslashreplace").decode()
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def number(count: int) -> str:
    """Write 12345 as 12,345."""
    return f"{count:,}"


def counted(count: int, one: str) -> str:
    """Write "1 image set", "2 image sets"."""
    return f"{number(count)} {one}{'' if count == 1 else 's'}"


def moment(when: datetime) -> str:
    """Write a time to the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasting(length: timedelta | int) -> str:
    """Write a duration by its two greatest units."""
    seconds = int(length.total_seconds()) if isinstance(length, timedelta) else length
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days >= 10:
        return f"{number(days)} days"
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def listed(parts: list[str]) -> str:
    """Write "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
