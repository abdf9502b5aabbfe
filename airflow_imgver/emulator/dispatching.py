"""Finds the backend that answers a request over HTTP."""

from __future__ import annotations

from typing import Any

from moto.core.request import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from airflow_imgver.emulator.fault_delivery import CALLED, respond
from airflow_imgver.emulator.refusals import (
    HEALTHIMAGING,
    PACKAGES,
    addressee,
    as_mapping,
    error_answer,
    explanation,
    malformed_signature,
    not_served,
    refusal,
)


def _create_app(package: Any) -> Any:
    app = create_backend_app(package)
    if package in PACKAGES:
        # Without it, a path with a double slash is redirected.
        app.url_map.merge_slashes = False
    return app


class Dispatcher(DomainDispatcherApplication):
    """
    moto's dispatcher, with a cache, because moto lists the directory of its package twice for each request.

    It also knows the two services by more than a signature, and gives AWS's errors where moto fails.
    """

    def __init__(self) -> None:
        super().__init__(_create_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Find the backend that answers at a host, such as ``api.sagemaker.us-east-1.amazonaws.com``."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """Find the host at which a request would arrive if it were for AWS."""
        found = None
        if environ["REQUEST_METHOD"] != "OPTIONS":  # A browser asks without a signature.
            found = addressee(as_mapping(environ), path, environ.get("QUERY_STRING", ""))
        if found is not None:
            package, region = found[0], found[1] or "unknown"
            return (
                f"{'medical-imaging' if package == HEALTHIMAGING else 'api.sagemaker'}.{region}.amazonaws.com"
            )
        try:
            return super().infer_service_region_host(environ, path)
        except (IndexError, ValueError):
            return None  # An Authorization header or a target of one word.

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        host = None if path.startswith("/moto-api") else self.infer_service_region_host(environ, path)
        package = None if host is None else self.get_backend_for_host(host)
        if host is not None and package is None:
            return respond(start_response, error_answer(None, not_served(host)))
        if package not in PACKAGES:
            answer = malformed_signature(as_mapping(environ))
            if answer is not None:
                return respond(start_response, answer)
            return super().__call__(environ, start_response)
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        request = Request(environ.copy())
        answer = refusal(package, request, called=environ.get(CALLED), body=body)
        if answer is not None:
            return respond(start_response, answer)
        if "HTTP_AUTHORIZATION" not in environ:
            # A presigned URL: moto takes the region from the header.
            credential = request.args["X-Amz-Credential"]
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={credential}"
        application = self.app_instances.get(package) or self.get_application(environ)
        try:
            return application(environ, start_response)
        except Exception as error:
            answer = explanation(package, request, error, body)
            if answer is None:
                raise
            return respond(start_response, answer)
