"""One client for many waits: who shares it, who does not, and that it is closed after the last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest
from support import (
    DATASTORE,
    IMAGE,
    IMAGE_SET,
    Answer,
    connection_json,
    image_set_entry,
    load_image_set,
    stub_aws,
    wait_for,
)

from airflow_imgver.emulator import inject_fault
from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.hooks import shared
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.hooks.shared import SharedClient, lease

IDENTITY = {"datastore_id": DATASTORE, "image_set_id": IMAGE_SET}
ROLE = "arn:aws:iam::123456789012:role/reader"

pytestmark = pytest.mark.usefixtures("loaded")


@pytest.fixture
def loaded(aws_connection: str) -> None:
    load_image_set(image_set_entry(1))


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("imgver-")]


def sockets_to(url: str) -> int:
    port = int(url.rsplit(":", 1)[1])
    connections = psutil.Process().net_connections(kind="tcp4")
    return sum(
        1 for one in connections if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED"
    )


async def held(stack: AsyncExitStack, hook: Any, **how: Any) -> SharedClient:
    return await stack.enter_async_context(lease(hook, **how))


def run(scenario: Callable[[AsyncExitStack], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with AsyncExitStack() as stack:
            return await scenario(stack)

    return asyncio.run(whole())


def test_a_hundred_leases_of_one_connection_share_one_client_that_is_built_once() -> None:
    async def scenario(stack: AsyncExitStack) -> set[int]:
        clients = await asyncio.gather(*(held(stack, HealthImagingHook()) for _ in range(100)))
        return {id(client) for client in clients}

    assert len(run(scenario)) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: HealthImagingHook(region_name="eu-west-1"),
        lambda: HealthImagingHook(verify=False),
        lambda: HealthImagingHook(config={"read_timeout": 61}),
        lambda: SageMakerImageHook(),
        lambda: HealthImagingHook(aws_conn_id="aws_of_others"),
    ],
    ids=["region", "verify", "config", "service", "connection"],
)
def test_who_asks_for_something_else_gets_another_client(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any]
) -> None:
    others = connection_json(emulator_url, password="another")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_OF_OTHERS", others)

    async def scenario(stack: AsyncExitStack) -> bool:
        return await held(stack, HealthImagingHook()) is await held(stack, other())

    assert run(scenario) is False


def test_two_connections_share_no_client_though_they_hold_the_same(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TWIN", connection_json(emulator_url))

    async def scenario(stack: AsyncExitStack) -> bool:
        return await held(stack, HealthImagingHook()) is await held(stack, HealthImagingHook("aws_twin"))

    assert run(scenario) is False


@pytest.mark.parametrize(
    "edit", [{"password": "rotated"}, {"aws_session_token": "rotated"}, {"region_name": "us-west-2"}]
)
def test_an_edited_connection_never_borrows_the_old_ones_client(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch, edit: dict[str, Any]
) -> None:
    async def scenario(stack: AsyncExitStack) -> bool:
        old = await held(stack, HealthImagingHook())
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(emulator_url, **edit))
        return await held(stack, HealthImagingHook()) is old

    assert run(scenario) is False


def test_threads_and_connections_end_with_the_last_lease_and_not_before(emulator_url: str) -> None:
    async def scenario() -> None:
        async with lease(HealthImagingHook()) as outer:
            async with lease(HealthImagingHook()) as inner:
                await asyncio.gather(*(inner.call(inner.hook.observe, IDENTITY) for _ in range(20)))
            assert (await outer.call(outer.hook.observe, IDENTITY)).number == 1
            assert 1 <= len(our_threads()) <= 8
            assert sockets_to(emulator_url) >= 1

    asyncio.run(scenario())
    wait_for(lambda: not our_threads())
    wait_for(lambda: not sockets_to(emulator_url))


def test_a_lease_after_the_last_one_ended_builds_anew() -> None:
    async def scenario() -> None:
        for _ in range(2):
            async with lease(HealthImagingHook()) as lent:
                assert (await lent.call(lent.hook.observe, IDENTITY)).number == 1

    asyncio.run(scenario())
    wait_for(lambda: not our_threads())


def test_a_wait_that_is_cancelled_while_the_client_is_built_does_not_take_it_from_the_others() -> None:
    async def hold(done: asyncio.Event) -> int:
        async with lease(HealthImagingHook()) as lent:
            await done.wait()
            return (await lent.call(lent.hook.observe, IDENTITY)).number

    async def scenario() -> list[Any]:
        done = asyncio.Event()
        tasks = [asyncio.create_task(hold(done)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        done.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(scenario())
    assert isinstance(first, asyncio.CancelledError)
    assert others == [1, 1, 1, 1]
    wait_for(lambda: not our_threads())


class HeldHook(HealthImagingHook):
    """A hook whose client takes until it is told to come."""

    begun = threading.Event()
    go_on = threading.Event()

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(20)
        return super().get_client_type(*args, **kwargs)


def test_where_all_waits_are_cancelled_while_the_client_is_built_it_is_closed_when_it_is_there() -> None:
    closed: list[SharedClient] = []

    async def scenario() -> None:
        async def hold() -> None:
            async with lease(HeldHook()):
                raise AssertionError("the client should not have come")

        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.to_thread(HeldHook.begun.wait, 20)
        (share,) = shared._shares[asyncio.get_running_loop()].values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        HeldHook.go_on.set()
        closed.append(await share.client)

    asyncio.run(scenario())
    wait_for(lambda: not our_threads())
    with pytest.raises(RuntimeError, match="after shutdown"):
        closed[0]._threads.submit(print)


def test_a_role_that_cannot_be_assumed_is_an_error_for_each_holder_and_can_be_tried_again(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sts = {"sts": {"endpoint_url": emulator_url}}
    assumed = connection_json(emulator_url, role_arn=ROLE, service_config=sts)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", assumed)
    inject_fault("sts", "AssumeRole", error={"code": "AccessDenied", "status": 403, "message": "not yours"})

    async def hold() -> Any:
        async with lease(HealthImagingHook()) as lent:
            return await lent.call(lent.hook.observe, IDENTITY)

    async def scenario() -> list[Any]:
        failed = await asyncio.gather(hold(), hold(), hold(), return_exceptions=True)
        return [*failed, await hold()]

    *failed, found = asyncio.run(scenario())
    for error in failed:
        assert isinstance(error, AwsCallError)
        assert "the connection 'aws_default'" in str(error)
        assert "not yours" in str(error)
    assert found.number == 1
    wait_for(lambda: not our_threads())


def test_of_many_who_find_the_client_stale_the_first_builds_a_new_one_for_all() -> None:
    async def scenario() -> tuple[SharedClient, set[int], SharedClient]:
        async with AsyncExitStack() as stack:
            stale = await held(stack, HealthImagingHook())
            renewed = await asyncio.gather(
                *(held(stack, HealthImagingHook(), stale=stale) for _ in range(20))
            )
            later = await held(stack, HealthImagingHook())
            assert later in renewed
            return stale, {id(client) for client in renewed}, later

    stale, renewed, _ = asyncio.run(scenario())
    assert len(renewed) == 1
    assert id(stale) not in renewed
    wait_for(lambda: not our_threads())


def test_calls_of_one_client_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4, timeout=20)

    def answer(_: Any) -> Answer:
        together.wait()
        return Answer({"ImageVersions": []})

    async def scenario() -> None:
        async with lease(SageMakerImageHook()) as lent:
            look = (lent.call(lent.hook.observe, {"image_name": IMAGE}) for _ in range(4))
            assert await asyncio.gather(*look) == [None] * 4

    with stub_aws(answer) as stub:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(stub.url))
        asyncio.run(scenario())
