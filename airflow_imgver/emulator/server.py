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

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from airflow_imgver.emulator.dispatching import Dispatcher
from airflow_imgver.emulator.fault_delivery import ConnectionDropped, FaultLayer
from airflow_imgver.emulator.faults import REGISTRY
from airflow_imgver.emulator.session import embedded_aws
from airflow_imgver.emulator.state import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)

# Seconds; the end of the process stops threads that take longer.
THREADS_END_WITHIN = 5.0


@contextmanager
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    state: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    transition_seconds: float | None = None,
    events: Mapping[str, Any] | None = None,
    index_lag: float | None = None,
) -> Iterator[str]:
    """
    Serve HealthImaging, SageMaker and the rest of moto over HTTP while the context is open.

    ::

        with serve(state="state.json", transition_seconds=2) as url:
            client = boto3.client("sagemaker", endpoint_url=url, ...)

    It needs no credentials, and checks none. All resources are deleted at the end.

    :param host: The address to listen on.
    :param port: The port to listen on; 0 takes a free one.
    :param state: A state file, or the document that it would hold, to start with.
    :param transition_seconds: How long a state change takes, such as COPYING to COPIED; None means zero.
    :param events: How events are delivered, by the arguments of ``set_events``; by default each once and in
        order.
    :param index_lag: How long after a change SearchImageSets shows it, in seconds; None means zero.
    :return: The server's URL.
    :raises RuntimeError: this process already runs an embedded AWS: moto keeps one state per process.
    :raises StateError: the state is malformed; nothing is loaded, and nothing is served.
    :raises ValueError: a time is negative, or an option of the events is unknown or out of range.
    :raises OSError: the port is not available.
    """
    with embedded_aws(transition_seconds=transition_seconds, events=events, index_lag=index_lag):
        if state is not None:
            load(state)
        with _bound(host, port) as listening, _serving(host, listening) as url:
            yield url


@contextmanager
def _serving(host: str, listening: socket.socket) -> Iterator[str]:
    application = FaultLayer(Dispatcher(), REGISTRY)
    server = Server(host, listening.getsockname()[1], application, fd=listening.fileno())
    # A short interval, because the end of the context waits for it.
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
    # werkzeug ends the process where it cannot bind the port itself.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=Server.request_queue_size) as listening:
        yield listening


class RequestHandler(MotoRequestHandler):
    """Answers all requests of one connection; werkzeug's own handler closes it after each."""

    protocol_version = "HTTP/1.1"
    # Sends an answer in one piece: the second of two pieces may wait 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Register the connection, which the server closes when it stops."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Unregister the connection."""
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self) -> bool:
        """Answer 100 to a client that waits for it before its body, as S3's do, without the buffer."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def make_environ(self) -> dict[str, Any]:
        """Read the whole request, so that the next request starts where this one ends."""
        environ = super().make_environ()
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        else:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length < 0:
                raise ValueError(f"the Content-Length is {length}")
            body = self.rfile.read(length)
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
            log.exception("%s %s could not be answered", self.command, self.path)
            # Not a 500 for an operation that moto lacks: a client would repeat the call.
            lacking = isinstance(error, NotImplementedError)
            code = "NotImplemented" if lacking else "InternalFailure"
            message = str(error) if lacking else f"{type(error).__name__}: {error}"
            headers = [("Content-Type", "application/json"), ("x-amzn-errortype", code)]
            status = "501 Not Implemented" if lacking else "500 Internal Server Error"
            return status, headers, json.dumps({"__type": code, "message": message}).encode()
        status, headers = started[-1]
        return status, headers, body

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log one line per request."""
        log.info("%s %s %s", self.command, self.path, code)

    def log_message(self, format: str, *args: Any) -> None:
        """Log a message of the request handler, for example about a malformed request line."""
        log.info(format, *args)


class Server(ThreadedWSGIServer):
    """A thread for each connection; both end when the server stops."""

    request_queue_size = 1024

    def __init__(self, host: str, port: int, app: FaultLayer, fd: int) -> None:
        self.connections: set[socket.socket] = set()
        self.threads: WeakSet[threading.Thread] = WeakSet()
        super().__init__(host, port, app, RequestHandler, fd=fd)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, and register the thread."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.threads.add(thread)
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error that ended a connection; a connection that its client closed is not an error."""
        if isinstance(sys.exception(), OSError):
            log.info("The connection with %s was closed before its answer", client_address)
        else:
            log.exception("The connection with %s ended", client_address)

    def hang_up(self) -> None:
        """
        Close the connections that clients keep open, and wait for their threads.

        Before Python 3.13, a thread that still runs when Python ends can abort the process.
        """
        deadline = time.monotonic() + THREADS_END_WITHIN
        while time.monotonic() < deadline:
            # In each pass, because a thread may only just have started.
            for connection in list(self.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # The client closed it first.
            alive = [thread for thread in list(self.threads) if thread.is_alive()]
            if not alive:
                return
            alive[0].join(0.05)
