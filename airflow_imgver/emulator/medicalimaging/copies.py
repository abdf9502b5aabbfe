"""The metadata that CopyImageSet gives to its destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.medicalimaging.metadata import InvalidAttributesError, merged, selected

if TYPE_CHECKING:
    from airflow_imgver.emulator.medicalimaging.contents import Contents

# The text of the Series is AWS's; the others follow it.
DIFFERENT = "INVALID_REQUEST:  {} of SourceImageSet and DestinationImageSet don't match."
INSTANCES_EXIST = "INVALID_REQUEST:  SOP Instances of SourceImageSet already exist in DestinationImageSet."


class CopyFailedError(ValueError):
    """The copy fails after the call has succeeded; the message is that of the failed version."""


def copied(
    source: Contents, destination: Contents | None, information: dict[str, Any], *, force: bool
) -> Contents:
    """
    Give the metadata of the destination after the copy.

    The image sets must agree in their Patient, Study and Series attributes, unless forced. SOP Instance UIDs
    are unique in an image set, even if forced.

    :param source: The metadata of the source.
    :param destination: The metadata of the destination; None for a new image set.
    :param information: The request's ``copyImageSetInformation``.
    :raises CopyFailedError: the copy fails.
    """
    subset = information["sourceImageSet"].get("DICOMCopies")
    if subset:
        try:
            source = selected(source, subset["copiableAttributes"])
        except InvalidAttributesError as invalid:
            raise CopyFailedError(f"INVALID_REQUEST: {invalid}") from None
    if destination is None:
        return source
    if not force:
        _check_levels(source, destination)
    if source.instances.keys() & destination.instances.keys():
        raise CopyFailedError(INSTANCES_EXIST)
    return merged(destination, source)


def _check_levels(source: Contents, destination: Contents) -> None:
    of_source, of_destination = source.document, destination.document
    # First the UIDs of the series: AWS shows this message for image sets that have nothing in common.
    if not of_source["Study"]["Series"].keys() <= of_destination["Study"]["Series"].keys():
        raise CopyFailedError(DIFFERENT.format("Series"))
    for level in ("Patient", "Study"):
        if of_source[level]["DICOM"] != of_destination[level]["DICOM"]:
            raise CopyFailedError(DIFFERENT.format(level))
    series = of_destination["Study"]["Series"]
    for uid, of_series in of_source["Study"]["Series"].items():
        if series[uid]["DICOM"] != of_series["DICOM"]:
            raise CopyFailedError(DIFFERENT.format("Series"))
