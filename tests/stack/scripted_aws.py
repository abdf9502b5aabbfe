"""A stub of HealthImaging that answers by scripts, and of an S3 that keeps how it was asked."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, Any]]


def shows(image_set_id: str, status: str, state: str = "ACTIVE", **more: Any) -> Answer:
    """An answer with one version."""
    entry = {
        "imageSetId": image_set_id,
        "versionId": "1",
        "imageSetState": state,
        "ImageSetWorkflowStatus": status,
        "createdAt": 1_680_027_126.436,
        **more,
    }
    return 200, {"imageSetPropertiesList": [entry]}


def refuses(code: str, status: int, message: str) -> Answer:
    """An error of AWS."""
    return status, {"__type": code, "message": message}


class ScriptedAws:
    """
    The scripts, and how often each image set was asked for.

    :param url: where the stub answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.scripts: dict[str, list[Answer]] = {}
        self.polls: Counter[str] = Counter()
        self.uploads: list[dict[str, str]] = []
        """The path and the headers of each object that was put into S3."""

    def answer(self, image_set_id: str) -> Answer:
        """Return the next answer; the last one stays."""
        script = self.scripts[image_set_id]
        answer = script[min(self.polls[image_set_id], len(script) - 1)]
        self.polls[image_set_id] += 1
        return answer


@contextmanager
def scripted_aws() -> Iterator[ScriptedAws]:
    """Serve the stub on a free port."""
    lock = threading.Lock()

    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._respond(200, b"")

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                stub.uploads.append({"path": self.path, **self.headers})
            self._respond(200, b"")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                status, document = stub.answer(self.path.split("/")[4])
            self._respond(status, json.dumps(document).encode())

        def _respond(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    server.daemon_threads = True
    stub = ScriptedAws(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
