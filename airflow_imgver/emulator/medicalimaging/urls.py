"""medical-imaging base URL and path."""

from __future__ import annotations

from airflow_imgver.emulator.medicalimaging.responses import HealthImagingResponse

# A client puts `runtime-` before the host of every call on image sets; a FIPS endpoint has `-fips` behind it.
url_bases = [
    r"https?://(?:runtime-)?medical-imaging(?:-fips)?\.(.+)\.amazonaws\.com",
]

# One for all: the operation is found in the service model, and a label of the path may hold anything encoded.
url_paths = {"{0}/(?P<path>.*)$": HealthImagingResponse.dispatch}
