"""What the demo asks of Airflow, over Airflow's public REST API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from demo.processes import StackError

PAUSES = (0.2, 0.5, 1)


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log, with the error that it tells of, if any."""

    level: str
    logger: str
    text: str
    error: str | None


class NotThereError(StackError):
    """Airflow has no such thing, or not yet."""


class AirflowApi:
    """
    The API of one Airflow, which takes everybody for an admin.

    :param url: where the API server listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def unhealthy(self) -> list[str]:
        """The components that are not there, or not yet."""
        try:
            health = self._http.get("/api/v2/monitor/health").json()
        except (httpx.TransportError, ValueError):
            return ["api server"]
        return [
            name.replace("_", " ")
            for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
            if (health.get(name) or {}).get("status") != "healthy"
        ]

    def dag_ids(self) -> set[str]:
        """The Dags that Airflow has read."""
        return {dag["dag_id"] for dag in self._get("/api/v2/dags")["dags"]}

    def import_errors(self) -> str:
        """Why Dag files could not be read."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return "\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors)

    def trigger(self, dag_id: str, params: dict[str, Any]) -> str:
        """Start a run of a Dag; give its id."""
        run = self._answer("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": params})
        return str(run["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of every task of a run, in the order in which they started."""
        tasks = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        tasks.sort(key=lambda task: task["start_date"] or "~")
        return {task["task_id"]: task["state"] for task in tasks}

    def log(self, dag_id: str, run_id: str, task_id: str) -> list[LogLine]:
        """What a task has logged so far, on its worker and in its trigger; nothing before it first ran."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        try:
            lines = self._get(path, full_content="true")["content"]
        except NotThereError:
            return []
        return [
            LogLine(line.get("level") or "", line.get("logger") or "", line["event"], _error(line))
            for line in lines
        ]

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._get(path, deserialize="true", stringify="false")["value"]

    def _get(self, path: str, **query: str) -> Any:
        # A question may meet an SQLite that is being written to.
        for pause in PAUSES:
            try:
                return self._answer("GET", path, query=query)
            except NotThereError:
                raise
            except StackError:
                time.sleep(pause)
        return self._answer("GET", path, query=query)

    def _answer(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, str] | None = None
    ) -> Any:
        try:
            if "Authorization" not in self._http.headers:
                token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
            answer = self._http.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise StackError(f"Airflow's API did not answer {method} {path}: {error}") from error
        if answer.is_error:
            refusal = NotThereError if answer.status_code == httpx.codes.NOT_FOUND else StackError
            raise refusal(f"Airflow refused {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


def _error(line: dict[str, Any]) -> str | None:
    """Put the exception of a log line as Python does at the end of a traceback."""
    details = line.get("error_detail")
    return f"{details[0]['exc_type']}: {details[0]['exc_value']}" if details else None
