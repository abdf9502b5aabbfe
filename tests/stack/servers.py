"""
PostgreSQL and Redis for one stack: its own where the programs are installed, else those told or found.

A server of its own can be stopped while gates wait, and nobody else notices. On a server of others' the stack
has a database of its own, and takes it away at the end.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis

from demo.processes import Child, Processes, StackError
from demo.stack import free_port

DATABASE_URL = "IMGVER_STACK_DATABASE_URL"
BROKER_URL = "IMGVER_STACK_BROKER_URL"
USUAL_DATABASE = "postgresql://postgres@127.0.0.1:5432/postgres"
USUAL_BROKER = "redis://127.0.0.1:6379/0"
MISSING = "{name} is missing: apt-get install postgresql redis-server, or name a server in {variable}."
START_LIMIT_SECONDS = 60
REDIS_DATABASES = 16


class Database:
    """A PostgreSQL database; ``url`` is libpq's."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def sqlalchemy_url(self) -> str:
        """The address as Airflow is told it."""
        return self.url.replace("postgresql://", "postgresql+psycopg2://", 1)

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            with closing(psycopg2.connect(self.url, connect_timeout=5)):
                return True
        except psycopg2.OperationalError:
            return False


class OwnDatabase(Database):
    """A database on a server that nobody else uses."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._user = _unprivileged()
        self._folder = folder
        self._port = free_port()
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        super().__init__(f"postgresql://airflow@127.0.0.1:{self._port}/postgres")
        settings = ("--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        made = processes.start_program(
            "initdb", str(_postgres("initdb")), f"--pgdata={folder / 'data'}", *settings, user=self._user
        )
        if made.process.wait(START_LIMIT_SECONDS):
            raise made.died()
        processes.gone()
        self._child = self._started()

    def _started(self) -> Child:
        child = self._processes.start_program(
            "postgres",
            *(str(_postgres("postgres")), "-D", str(self._folder / "data"), "-p", str(self._port)),
            *("-h", "127.0.0.1", "-k", str(self._folder)),
            # Nothing here outlives the stack, so nothing has to reach a disk.
            *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "max_connections=200"),
            user=self._user,
        )
        _wait_for("PostgreSQL", self.answers, child)
        return child

    def restart(self) -> None:
        """Stop the server, which breaks all connections, and start it again."""
        # SIGTERM would wait until all have gone by themselves.
        self._processes.end(self._child, signal.SIGINT)
        self._child = self._started()


@contextmanager
def database(processes: Processes) -> Iterator[Database]:
    """An empty database, taken away at the end."""
    if url := os.environ.get(DATABASE_URL):
        with _borrowed_database(url) as borrowed:
            yield borrowed
    elif _postgres("initdb"):
        # Not in the checkout: PostgreSQL refuses root, and its user may not be able to reach that.
        with tempfile.TemporaryDirectory(prefix="imgver-stack-", ignore_cleanup_errors=True) as folder:
            yield OwnDatabase(processes, Path(folder))
    elif Database(USUAL_DATABASE).answers():
        with _borrowed_database(USUAL_DATABASE) as borrowed:
            yield borrowed
    else:
        raise StackError(MISSING.format(name="PostgreSQL", variable=DATABASE_URL))


@contextmanager
def broker(processes: Processes) -> Iterator[str]:
    """The URL of an empty Redis database, emptied at the end."""
    program = shutil.which("redis-server")
    if url := os.environ.get(BROKER_URL):
        with _borrowed_broker(url) as borrowed:
            yield borrowed
    elif program:
        port = free_port()
        child = processes.start_program(
            "redis", program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"
        )
        url = f"redis://127.0.0.1:{port}/0"
        _wait_for("Redis", lambda: _redis_answers(url), child)
        yield url
    elif _redis_answers(USUAL_BROKER):
        with _borrowed_broker(USUAL_BROKER) as borrowed:
            yield borrowed
    else:
        raise StackError(MISSING.format(name="Redis", variable=BROKER_URL))


@contextmanager
def _borrowed_database(url: str) -> Iterator[Database]:
    name = f"imgver_stack_{os.getpid()}_{int(time.time())}"
    try:
        connected = psycopg2.connect(url, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise StackError(f"The PostgreSQL of {DATABASE_URL} does not answer: {error}".strip()) from None
    with closing(connected) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield Database(urlunsplit(urlsplit(url)._replace(path=f"/{name}")))
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _borrowed_broker(url: str) -> Iterator[str]:
    if not _redis_answers(url):
        raise StackError(f"The Redis of {BROKER_URL} does not answer.")
    for number in reversed(range(1, REDIS_DATABASES)):
        mine = urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
        with closing(redis.Redis.from_url(mine)) as client:
            # Claimed by a key, for two stacks may start at once.
            if client.dbsize() == 0 and client.set("imgver-stack", os.getpid(), nx=True):
                try:
                    yield mine
                finally:
                    client.flushdb()
                return
    raise StackError(f"Every database of the Redis at {url} is in use; name another one in {BROKER_URL}.")


def _redis_answers(url: str) -> bool:
    with closing(redis.Redis.from_url(url, socket_connect_timeout=5)) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _postgres(program: str) -> Path | None:
    """Find a program of PostgreSQL's server; Debian has none of them on the PATH."""
    if found := shutil.which(program):
        return Path(found).resolve()
    versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"), key=_version)
    return Path(versions[-1]) if versions else None


def _version(path: str) -> float:
    return float(Path(path).parts[-3])


def _unprivileged() -> str | None:
    """Name the account to run PostgreSQL with, which refuses root; None where this is not root."""
    if os.geteuid():
        return None
    accounts = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in accounts else "nobody"


def _wait_for(name: str, answers: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not answers():
        if child.process.poll() is not None:
            raise child.died()
        if time.monotonic() > deadline:
            raise StackError(f"{name} did not start within {START_LIMIT_SECONDS} s. Its log is {child.log}")
        time.sleep(0.1)
