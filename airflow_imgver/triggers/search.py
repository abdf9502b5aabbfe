"""One search for what has changed: its pages are bounded, and only the ids that are waited for stay."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from airflow_imgver.exceptions import AwsCallError, GateError
from airflow_imgver.gate.polling import drop_tracebacks

if TYPE_CHECKING:
    from airflow_imgver.hooks.base import ImageVersionHook
    from airflow_imgver.hooks.image_set_changes import ChangedPage

# 5,000 image sets, in five seconds of HealthImaging's budget. The last changed come first, so of more changes
# than that between two searches those that are left out are the oldest.
MOST_PAGES = 100


@dataclass(slots=True)
class Found:
    """
    What a search found.

    :param ids: those of the ids that are waited for.
    :param at: when AWS answered first, by AWS's clock; None where it did not say.
    :param requests: how many requests were sent.
    :param complete: whether all pages were read.
    :param error: why it ended early.
    """

    ids: set[str] = field(default_factory=set)
    at: datetime | None = None
    requests: int = 0
    complete: bool = False
    error: GateError | None = None

    @property
    def expired(self) -> bool:
        """Whether the credentials had expired."""
        return isinstance(self.error, AwsCallError) and self.error.expired

    @property
    def may_pass(self) -> bool:
        """Whether another search may succeed."""
        # An answer of another form than AWS's comes from elsewhere, for example from a proxy.
        return not isinstance(self.error, AwsCallError) or self.error.transient or self.error.expired


def search(
    hook: ImageVersionHook,
    method: str,
    scope: tuple[str, ...],
    since: datetime,
    wanted: Container[str],
    stopped: Callable[[], bool],
) -> Found:
    """
    Search once, in as many pages as there are, up to a bound; what was read before an error is kept.

    :param hook: a hook whose client is built.
    :param method: the hook's method.
    :param scope: where to search, for example a data store.
    :param since: what has changed since then.
    :param wanted: the ids that are waited for; all others are dropped where they are read.
    :param stopped: whether nobody waits for the outcome any more.
    """
    found = Found()
    pages: Iterator[ChangedPage] = getattr(hook, method)(*scope, since)
    try:
        for page in islice(pages, MOST_PAGES):
            found.requests += 1
            found.at = found.at or page.at
            found.ids.update(each for each in page.ids if each in wanted)
            if stopped():
                return found
        found.complete = found.requests < MOST_PAGES
    except GateError as error:
        drop_tracebacks(error)
        found.requests += 1
        found.error = error
    return found
