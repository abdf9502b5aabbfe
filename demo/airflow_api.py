"""A client of Airflow's public REST API, for the demo and for the tests of a whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from demo.processes import StackError

PAGE = 100
API_SERVER = "api server"

Query = str | list[str]


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log, with the exception that it holds, if any."""

    at: str
    level: str
    logger: str
    text: str
    error: str | None


class NotFoundError(StackError):
    """The resource does not exist, or not yet."""


class AlreadyExistsError(StackError):
    """The resource exists already."""


class ServerFailedError(StackError):
    """Airflow's API server failed, or did not answer."""


REFUSALS: dict[int, type[StackError]] = {
    httpx.codes.NOT_FOUND: NotFoundError,
    httpx.codes.CONFLICT: AlreadyExistsError,
}


class AirflowApi:
    """
    The API of one Airflow, in which every user is an admin.

    :param url: where the API server listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def unhealthy(self) -> list[str]:
        """The components that are not healthy, or not yet."""
        try:
            health = self._http.get("/api/v2/monitor/health").json()
        except (httpx.TransportError, ValueError):
            return [API_SERVER]
        return [
            name.replace("_", " ")
            for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
            if (health.get(name) or {}).get("status") != "healthy"
        ]

    def dag_ids(self) -> set[str]:
        """The ids of the Dags that Airflow has read."""
        return {dag["dag_id"] for dag in self._get("/api/v2/dags")["dags"]}

    def dag_files(self) -> set[str]:
        """The names of the files that hold those Dags."""
        return {dag["fileloc"].rpartition("/")[2] for dag in self._get("/api/v2/dags")["dags"]}

    def import_errors(self) -> str:
        """Why Dag files could not be read."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return "\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors)

    def trigger(self, dag_id: str, params: dict[str, Any], since: datetime | None = None) -> str:
        """Start a run of a Dag, with a data interval from ``since`` until now; return its id."""
        # With an id of our own, a repeated request does not start a second run.
        run_id = f"manual__{uuid4()}"
        body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": None, "conf": params}
        if since is not None:
            now = datetime.now(UTC).isoformat()
            body |= {
                "logical_date": now,
                "data_interval_start": since.isoformat(),
                "data_interval_end": now,
            }
        with suppress(AlreadyExistsError):
            self._answer("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of every task of a run, in the order in which they started."""
        tasks = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        tasks.sort(key=lambda task: task["start_date"] or "~")
        return {task["task_id"]: task["state"] for task in tasks}

    def task_instances(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """The instances of a task: one, or one for each item that it is mapped over."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self._all(path, "task_instances", task_id=task_id, order_by="map_index"))

    def count(self, dag_id: str, run_id: str, task_id: str, *states: str) -> int:
        """How many instances of a task are in one of these states."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return int(self._get(path, task_id=task_id, state=list(states), limit="1")["total_entries"])

    def tasks(self, dag_id: str) -> list[dict[str, Any]]:
        """The tasks of a Dag, as Airflow returns them."""
        return list(self._get(f"/api/v2/dags/{dag_id}/tasks")["tasks"])

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """The extra links of a task instance, by name."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        return dict(self._get(path, map_index=str(map_index))["extra_links"])

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, so that it runs again."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [task_id]}
        self._answer("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as success or as failed."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self._answer("PATCH", path, {"new_state": state})

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause a Dag or let it go on; the watchers of its assets follow when its file is read again."""
        dag = self._answer(
            "PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": paused}, {"update_mask": ["is_paused"]}
        )
        # Airflow has such a request already.
        with suppress(AlreadyExistsError):
            self._answer("PUT", f"/api/v2/parseDagFile/{dag['file_token']}")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a Dag, the oldest first."""
        return list(self._all(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs", order_by="id"))

    def create_asset_event(self, asset: str, payload: dict[str, Any]) -> None:
        """Store an event for an asset, with what the event of a trigger has."""
        found = self._get("/api/v2/assets", name_pattern=asset)["assets"]
        (asset_id,) = [each["id"] for each in found if each["name"] == asset]
        self._answer("POST", "/api/v2/assets/events", {"asset_id": asset_id, "extra": {"payload": payload}})

    def events_of(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The events of triggers that started a run."""
        found = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")["asset_events"]
        return [event["extra"]["payload"] for event in found]

    def log(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, attempt: int = 1
    ) -> list[LogLine]:
        """The log of a task so far, of its worker and of its trigger; empty before it first ran."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        try:
            lines = self._get(path, full_content="true", map_index=str(map_index))["content"]
        except NotFoundError:
            return []
        return [
            LogLine(
                line.get("timestamp") or "",
                line.get("level") or "",
                line.get("logger") or "",
                line["event"],
                _error(line),
            )
            for line in lines
        ]

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """The value that a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        query = {"deserialize": "true", "stringify": "false", "map_index": str(map_index)}
        return self._get(path, **query)["value"]

    def _all(self, path: str, key: str, **query: Query) -> Iterator[Any]:
        """Read all pages of a listing."""
        offset = 0
        while page := self._get(path, limit=str(PAGE), offset=str(offset), **query)[key]:
            yield from page
            offset += len(page)

    def _get(self, path: str, **query: Query) -> Any:
        return self._answer("GET", path, query=query)

    # The server fails while SQLite is locked and while PostgreSQL restarts.
    @retry(
        retry=retry_if_exception_type(ServerFailedError),
        wait=wait_random_exponential(0.5, max=4),
        stop=stop_after_attempt(6),
        reraise=True,
    )
    def _answer(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, Query] | None = None,
    ) -> Any:
        try:
            if "Authorization" not in self._http.headers:
                token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
            answer = self._http.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise ServerFailedError(f"Airflow's API did not answer {method} {path}: {error}") from error
        if answer.is_error:
            message = f"Airflow refused {method} {path}: {answer.status_code} {answer.text}"
            if answer.is_server_error:
                raise ServerFailedError(message)
            raise REFUSALS.get(answer.status_code, StackError)(message)
        return answer.json()


def _error(line: dict[str, Any]) -> str | None:
    """Format the exception of a log line as the last line of a traceback."""
    details = line.get("error_detail")
    return f"{details[0]['exc_type']}: {details[0]['exc_value']}" if details else None
