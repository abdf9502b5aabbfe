"""The AWS console's page of an image set."""

from __future__ import annotations

from airflow_imgver.links.console import ConsoleLink
from airflow_imgver.services.healthimaging import HEALTHIMAGING


class HealthImagingImageSetLink(ConsoleLink, service=HEALTHIMAGING):
    """
    Link to an image set in the HealthImaging console.

    AWS does not document the address of one image set; the description of the service says how it was
    inferred.

    https://docs.aws.amazon.com/healthimaging/latest/devguide/get-image-set-properties.html
    """
