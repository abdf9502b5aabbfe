"""A gate that cannot reach AWS: what can never succeed fails at once, the rest is waited out and reported."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from modes import ended
from support import DATASTORE, IMAGE_SET, connection_json

from airflow_imgver.exceptions import AwsCallError
from airflow_imgver.sensors.healthimaging import HealthImagingImageSetVersionSensor

MODES = pytest.mark.parametrize("mode", ["poke", "deferrable"])


def error_of(mode: str, **more: Any) -> Exception:
    error = ended(
        HealthImagingImageSetVersionSensor,
        mode,
        **{"datastore_id": DATASTORE, "image_set_id": IMAGE_SET, "timeout": 1, **more},
    ).error
    assert error is not None
    return error


def certificate(folder: Path) -> Path:
    """A certificate that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server with a self-signed certificate, and the certificate."""
    pem = certificate(tmp_path)

    class Empty(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"imageSetPropertiesList": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    # Closing waits for the requests, so that no socket is left open.
    server.daemon_threads = False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", pem
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@MODES
def test_a_certificate_that_is_not_trusted_is_waited_out_and_the_timeout_names_it(
    mode: str, self_signed: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(self_signed[0]))
    text = str(error_of(mode))
    assert "AWS was never reached. " in text
    assert "failed, the last with: ListImageSetVersions got no answer: SSLError: " in text
    assert "self-signed certificate" in text


@MODES
def test_the_ca_bundle_of_a_certificate_makes_it_trusted(
    mode: str, self_signed: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(self_signed[0]))
    text = str(error_of(mode, verify=str(self_signed[1])))
    assert "never reached" not in text
    assert "no version listed yet" in text


@MODES
@pytest.mark.parametrize("content", [None, "", "not a certificate"])
def test_a_ca_bundle_without_certificates_fails_at_once(
    mode: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json("https://127.0.0.1:9"))
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    error = error_of(mode, verify=str(bundle), timeout=600)
    assert isinstance(error, AwsCallError)
    assert str(error).startswith(f"The CA bundle {bundle} cannot be read: ")


@MODES
@pytest.mark.parametrize("endpoint", ["https://bad host", "https://a..b", "https://a.com:99999"])
def test_an_endpoint_that_is_not_a_url_fails_at_once(
    mode: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(endpoint))
    error = error_of(mode, timeout=600)
    assert isinstance(error, AwsCallError)
    assert "endpoint_url" in str(error)


@MODES
def test_a_proxy_that_is_not_a_url_fails_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(None))
    proxy = {"proxies": {"https": "http://bad host:9"}, "retries": {"total_max_attempts": 1}}
    error = error_of(mode, timeout=600, botocore_config=proxy)
    assert isinstance(error, AwsCallError)
    assert "bad host" in str(error)


@MODES
@pytest.mark.parametrize(
    ("endpoint", "config", "words"),
    [
        ("http://127.0.0.1:9", {}, "EndpointConnectionError"),
        ("https://no-such-host.invalid", {}, "EndpointConnectionError"),
        (None, {"proxies": {"https": "http://127.0.0.1:9"}}, "ProxyConnectionError"),
    ],
)
def test_a_host_that_does_not_answer_is_waited_out_and_the_timeout_says_how_often(
    mode: str, endpoint: str | None, config: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_json(endpoint))
    text = str(error_of(mode, botocore_config={"retries": {"total_max_attempts": 1}, **config}))
    never, _, rest = text.partition("AWS was never reached. ")
    assert rest.split()[1] in ("poll", "polls"), never
    assert words in rest


@MODES
def test_a_connection_that_does_not_exist_is_named_where_the_region_is_missing(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = error_of(mode, aws_conn_id="no_such_connection", timeout=600)
    assert isinstance(error, AwsCallError)
    assert "The Airflow connection no_such_connection does not exist. Create it, or set region_name" in str(
        error
    )
