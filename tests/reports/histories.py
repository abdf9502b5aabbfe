"""Made-up histories, as AWS lists them, and what a report makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.rows import Row, Scope, rows_of
from airflow_imgver.services.description import Service
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.versions import read_entry

MADE_AT = datetime(2026, 3, 14, 6, 5, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 14, tzinfo=UTC)
DATASTORE = "12345678901234567890123456789012"
MISMATCH = "INVALID_REQUEST:  Series of SourceImageSet and DestinationImageSet don't match."

# What must not do anything to a page: markup, script, formulas, control characters, turned text, no spaces.
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\"><iframe src=https://example.com></iframe>",
    "</td></tr></table><h1 id=owned>All is well</h1>",
    "</style><style>*{display:none}</style><!--",
    '=HYPERLINK("https://example.com","click")',
    "\x00\x07\x1b[31mred\x1b[0m\r\nsecond line\x7f\x85",
    "\u202egnp.exe \u2066isolated\u2069 \u200bzero\u200bwidth \u2028line",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u65e5\u672c\u8a9e \U0001f9ea",
    "\ud800 a lone surrogate",
    "{{ 7 * 7 }} {% raw %} ${7*7} $\\frac{1}{0}$ $x_$",
    "W" * 1_024,
    "'\"><svg onload=document.title='owned'> javascript:alert(1)",
)


def scope(**more: Any) -> Scope:
    """A report of the day before."""
    given = {
        "where": f"data store {DATASTORE}",
        "region": "us-east-1",
        "after": MIDNIGHT - timedelta(days=1),
        "before": MIDNIGHT,
        "stuck_after": timedelta(hours=1),
        "made_at": MADE_AT,
        "identity": {"datastore_id": DATASTORE},
    }
    return Scope(**(given | more))


def image_set(at: int) -> str:
    """The id of a made-up image set."""
    return (
        f"{0xA3F1_0000_0000_0000_0000_0000_0000_0000 + at * 0x0107_1113_1719_2329_3137_4143_4753_5961:032x}"[
            -32:
        ]
    )


def version(
    number: int, status: str | None, ago: timedelta, state: str = "ACTIVE", **more: Any
) -> dict[str, Any]:
    """One version of an image set that last changed so long before the report."""
    entry: dict[str, Any] = {
        "versionId": str(number),
        "imageSetState": state,
        "createdAt": MADE_AT - timedelta(days=400),
        "updatedAt": MADE_AT - ago,
        **more,
    }
    return entry if status is None else {**entry, "ImageSetWorkflowStatus": status}


def build(number: int, status: str, ago: timedelta, **more: Any) -> dict[str, Any]:
    """One version of an image whose building last changed so long before the report."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    return {
        "ImageArn": f"{arn}:image/studio-kernel",
        "ImageVersionArn": f"{arn}:image-version/studio-kernel/{number}",
        "ImageVersionStatus": status,
        "Version": number,
        "CreationTime": MADE_AT - ago - timedelta(minutes=4),
        "LastModifiedTime": MADE_AT - ago,
        **more,
    }


def hours(count: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=count)


def every_status() -> list[list[dict[str, Any]]]:
    """Image sets whose versions have each of AWS's statuses, and one that nobody has met."""
    return [
        [
            version(4, "UPDATED", hours(9)),
            version(3, "UPDATED", hours(30)),
            version(2, "COPY_FAILED", hours(31), message=MISMATCH),
            version(1, "COPIED", hours(9_000)),
        ],
        [version(2, "UPDATING", hours(7.5), "LOCKED"), version(1, "CREATED", hours(700))],
        [
            version(3, "UPDATE_FAILED", hours(11), message="INVALID_REQUEST: element 00100020 is immutable."),
            version(2, "COPY_FAILED", hours(20), message=MISMATCH),
            version(1, "IMPORTED", hours(200), isPrimary=True),
        ],
        [version(1, "COPYING", hours(0.3), "LOCKED")],
        [version(1, "COPYING_WITH_READ_ONLY_ACCESS", hours(0.3), "LOCKED", isPrimary=True)],
        [version(2, "UPDATING_FOR_STUDY_CONSISTENCY", hours(26), "LOCKED"), version(1, "CREATED", hours(90))],
        [version(1, "IMPORTING", hours(0.1), "LOCKED")],
        [version(1, "IMPORT_FAILED", hours(13), message="INTERNAL_ERROR: try again.")],
        [version(2, "DELETING", hours(0.2), "LOCKED"), version(1, "CREATED", hours(90))],
        [
            version(2, "DELETED", hours(15), "DELETED", deletedAt=MADE_AT - hours(15)),
            version(1, "CREATED", hours(90)),
        ],
        [version(1, "REHYDRATING", hours(10), "ACTIVE"), version(0, None, hours(12), "ACTIVE")],
        [version(2, "COPIED", hours(16), overrides={"forced": True}), version(1, "CREATED", hours(1_300))],
        [version(1, "UPDATED", hours(0.5), "LOCKED")],
    ]


def gathered(
    histories: Iterable[Sequence[dict[str, Any]]], service: Service = HEALTHIMAGING, **more: Any
) -> tuple[Contents, list[Row]]:
    """What a report holds of histories, and all its rows."""
    contents = Contents(service, scope(**more))
    everything: list[Row] = []
    for at, entries in enumerate(histories):
        if service is HEALTHIMAGING:
            name = image_set(at)
            identity = {"datastore_id": DATASTORE, "image_set_id": name}
            entries = [{"imageSetId": name, **entry} for entry in entries]
        else:
            identity = {"image_name": f"studio-kernel-{at}"}
        found = rows_of(
            service, contents.scope, identity, [read_entry(entry, service.fields) for entry in entries]
        )
        contents.add(found)
        everything += found
    return contents, everything


def a_day() -> list[list[dict[str, Any]]]:
    """A day of a data store of some size: most of it well, a few things not."""
    histories = every_status()
    for at in range(60):
        histories.append(
            [
                version(2, "UPDATED", hours(7 + at * 0.27), isPrimary=True),
                version(1, "IMPORTED", hours(30 + at * 11 + at**2 / 9), isPrimary=True),
            ]
        )
    for at in range(140):
        histories.append([version(1, "CREATED" if at % 3 else "IMPORTED", hours(7 + at * 0.16))])
    return histories


def hostile() -> list[list[dict[str, Any]]]:
    """Three thousand rows of messages that are out for the page."""
    found = []
    for at in range(1_500):
        text = HOSTILE[at % len(HOSTILE)]
        other = HOSTILE[(at + 5) % len(HOSTILE)]
        found.append(
            [
                version(2, f"{other}_FAILED"[-300:], hours(8), message=text),
                version(1, text[:200] if at % 7 == 0 else "CREATED", hours(40), message=other),
            ]
        )
    return found


def builds() -> list[list[dict[str, Any]]]:
    """SageMaker images: one that fails to build, one that hangs, one that is well."""
    return [
        [
            build(5, "CREATE_FAILED", hours(8), FailureReason="ImageBuildError: pip install exited with 1"),
            build(4, "CREATED", hours(80)),
            build(3, "DELETE_FAILED", hours(20), FailureReason="ResourceInUse: used by domain d-example"),
        ],
        [build(2, "CREATING", hours(9)), build(1, "CREATED", hours(300))],
        [build(1, "CREATED", hours(11))],
        [build(7, "DELETING", hours(0.4)), build(6, "CREATED", hours(500))],
    ]


def of_builds(**more: Any) -> tuple[Contents, list[Row]]:
    """What a report holds of :func:`builds`."""
    return gathered(builds(), SAGEMAKER_IMAGE, where="all images", **more)
