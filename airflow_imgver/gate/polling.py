"""Polls of what a gate watches: one, or many in a few threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from airflow_imgver.exceptions import GateError
from airflow_imgver.gate.watched import Answer, Watched
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.options import THREADS

POLLS_AHEAD = 4
"""How many polls a thread may be ahead of the judgement, where a worker polls many ids."""


def poll(hook: ImageVersionHook, watched: Watched) -> Answer:
    """Poll one, and return the outcome, an error too."""
    try:
        answer: Answer = getattr(hook, watched.polled_by)(watched.identity, watched.version)
    except GateError as error:
        drop_tracebacks(error)
        return error
    return answer if answer is None or isinstance(answer, Exception) else answer.in_utc()


def poll_all(
    hook: ImageVersionHook, watched: Sequence[Watched]
) -> Generator[tuple[Watched, Answer], None, None]:
    """Poll each, a few at a time; where the caller stops early, polls that have not begun are not sent."""
    if len(watched) <= 1:
        yield from ((one, poll(hook, one)) for one in watched)
        return
    size = THREADS.whole()
    with ThreadPoolExecutor(size, thread_name_prefix="imgver-poke") as threads:
        try:
            # Not all at once: the threads would be hundreds of requests ahead of the judgement.
            for begin in range(0, len(watched), POLLS_AHEAD * size):
                some = watched[begin : begin + POLLS_AHEAD * size]
                yield from zip(some, threads.map(partial(poll, hook), some), strict=True)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def drop_tracebacks(error: BaseException | None) -> None:
    """Drop the tracebacks: botocore's frames refer to each other, and keep connections open."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
