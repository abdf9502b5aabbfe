"""medical-imaging base URL and path."""

from __future__ import annotations

from airflow_imgver.emulator.medicalimaging.responses import HealthImagingResponse

# A client puts `runtime-` before the host of every call on image sets; a FIPS endpoint has `-fips` behind it.
url_bases = [
    r"https?://(?:runtime-)?medical-imaging(?:-fips)?\.(.+)\.amazonaws\.com",
]

url_paths = {
    "{0}/datastore$": HealthImagingResponse.dispatch,
    "{0}/datastore/(?P<datastoreId>[^/]+)$": HealthImagingResponse.dispatch,
    "{0}/datastore/(?P<datastoreId>[^/]+)/searchImageSets$": HealthImagingResponse.dispatch,
    "{0}/datastore/(?P<datastoreId>[^/]+)/imageSet/(?P<imageSetId>[^/]+)/(?P<action>[^/]+)$": (
        HealthImagingResponse.dispatch
    ),
    "{0}/startDICOMImportJob/datastore/(?P<datastoreId>[^/]+)$": HealthImagingResponse.dispatch,
    "{0}/getDICOMImportJob/datastore/(?P<datastoreId>[^/]+)/job/(?P<jobId>[^/]+)$": (
        HealthImagingResponse.dispatch
    ),
    "{0}/listDICOMImportJobs/datastore/(?P<datastoreId>[^/]+)$": HealthImagingResponse.dispatch,
    "{0}/tags/(?P<resourceArn>.+)$": HealthImagingResponse.dispatch,
}
