"""The objects of an import job in S3: its input, and the manifest and the results that it writes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.s3.models import S3Backend


@dataclass
class ImportResult:
    """
    The files that an import has read.

    :param imported: The name of each imported file, with its image set, version and whether that is primary.
    :param failed: The name of each file that was not imported, with the reason.
    """

    imported: list[tuple[str, str, int, bool]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def image_sets(self) -> list[dict[str, Any]]:
        """Give the summaries of the image sets that the import made or changed."""
        summaries: dict[str, dict[str, Any]] = {}
        for _, image_set_id, version, primary in self.imported:
            summary = summaries.setdefault(
                image_set_id,
                {
                    "imageSetId": image_set_id,
                    "imageSetVersion": version,
                    "isPrimary": primary,
                    "numberOfMatchedSOPInstances": 0,
                },
            )
            summary["numberOfMatchedSOPInstances"] += 1
        return list(summaries.values())


def read_objects(backend: S3Backend, uri: str) -> Iterator[tuple[str, bytes]]:
    """
    Give the objects under a URI; none where moto has no bucket of that name.

    :param backend: moto's S3 backend.
    :param uri: ``s3://bucket/prefix``.
    :return: The key and the content of each object.
    """
    # Not at the top: moto's S3 takes as long to import as all of this backend.
    from moto.s3.models import FakeDeleteMarker

    bucket, prefix = split(uri)
    if bucket not in backend.buckets:
        return
    for name, found in sorted(backend.buckets[bucket].keys.items()):
        if name.startswith(prefix) and not name.endswith("/") and not isinstance(found, FakeDeleteMarker):
            yield name, found.value


def write_output(
    backend: S3Backend, region: str, properties: dict[str, Any], result: ImportResult
) -> str | None:
    """
    Write the manifest and the results of an import, in the form of AWS's guide on import jobs.

    :param backend: moto's S3 backend; a bucket that it lacks is created.
    :param region: The region of a new bucket.
    :param properties: The job's properties.
    :param result: The files that the import has read.
    :return: The reason why nothing was written; None where all was written.
    """
    # Not at the top: moto's S3 takes as long to import as all of this backend.
    from moto.s3.exceptions import S3ClientError

    output = properties["outputS3Uri"]
    bucket, prefix = split(output)
    try:
        if bucket not in backend.buckets:
            backend.create_bucket(bucket, region)
    except S3ClientError as refused:
        return f"Cannot write to outputS3Uri: {refused.code}."
    summary = {
        "jobId": properties["jobId"],
        "datastoreId": properties["datastoreId"],
        "inputS3Uri": properties["inputS3Uri"],
        "outputS3Uri": output,
        "successOutputS3Uri": f"{output}SUCCESS/",
        "failureOutputS3Uri": f"{output}FAILURE/",
        "numberOfScannedFiles": len(result.imported) + len(result.failed),
        "numberOfImportedFiles": len(result.imported),
        "numberOfFilesWithCustomerError": len(result.failed),
        "numberOfFilesWithServerError": 0,
        "numberOfGeneratedImageSets": len(result.image_sets()),
        "imageSetsSummary": result.image_sets(),
    }
    successes = [
        {
            "inputFile": name,
            "importResponse": {
                "imageSetId": image_set_id,
                "imageSetVersion": version,
                "isPrimary": primary,
            },
        }
        for name, image_set_id, version, primary in result.imported
    ]
    failures = [
        {"inputFile": name, "exception": {"exceptionType": "ValidationException", "message": reason}}
        for name, reason in result.failed
    ]
    objects = {
        "job-output-manifest.json": json.dumps({"jobSummary": summary}, indent=2),
        "SUCCESS/success.ndjson": _lines(successes),
        "FAILURE/failure.ndjson": _lines(failures),
    }
    for name, text in objects.items():
        if text:
            backend.put_object(bucket, f"{prefix}{name}", text.encode())
    return None


def split(uri: str) -> tuple[str, str]:
    """Give the bucket and the prefix of an S3 URI, whose form the contract has checked."""
    _, bucket, prefix = re.split(r"s3://([^/]+)/?", uri, maxsplit=1)
    return bucket, prefix


def _lines(documents: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in documents)
