"""The AWS console's page of an image set."""

from __future__ import annotations

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class HealthImagingImageSetLink(BaseAwsLink):
    """
    Link to an image set in the HealthImaging console.

    AWS documents the console's addresses down to ``/medical-imaging/home#/dataStores`` and
    ``#/dataStores/create``. What follows for one image set is inferred from the console's own steps (choose a
    data store, choose an image set) and has not been checked against a signed-in console.

    https://docs.aws.amazon.com/healthimaging/latest/devguide/get-image-set-properties.html
    """

    name = "AWS HealthImaging image set"
    key = "healthimaging_image_set"
    format_str = (
        BASE_AWS_CONSOLE_LINK
        + "/medical-imaging/home?region={region_name}#/dataStores/{datastore_id}/imageSets/{image_set_id}"
    )
