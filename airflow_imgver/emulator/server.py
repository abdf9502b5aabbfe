"""Serves the embedded AWS over HTTP, in threads of this process."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer

from airflow_imgver.emulator.fault_delivery import ConnectionDropped, FaultLayer
from airflow_imgver.emulator.faults import REGISTRY
from airflow_imgver.emulator.state import load
from airflow_imgver.emulator.tenancy import embedded_aws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)

# Seconds; what takes longer to answer is left to the end of the process.
THREADS_END_WITHIN = 5.0


@contextmanager
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    state: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    transition_seconds: float | None = None,
) -> Iterator[str]:
    """
    Serve HealthImaging, SageMaker and the rest of moto over HTTP while the context is open.

    ::

        with serve(state="state.json", transition_seconds=2) as url:
            client = boto3.client("sagemaker", endpoint_url=url, ...)

    No credentials are needed, and none are checked. Everything that was created is forgotten at the end.

    :param host: The address to listen on.
    :param port: The port to listen on; 0 takes a free one.
    :param state: A state file, or the document that it would hold, to begin with.
    :param transition_seconds: How long a state change takes, such as COPYING to COPIED; None means at once.
    :return: The server's URL.
    :raises RuntimeError: this process runs an embedded AWS already: moto keeps one state for all.
    :raises StateError: the state is malformed; nothing was loaded, and nothing is served.
    :raises OSError: the port cannot be had.
    """
    with embedded_aws(transition_seconds=transition_seconds):
        if state is not None:
            load(state)
        with _bound(host, port) as listening, _serving(host, listening) as url:
            yield url


@contextmanager
def _serving(host: str, listening: socket.socket) -> Iterator[str]:
    application = FaultLayer(Dispatcher(), REGISTRY)
    server = Server(host, listening.getsockname()[1], application, fd=listening.fileno())
    # A short poll, because it is how long the end of a context waits.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="embedded-aws", daemon=True)
    thread.start()
    try:
        shown_host = f"[{host}]" if ":" in host else host
        yield f"http://{shown_host}:{server.port}"
    finally:
        REGISTRY.clear()
        server.shutdown()
        thread.join()
        server.hang_up()


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    # werkzeug, left to bind by itself, ends the process when it cannot.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=Server.request_queue_size) as listening:
        yield listening


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which reads its own package's directory twice a request, with a memory."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Find the backend that answers at a host, such as ``api.sagemaker.us-east-1.amazonaws.com``."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


class RequestHandler(MotoRequestHandler):
    """Answers the requests of one connection, one after the other; werkzeug's own closes after each."""

    protocol_version = "HTTP/1.1"
    # An answer leaves in one piece and at once: of two pieces, the second may wait 40 ms for a receipt.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Note the connection, so that it can be closed when the server stops."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self) -> bool:
        """Tell a client that asks first, as S3's do, to send its body: at once, and not into a buffer."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def make_environ(self) -> dict[str, Any]:
        """Read the whole request, so that the next one begins where this one ends."""
        environ = super().make_environ()
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        environ["wsgi.input_terminated"] = True
        return environ

    def run_wsgi(self) -> None:
        """Answer one request."""
        try:
            self.environ = environ = self.make_environ()
            status, headers, body = self._answer(environ)
        except (ConnectionDropped, ValueError):
            self.close_connection = True
            return
        code, _, phrase = status.partition(" ")
        self.log_request(code)
        self.send_response_only(int(code), phrase)
        names = {name.lower() for name, _ in headers}
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in names and code not in ("204", "304"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started.append((status, headers))

        try:
            answer = self.server.app(environ, start_response)  # type: ignore[arg-type]
            try:
                body = b"".join(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
        except ConnectionDropped:
            raise
        except Exception as error:
            # moto raises NotImplementedError for what it lacks; a caller should read that and not hang up.
            log.exception("%s %s could not be answered", self.command, self.path)
            message = json.dumps({"__type": "InternalFailure", "message": f"{type(error).__name__}: {error}"})
            headers = [("Content-Type", "application/json"), ("x-amzn-errortype", "InternalFailure")]
            return "500 Internal Server Error", headers, message.encode()
        status, headers = started[-1]
        return status, headers, body

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log one line a request, quietly."""
        log.info("%s %s %s", self.command, self.path, code)

    def log_message(self, format: str, *args: Any) -> None:
        """Log what the request handler has to say, such as about a request line that is none."""
        log.info(format, *args)


class Server(ThreadedWSGIServer):
    """A thread for each connection; both end when the server stops."""

    request_queue_size = 1024

    def __init__(self, host: str, port: int, app: FaultLayer, fd: int) -> None:
        self.connections: set[socket.socket] = set()
        self.threads: WeakSet[threading.Thread] = WeakSet()
        super().__init__(host, port, app, RequestHandler, fd=fd)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, and keep the thread in mind."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.threads.add(thread)
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection; that one side has hung up is nothing to tell of."""
        if isinstance(sys.exception(), OSError):
            log.info("The connection with %s was closed before its answer", client_address)
        else:
            log.exception("The connection with %s ended", client_address)

    def hang_up(self) -> None:
        """
        Close the connections that clients have kept open, and let their threads end.

        A thread that still runs when Python ends can abort the process there, before Python 3.13.
        """
        deadline = time.monotonic() + THREADS_END_WITHIN
        while time.monotonic() < deadline:
            # Again each time, because a thread may have been about to begin.
            for connection in list(self.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # The client was quicker.
            alive = [thread for thread in list(self.threads) if thread.is_alive()]
            if not alive:
                return
            alive[0].join(0.05)
