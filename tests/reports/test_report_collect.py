"""Collecting: what is found, what comes of each, in which order, and what ends it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from support import (
    DATASTORE,
    Answer,
    Asked,
    StubAws,
    connection_json,
    image_set_entry,
    logged,
    stub_aws,
    wait_for,
)

from airflow_imgver.exceptions import AwsCallError, UnreadableError
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.reports.collect import GIVE_UP_AFTER, Collection, History, Unread
from airflow_imgver.reports.found import Candidate, Found
from airflow_imgver.reports.progress import Progress
from airflow_imgver.reports.rows import Scope, rows_of
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.versions import read_entry

MADE_AT = datetime(2026, 11, 21, 6, tzinfo=UTC)
SCOPE = Scope(f"data store {DATASTORE}", "us-east-1", None, None, timedelta(hours=1), MADE_AT)
YESTERDAY = Scope(
    SCOPE.where,
    SCOPE.region,
    datetime(2026, 11, 20, tzinfo=UTC),
    datetime(2026, 11, 21, tzinfo=UTC),
    SCOPE.stuck_after,
    MADE_AT,
)
DENIED = Answer({"__type": "AccessDeniedException", "message": "no"}, status=403)
THROTTLED = Answer({"__type": "ThrottlingException", "message": "slower"}, status=429)
GONE = Answer({"__type": "ResourceNotFoundException", "message": "gone"}, status=404)
EXPIRED = Answer({"__type": "ExpiredTokenException", "message": "over"}, status=403)


def name(number: int) -> str:
    return f"{number:032d}"


def number_of(asked: Asked) -> int:
    return int(asked.path.split("/")[4])


def listing(asked: Asked, **more: Any) -> Answer:
    image_set = name(number_of(asked))
    return Answer({"imageSetPropertiesList": [image_set_entry(1, imageSetId=image_set, **more)]})


def candidates(count: int, *, certain: bool = True) -> list[Candidate]:
    return [Candidate(name(number), certain) for number in range(count)]


def collection(
    stub: StubAws,
    found: Sequence[Candidate],
    monkeypatch: pytest.MonkeyPatch,
    *,
    scope: Scope = SCOPE,
    **more: Any,
) -> Collection:
    """A collection whose requests are tried once, and whose pauses are short."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
    hook = HealthImagingHook(config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20))
    given = {"pauses": (0.01, 0.01), "progress": Progress(hook.log, "image sets"), **more}
    return Collection(
        hook,
        scope,
        Found(found),
        lambda each: {"datastore_id": DATASTORE, "image_set_id": each},
        **given,
    )


def report_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("imgver-report")]


# --- what is found --------------------------------------------------------------------------------------


def taken(found: Found) -> list[Candidate]:
    names: list[Candidate] = []
    while some := found.after(len(names), 10):
        names += some
    return names


def test_what_is_found_is_given_in_its_order_and_each_name_once() -> None:
    many = [Candidate(name(number % 700)) for number in range(2000)]
    found = Found(many)
    assert taken(found) == many[:700]
    assert found.total == 700
    found.close()


def test_a_name_that_is_certain_first_stays_so() -> None:
    found = Found([Candidate("a"), Candidate("b", certain=False), Candidate("a", certain=False)])
    assert taken(found) == [Candidate("a", certain=True), Candidate("b", certain=False)]
    found.close()


def test_how_many_there_are_is_not_known_before_all_are_found() -> None:
    more = threading.Event()

    def finding() -> Iterator[Candidate]:
        yield Candidate("a")
        assert more.wait(10)
        yield Candidate("b")

    found = Found(finding())
    assert found.after(0, 10) == [Candidate("a")]
    assert found.total is None
    assert found.after(1, 0.01) is None
    more.set()
    assert found.after(1, 10) == [Candidate("b")]
    assert found.after(2, 10) == []
    assert found.total == 2
    found.close()


def test_an_error_of_the_finding_comes_after_what_was_found() -> None:
    def finding() -> Iterator[Candidate]:
        yield Candidate("a")
        raise AwsCallError("refused")

    found = Found(finding())
    wait_for(lambda: found.total == 1)
    assert found.after(0, 10) == [Candidate("a")]
    with pytest.raises(AwsCallError, match="refused"):
        found.after(1, 10)
    found.close()


def test_the_finding_ends_where_nobody_takes_any_more() -> None:
    drawn = []

    def finding() -> Iterator[Candidate]:
        for number in range(10_000_000):
            drawn.append(number)
            yield Candidate(name(number))

    found = Found(finding())
    assert found.after(0, 10)
    found.close()
    wait_for(lambda: "imgver-find" not in [thread.name for thread in threading.enumerate()])
    assert len(drawn) < 10_000_000


# --- progress -------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def progressed(seconds: float, done: int, total: int | None, unreadable: int = 0) -> list[str]:
    """What is logged of so many, counted evenly over the time, one check per second."""
    with logged() as printed:
        clock = Clock()
        progress = Progress(HealthImagingHook().log, "image sets", clock)
        for second in range(1, int(seconds) + 1):
            clock.now = second
            while progress.done < done * second / seconds:
                progress.count(unreadable=progress.unreadable < unreadable)
            progress.log(total)
    return printed.about("Listed")


def test_nothing_is_logged_of_a_short_run() -> None:
    assert progressed(29, 500, 1000) == []


def test_every_half_minute_a_line_says_how_many_of_how_many_how_fast_and_what_is_left() -> None:
    first, second = progressed(65, 1300, 10_000)
    assert "Listed 600 of 10,000 image sets in 30 s, 20.0 a second; about 7 min 50 s left" in first
    assert "Listed 1,200 of 10,000 image sets in 1 min, 20.0 a second; about 7 min 20 s left" in second


def test_a_line_says_where_it_is_not_known_of_how_many_and_how_many_are_unreadable() -> None:
    (line,) = progressed(30, 600, None, unreadable=3)
    assert "Listed 600 image sets in 30 s" in line
    assert "20.0 a second, 3 of them unreadable" in line
    assert "left" not in line


def test_a_line_is_due_where_nothing_is_done_yet() -> None:
    (line,) = progressed(30, 0, 5)
    assert "Listed 0 of 5 image sets in 30 s, 0.0 a second" in line


# --- collecting -----------------------------------------------------------------------------------------


def test_each_comes_with_the_rows_of_what_aws_listed_in_the_order_of_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slower_the_earlier(asked: Asked) -> Answer:
        time.sleep(0.2 if number_of(asked) < 3 else 0)
        return listing(asked)

    with stub_aws(slower_the_earlier) as stub:
        collected = list(collection(stub, candidates(30), monkeypatch))
    expected = [
        rows_of(
            HEALTHIMAGING,
            SCOPE,
            {"datastore_id": DATASTORE, "image_set_id": name(number)},
            [read_entry(image_set_entry(1, imageSetId=name(number)), HEALTHIMAGING.fields)],
        )
        for number in range(30)
    ]
    assert [each.rows for each in collected if isinstance(each, History)] == expected
    assert [each.name for each in collected] == [name(number) for number in range(30)]


def test_several_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__IMGVER__THREADS", "8")
    together = threading.Barrier(8)

    def all_wait_for_each_other(asked: Asked) -> Answer:
        together.wait(20)
        return listing(asked)

    with stub_aws(all_wait_for_each_other) as stub:
        assert len(list(collection(stub, candidates(16), monkeypatch))) == 16


def test_while_one_is_tried_again_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[int] = Counter()

    def the_first_waits_for_the_others(asked: Asked) -> Answer:
        counted[number_of(asked)] += 1
        # Its first request may come after all the others', where the machine is busy: hence once at least.
        waits = number_of(asked) == 0 and (counted[0] == 1 or len(counted) < 200)
        return THROTTLED if waits else listing(asked)

    with stub_aws(the_first_waits_for_the_others) as stub:
        collected = list(collection(stub, candidates(200), monkeypatch, pauses=(0.05,) * 400))
    assert all(isinstance(each, History) for each in collected)
    assert collected[0].name == name(0)
    assert counted[0] > 1


def test_one_that_is_gone_is_unread_with_awss_reason_and_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stub_aws(lambda asked: GONE if number_of(asked) == 1 else listing(asked)) as stub:
        first, second, third = collection(stub, candidates(3), monkeypatch)
    assert isinstance(first, History)
    assert isinstance(third, History)
    assert isinstance(second, Unread)
    assert second.name == name(1)
    assert second.reason.startswith("ResourceNotFoundException from ListImageSetVersions: gone. ")
    assert [number_of(asked) for asked in stub.asked].count(1) == 1


def test_throttling_that_passes_leaves_nothing_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[int] = Counter()

    def throttles_twice(asked: Asked) -> Answer:
        counted[number_of(asked)] += 1
        return THROTTLED if counted[number_of(asked)] < 3 else listing(asked)

    with stub_aws(throttles_twice) as stub:
        collected = list(collection(stub, candidates(5), monkeypatch))
    assert [type(each) for each in collected] == [History] * 5
    assert set(counted.values()) == {3}


def test_throttling_that_stays_is_given_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda asked: THROTTLED if number_of(asked) == 1 else listing(asked)) as stub:
        _, unread, _ = collection(stub, candidates(3), monkeypatch)
    assert isinstance(unread, Unread)
    assert "ThrottlingException from ListImageSetVersions: slower" in unread.reason
    assert [number_of(asked) for asked in stub.asked].count(1) == 3


@pytest.mark.parametrize(
    "entry", [{"versionId": "first"}, {"imageSetState": 7}], ids=["no number", "a status that is no text"]
)
def test_an_entry_that_cannot_be_read_makes_its_image_set_unread(
    entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(asked: Asked) -> Answer:
        return Answer({"imageSetPropertiesList": [{**image_set_entry(1), **entry}]})

    with stub_aws(lambda asked: broken(asked) if number_of(asked) else listing(asked)) as stub:
        read, unread = collection(stub, candidates(2), monkeypatch)
    assert isinstance(read, History)
    assert isinstance(unread, Unread)


def test_an_id_that_aws_could_not_have_is_unread_and_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(listing) as stub:
        unread, read = collection(stub, [Candidate("../etc\u202e"), Candidate(name(1))], monkeypatch)
    assert isinstance(read, History)
    assert isinstance(unread, Unread)
    assert "image_set_id must be 32 digits" in unread.reason
    assert "\u202e" not in unread.reason
    assert len(stub.asked) == 1


def test_credentials_that_have_expired_end_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        stub_aws(lambda asked: EXPIRED) as stub,
        pytest.raises(AwsCallError, match="ExpiredTokenException"),
    ):
        list(collection(stub, candidates(3000), monkeypatch))
    assert len(stub.asked) < 3000


def test_where_all_are_denied_from_the_beginning_it_ends_early_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        stub_aws(lambda asked: DENIED) as stub,
        pytest.raises(
            UnreadableError,
            match=r"100 image sets in a row .* AccessDeniedException from .*: no\.",
        ),
    ):
        list(collection(stub, candidates(3000), monkeypatch))
    assert len(stub.asked) < 1000


def test_many_that_are_denied_after_one_that_was_read_do_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda asked: DENIED if number_of(asked) else listing(asked)) as stub:
        collected = list(collection(stub, candidates(2 * GIVE_UP_AFTER), monkeypatch))
    assert Counter(type(each) for each in collected) == {History: 1, Unread: 2 * GIVE_UP_AFTER - 1}


def test_where_aws_stops_to_answer_it_ends_though_others_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        stub_aws(lambda asked: THROTTLED if number_of(asked) > 20 else listing(asked)) as stub,
        pytest.raises(UnreadableError, match="ThrottlingException"),
    ):
        list(collection(stub, candidates(3000), monkeypatch))
    assert len({number_of(asked) for asked in stub.asked}) < 1000


# --- what belongs into the report -----------------------------------------------------------------------

IN_IT = datetime(2026, 11, 20, 14, tzinfo=UTC)
BEFORE_IT = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
AFTER_IT = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "states", "belongs"),
    [
        ([IN_IT], ["ACTIVE"], True),
        ([AFTER_IT, IN_IT], ["ACTIVE", "ACTIVE"], True),
        ([AFTER_IT, BEFORE_IT], ["ACTIVE", "ACTIVE"], False),
        ([BEFORE_IT], ["LOCKED"], True),
        ([BEFORE_IT], ["ACTIVE"], False),
    ],
    ids=["changed in it", "and again since", "only before and since", "stuck since before", "before it"],
)
def test_one_that_is_not_certain_belongs_there_when_it_changed_in_the_interval_or_is_stuck(
    changes: list[datetime], states: list[str], belongs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        image_set_entry(len(changes) - position, None, state, updatedAt=changed)
        for position, (changed, state) in enumerate(zip(changes, states, strict=True))
    ]
    with stub_aws(lambda asked: Answer({"imageSetPropertiesList": entries})) as stub:
        uncertain = list(collection(stub, candidates(1, certain=False), monkeypatch, scope=YESTERDAY))
        certain = list(collection(stub, candidates(1), monkeypatch, scope=YESTERDAY))
    assert len(uncertain) == belongs
    assert len(certain) == 1


# --- stopping -------------------------------------------------------------------------------------------


def test_it_can_be_stopped_while_it_waits_and_its_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda asked: THROTTLED) as stub:
        run = collection(stub, candidates(50), monkeypatch, pauses=(600.0,))

        def stop() -> None:
            wait_for(lambda: stub.asked)
            run.stop.set()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(RuntimeError, match="stopped before it was complete"):
            list(run)
        stopper.join()
        wait_for(lambda: not report_threads())


def test_threads_end_where_the_caller_stops_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(listing) as stub:
        drawn = iter(collection(stub, candidates(2000), monkeypatch))
        next(drawn)
        drawn.close()  # type: ignore[attr-defined]
        wait_for(lambda: not report_threads())
    assert len(stub.asked) < 2000


def test_progress_is_logged_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs(asked: Asked) -> Answer:
        released.wait(20)
        return listing(asked)

    with stub_aws(hangs) as stub, logged() as printed:
        progress = Progress(HealthImagingHook().log, "image sets", lambda: time.monotonic() * 1000)
        run = collection(stub, candidates(1), monkeypatch, progress=progress)
        drawing = threading.Thread(target=lambda: list(run))
        drawing.start()
        wait_for(lambda: printed.about("Listed 0 of 1 image sets"))
        released.set()
        drawing.join()
