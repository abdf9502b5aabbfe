"""
Shared by the stub servers: a process of its own, and the part of HTTP/1.1 that AWS's clients use.

Answers come from memory, so that what is measured is the client.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

JSON = "application/json"
AWS_JSON = "application/x-amz-json-1.1"


class Stub:
    """A server, as those who run it see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str) -> dict[str, Any]:
        """Ask it what no client of AWS asks, for example for its counts."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return dict(json.load(answer))


@contextmanager
def served(module: str) -> Iterator[Stub]:
    """Run the server of a module in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"The stub server did not start: it ended with {process.wait(10)}.")
        yield Stub(url)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that is kept alive; requests come one after another."""

    seconds = 0.0
    """How long an answer takes."""

    def __init__(self) -> None:
        self._received = b""

    def answer(self, target: bytes, body: bytes) -> bytes:
        """Give the whole answer to a request for a path with its query."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while (request := self._next_request()) is not None:
            answer = self.answer(*request)
            if self.seconds:
                asyncio.get_running_loop().call_later(self.seconds, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _next_request(self) -> tuple[bytes, bytes] | None:
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
        size = int(length[1]) if length else 0
        if not blank or len(rest) < size:
            return None
        self._received = rest[size:]
        return head.split(b" ", 2)[1], rest[:size]


def response(content: dict[str, Any], media_type: str = JSON, status: str = "200 OK") -> bytes:
    """Write a whole answer."""
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def serve(connection: Callable[[], Connection]) -> None:
    """Serve until the standard input is closed, which also happens when the parent dies."""
    asyncio.run(_serve(connection))


async def _serve(connection: Callable[[], Connection]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
