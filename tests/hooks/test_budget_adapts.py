"""The budget of an operation: its rate falls while AWS throttles and rises with time; it knows its queue."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from botocore.retries.standard import ThrottledRetryableChecker
from support import DATASTORE, IMAGE_SET, Answer, Asked, connection_json, image_set_entry, stub_aws

from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.hooks.budget import Budget
from airflow_imgver.hooks.errors import is_throttling
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.rate import AdaptiveRate
from airflow_imgver.services import SERVICES
from airflow_imgver.services.description import Quota
from airflow_imgver.services.healthimaging import HEALTHIMAGING

LISTING = HEALTHIMAGING.quotas[0]
THROTTLED = (None, {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 429}})
BOTOCORES_CODES = ThrottledRetryableChecker()._throttled_error_codes


class Clock:
    """A time that passes where a request waits, with what comes about meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.meanwhile: list[Any] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds / 2
        if self.meanwhile:
            self.meanwhile.pop(0)()
        self.now += seconds / 2


def budget(clock: Clock, per_second: float = 20.0, quota: Quota = LISTING) -> Budget:
    return Budget(quota, per_second, clock=clock, wait=clock.wait)


# --- the rate -------------------------------------------------------------------------------------------


def test_throttling_lowers_the_rate_once_a_second_and_never_below_its_lowest() -> None:
    rate = AdaptiveRate(20.0, 0.0)
    assert rate.lower(10.0)
    assert rate.current == pytest.approx(14.0)
    assert not rate.lower(10.9)
    assert rate.current == pytest.approx(14.0 + 0.9 * 0.25)
    for second in range(11, 100):
        rate.lower(float(second))
    assert 0.5 <= rate.current < 0.9


def test_a_lowered_rate_rises_by_a_quarter_a_second_each_second_and_no_higher_than_before() -> None:
    rate = AdaptiveRate(20.0, 0.0)
    rate.lower(0.0)
    rate.advance(4.0)
    assert rate.current == pytest.approx(15.0)
    rate.advance(23.9)
    assert not rate.is_whole
    rate.advance(24.1)
    assert rate.is_whole
    assert rate.current == 20.0


@pytest.mark.parametrize(("highest", "lowest", "seconds"), [(0.25, 0.00625, 640), (2.0, 0.05, 80)])
def test_its_lowest_and_its_rise_are_in_proportion_to_the_highest_rate(
    highest: float, lowest: float, seconds: float
) -> None:
    rate = AdaptiveRate(highest, 0.0)
    for number in range(60):
        rate.lower(number * 1.0)
    assert lowest <= rate.current < max(lowest, highest / seconds / 0.3) * 1.5
    rate.advance(60 + seconds)
    assert rate.is_whole


def test_the_time_of_a_turn_is_foretold_with_the_rise_of_the_rate() -> None:
    rate = AdaptiveRate(20.0, 0.0)
    for _ in range(4):
        rate.lower(rate._now + 1.0)
    for ahead in (0.5, 3.0, 100.0, 5000.0):
        turn, now = rate.allowed + ahead, rate._now
        seconds = rate.seconds_until(turn)
        assert seconds > 0
        rate.advance(now + seconds)
        assert rate.allowed == pytest.approx(turn)
        assert rate.seconds_until(turn) == 0


# --- the budget -----------------------------------------------------------------------------------------


def test_a_caller_that_sleeps_when_the_rate_falls_sleeps_on() -> None:
    clock = Clock()
    changes = budget(clock, 0.25, Quota(operation="CopyImageSet", option=LISTING.option, burst=1))
    changes.draw()
    clock.meanwhile.append(lambda: changes.heed(THROTTLED))
    changes.draw()
    first, second = clock.slept
    assert first == pytest.approx(4.0)
    # Half of the turn was left, at 0.175 a second instead of 0.25.
    assert second == pytest.approx(2 * 0.25 / 0.175 - 2, rel=0.02)


def test_a_caller_that_sleeps_has_the_turn_of_the_risen_rate() -> None:
    clock = Clock()
    lists = budget(clock)
    for _ in range(20):
        lists.heed(THROTTLED)
        clock.now += 1.0
    assert lists.rate < 1.5
    began = clock.now
    for _ in range(200):
        lists.draw()
    # At the lowered rate it would be two minutes and more.
    assert 25 < clock.now - began < 40


def test_processes_that_were_throttled_together_do_not_come_back_together() -> None:
    came_back = set()
    for _ in range(20):
        clock = Clock()
        copies = budget(clock, 0.25, Quota(operation="CopyImageSet", option=LISTING.option, burst=1))
        copies.draw()
        copies.heed(THROTTLED)
        copies.draw()
        came_back.add(clock.now)
        assert 5.0 < clock.now - 1000.0 < 12.0
    assert len(came_back) == 20


def test_a_burst_that_was_saved_up_is_lost_with_throttling() -> None:
    clock = Clock()
    lists = budget(clock)
    clock.now += 60
    lists.heed(THROTTLED)
    lists.draw()
    lists.draw()
    assert sum(clock.slept) > 1 / 20


def test_the_queue_says_how_many_wait_and_how_long_one_more_would() -> None:
    clock = Clock()
    starts = budget(clock, 1.0, Quota(operation="StartDICOMImportJob", option=LISTING.option, burst=2))
    assert starts.queue() == (0, 0.0)
    seen = []
    starts.draw()
    assert starts.queue() == (0, 0.0)
    starts.draw()
    assert starts.queue() == (0, pytest.approx(1.0))
    clock.meanwhile.append(lambda: seen.append(starts.queue()))
    starts.draw()
    assert seen == [(1, pytest.approx(1.5))]


def test_one_line_says_that_the_rate_was_lowered_and_one_that_it_is_whole_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "airflow_imgver.hooks.budget")
    clock = Clock()
    lists = budget(clock)
    for _ in range(5):
        lists.heed(THROTTLED)
        clock.now += 2.0
        lists.draw()
    for _ in range(4):
        clock.now += 40.0
        lists.draw()
    assert [record.getMessage() for record in caplog.records] == [
        (
            "AWS throttles ListImageSetVersions: at most 14 requests a second from here now, instead of 20. "
            "Other processes send too; this one finds its share of the account's quota by itself, up to "
            "[imgver] healthimaging_requests_per_second."
        ),
        (
            "AWS has not throttled ListImageSetVersions for a minute: up to 20 requests a second from here "
            "again, as [imgver] healthimaging_requests_per_second says."
        ),
    ]


# --- what counts as throttling --------------------------------------------------------------------------


@pytest.mark.parametrize("code", BOTOCORES_CODES)
def test_every_code_counts_that_botocore_s_standard_mode_counts(code: str) -> None:
    assert is_throttling({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}})


def test_status_429_counts_whatever_its_code() -> None:
    assert is_throttling({"Error": {"Code": "429"}, "ResponseMetadata": {"HTTPStatusCode": 429}})


@pytest.mark.parametrize(
    "answer",
    [
        {"imageSetPropertiesList": [], "ResponseMetadata": {"HTTPStatusCode": 200}},
        {"Error": {"Code": "InternalServerException"}, "ResponseMetadata": {"HTTPStatusCode": 500}},
        {"Error": {"Code": "ServiceQuotaExceededException"}, "ResponseMetadata": {"HTTPStatusCode": 402}},
        {"Error": {"Code": "ConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 409}},
    ],
)
def test_no_other_answer_does(answer: dict[str, Any]) -> None:
    assert not is_throttling(answer)


# --- the client's requests ------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.client_type)
def test_every_operation_has_a_budget_that_is_the_only_one_to_be_lowered_with_it(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(
            raw=json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode(), status=400
        )

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        hook = service.hook_class()(
            config={"retries": {"total_max_attempts": 1}, "parameter_validation": False}
        )
        conn = hook.conn
        operations = [quota.operation for quota in service.quotas]
        assert len(set(operations)) == len(operations)
        for operation in operations:
            before = [hook.budget(each).rate for each in operations]
            with pytest.raises(conn.exceptions.ClientError, match="Rate exceeded"):
                conn._make_api_call(operation, dict.fromkeys(_path_members(conn, operation), "0"))
            after = [hook.budget(each).rate for each in operations]
            fell = [each for each, was, now in zip(operations, before, after, strict=True) if now < was]
            assert fell == [operation]


def _path_members(conn: Any, operation: str) -> list[str]:
    shape = conn.meta.service_model.operation_model(operation).input_shape
    return [name for name, member in shape.members.items() if member.serialization.get("location") == "uri"]


def test_an_operation_without_a_quota_has_no_budget(aws_connection: str) -> None:
    with pytest.raises(KeyError, match="GetImageFrame"):
        HealthImagingHook().budget("GetImageFrame")


def test_an_error_says_that_it_was_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda asked: Answer(raw=b"", status=429)) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        with pytest.raises(AwsCallError) as caught:
            HealthImagingHook().get_image_set_version(DATASTORE, IMAGE_SET)
    assert (caught.value.throttled, caught.value.transient) == (True, True)


def test_without_throttling_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_aws(lambda asked: Answer({"imageSetPropertiesList": [image_set_entry(1)]})) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        monkeypatch.setenv("AIRFLOW__IMGVER__HEALTHIMAGING_REQUESTS_PER_SECOND", "200")
        hook = HealthImagingHook()
        for _ in range(20):
            hook.get_image_set_version(DATASTORE, IMAGE_SET)
        assert hook.budget("ListImageSetVersions").rate == 200
