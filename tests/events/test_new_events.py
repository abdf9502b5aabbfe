"""`new_events`, in tasks that Airflow runs: the events that no other run of the Dag has taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.sdk import DAG, Asset
from airflow.utils.session import create_session
from pages import dag_bundle
from support import dag_bags, make_known

from airflow_imgver.events import new_events
from airflow_imgver.events.taken import REMEMBERED

pytestmark = pytest.mark.usefixtures("metadata_database")

READY = Asset("image_sets_ready")
DAG_FILE = """
from airflow.sdk import DAG, Asset, get_current_context, task

from airflow_imgver.events import new_events

READY = Asset("image_sets_ready")

for name in ("one", "other"):
    with DAG(name, schedule=[READY]):

        @task(inlets=[READY])
        def take():
            return [event["key"] for event in new_events(get_current_context())]

        take()
"""


def payload(key: str) -> dict[str, Any]:
    return {"key": key, "phase": "ready", "version": 1, "changed_at": "2026-11-30T00:00:00+00:00"}


def store(*keys: str, ago: float = 0.0) -> None:
    """Store events for the asset, as a trigger's are."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    with create_session() as session:
        (asset,) = session.query(AssetModel).filter_by(name=READY.name)
        for key in keys:
            extra = {"from_trigger": True, "payload": payload(key)}
            session.add(AssetEvent(asset_id=asset.id, extra=extra, timestamp=at))


@pytest.fixture(scope="module")
def dags(metadata_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DAG]]:
    """Two Dags on one asset."""
    folder: Path = tmp_path_factory.mktemp("dags")
    (folder / "takers.py").write_text(DAG_FILE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", dag_bundle(folder))
        bag = dag_bags().DagBag(str(folder))
        assert bag.import_errors == {}
        make_known(bag)
        with create_session() as session:
            if not session.query(AssetModel).filter_by(name=READY.name).count():
                session.add(AssetModel(name=READY.name, uri=READY.uri, group="asset"))
                session.add(AssetActive(name=READY.name, uri=READY.uri))
        yield dict(bag.dags)


@pytest.fixture(autouse=True)
def no_events(dags: dict[str, DAG]) -> None:
    with create_session() as session:
        session.query(AssetEvent).delete()


def taken(dag: DAG, **more: Any) -> list[str]:
    """Run a Dag; return what its task took."""
    from airflow.models.xcom import XComModel

    run = dag.test(**more)
    assert str(run.state) == "success"
    found = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids="take", key="return_value")
    with create_session() as session:
        (value,) = session.scalars(found.with_only_columns(XComModel.value))
    return list(value)


def test_a_run_takes_what_is_stored_and_attached_to_no_run_and_the_next_one_takes_the_rest(
    dags: dict[str, DAG],
) -> None:
    store("a", "b", "a")
    assert sorted(taken(dags["one"])) == ["a", "b"]

    store("b", "c")
    assert taken(dags["one"]) == ["c"]
    assert taken(dags["one"]) == []


def test_each_dag_takes_them_for_itself(dags: dict[str, DAG]) -> None:
    store("d", "e")

    assert sorted(taken(dags["one"])) == sorted(taken(dags["other"])) == ["d", "e"]


def test_what_is_older_than_the_run_by_more_than_the_margin_is_not_read_again(dags: dict[str, DAG]) -> None:
    store("old", ago=400)
    store("new", ago=200)

    assert taken(dags["one"]) == ["new"]


class Store:
    """The state store of an asset."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


class OfAsset(Mapping[Asset, Any]):
    """What the context has for the one asset; Airflow 3.1 cannot hash an asset."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getitem__(self, asset: Asset) -> Any:
        assert asset == READY
        return self._value

    def __iter__(self) -> Iterator[Asset]:
        return iter([READY])

    def __len__(self) -> int:
        return 1


def context(
    store: Store, run_id: str, attached: list[str], stored: list[str] | None = None
) -> dict[str, Any]:
    """A context of a task with that in it; only what a test cannot bring about in a second."""
    now = datetime.now(UTC)

    def events(keys: list[str]) -> list[Any]:
        return [SimpleNamespace(timestamp=now, extra={"payload": payload(key)}) for key in keys]

    return {
        "ti": SimpleNamespace(dag_id="dag", task_id="take"),
        "dag_run": SimpleNamespace(run_id=run_id, run_after=now),
        "inlet_events": OfAsset(events(stored or [])),
        "triggering_asset_events": OfAsset(events(attached)),
        "asset_state_store": OfAsset(store),
    }


def keys(events: list[dict[str, Any]]) -> list[str]:
    return [event["key"] for event in events]


def test_a_retry_gets_the_same_events_again_and_new_ones() -> None:
    store = Store()

    assert keys(new_events(context(store, "run_1", ["a"], ["b"]))) == ["a", "b"]
    assert keys(new_events(context(store, "run_2", ["b", "c"]))) == ["c"]
    assert keys(new_events(context(store, "run_1", ["a"], ["b", "c", "d"]))) == ["a", "b", "d"]


def test_the_newest_keys_are_remembered_and_fit_into_an_entry_of_the_state_store() -> None:
    import json

    store = Store()
    many = [f"medical-imaging/{number:032d}/{number}" for number in range(REMEMBERED + 100)]
    assert len(new_events(context(store, "run_1", many))) == REMEMBERED + 100

    (kept,) = store.values.values()
    assert len(kept) == REMEMBERED
    assert len(json.dumps(kept)) < 65_535
    assert keys(new_events(context(store, "run_2", [many[0], many[-1]]))) == [many[0]]


def test_long_ids_fit_into_a_variables_key() -> None:
    store = Store()
    names = [
        context(store, "run_1", ["a"]) | {"ti": SimpleNamespace(dag_id="d" * 250, task_id=task)}
        for task in ("t" * 250, "u" * 250)
    ]

    assert [keys(new_events(each)) for each in names] == [["a"], ["a"]]
    assert len(store.values) == 2
    assert max(map(len, store.values)) <= 250


@pytest.mark.parametrize("broken", ["text", {"a": 1}, [1, None], 7])
def test_a_store_that_cannot_be_read_costs_the_memory_only(broken: Any) -> None:
    store = Store()
    store.values["imgver_taken.dag.take"] = broken

    assert keys(new_events(context(store, "run_1", ["a"]))) == ["a"]
    assert keys(new_events(context(store, "run_2", ["a"]))) == []


def test_a_task_without_the_assets_in_its_inlets_is_told_so() -> None:
    without = context(Store(), "run_1", ["a"]) | {"inlet_events": {}}

    with pytest.raises(ValueError, match=r"has no asset in inlets.*inlets=\[\.\.\.\]"):
        new_events(without)
