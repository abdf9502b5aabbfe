"""
Whether waits may rely on a search for changes. Pure: it counts what polls and searches show.

AWS promises little about the search: not when an image set appears in its index, nor that the end of a
workflow shows. So a search has to prove that it shows changes before a wait polls less often for it, and has
to go on proving it: each poll at an ordinary or a slow turn is a sample of what the search did not show.
"""

from __future__ import annotations

# A search that was right this often withstands two changes that it did not show.
MOST_POINTS = 5
# What a change costs that it did not show. A search that shows less than two of three is not relied on.
POINTS_OF_A_MISS = 2
# One request may fail anywhere; the next search shows what it would have shown.
FAILURES = 2
# So many more polls that a search asked for in vain than polls which showed a change, each of those counting
# for a few: a change is found by several searches, and is polled for each more seldom.
WASTED = 500
POLLS_A_CHANGE = 20


class Trust:
    """What a search has shown so far."""

    __slots__ = ("_failures", "_late", "_points", "_wasted")

    def __init__(self) -> None:
        self._points = 0
        self._failures = 0
        self._wasted = 0
        self._late = False

    @property
    def relied_on(self) -> bool:
        """Whether waits may poll less often."""
        return self._points > 0 and self._failures < FAILURES and not self._late

    @property
    def useless(self) -> bool:
        """Whether the polls that it asks for hardly ever show a change."""
        return self._wasted >= WASTED

    @property
    def failures(self) -> int:
        """How many searches in a row have failed."""
        return self._failures

    def found(self) -> None:
        """Count a poll that the search asked for, and that showed a change."""
        self._points = min(self._points + 1, MOST_POINTS)
        self._wasted = max(0, self._wasted - POLLS_A_CHANGE)

    def missed(self) -> None:
        """Count a change that a poll showed, and that the search should have shown before."""
        self._points = max(self._points - POINTS_OF_A_MISS, -MOST_POINTS)

    def wasted(self) -> None:
        """Count a poll that the search asked for, and that showed no change."""
        self._wasted = min(self._wasted + 1, WASTED)

    def answered(self) -> None:
        """Count a search that ended well."""
        self._failures = 0
        self._late = False

    def failed(self) -> None:
        """Count a search that did not."""
        self._failures += 1
        self._late = False

    def late(self) -> None:
        """Note that a search takes so long that nothing is known of the last minute."""
        self._late = True

    def begin_again(self) -> None:
        """Forget what it has shown; it has to prove it again."""
        self._points = min(self._points, 0)
        self._wasted = 0
