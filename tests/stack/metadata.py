"""What Airflow's REST API does not tell, read from its metadata database: which triggerer holds what."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
from servers import Database


class Metadata:
    """Airflow's metadata database, a connection a question, for the server may go away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def triggerer_jobs(self) -> set[int]:
        """The ids of all triggerers that there ever were."""
        return {row[0] for row in self.rows("SELECT id FROM job WHERE job_type = 'TriggererJob'")}

    def triggers(self) -> dict[int | None, int]:
        """How many triggers each triggerer holds, by its job's id; None for nobody's."""
        return dict(self.rows("SELECT triggerer_id, count(*) FROM trigger GROUP BY triggerer_id"))

    def table(self, *names: str) -> str:
        """Return the first of these tables that exists, for what Airflow has renamed."""
        return next(name for name in names if self.rows("SELECT to_regclass(%s)", name)[0][0])

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask; changes are kept."""
        with closing(psycopg2.connect(self._database.url)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(question, values)
            return list(cursor.fetchall()) if cursor.description else []
