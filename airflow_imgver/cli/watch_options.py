"""The options of ``airflow imgver watch``: the arguments of the triggers for ``AssetWatcher``."""

from __future__ import annotations

from airflow_imgver.cli.connection_options import interval
from airflow_imgver.cli.option_groups import Required, Usual
from airflow_imgver.versions import Phase

ARG_QUEUE_URL = Required(
    ("--queue-url",), help="The SQS queue to which EventBridge delivers; nothing is deleted from it"
)
ARG_DATASTORE_ID = Required(
    ("--datastore-id",), help="The data store to search for changes; of a queue's events, only those of it"
)
ARG_IMAGE_NAME = Required(
    ("--image-name",),
    help="The images to list; of a queue's events, only those of them",
    nargs="+",
    metavar="IMAGE_NAME",
)
ARG_NAME_CONTAINS = Required(("--name-contains",), help="Find and list images with this text in their names")
ARG_IMAGE_SET_ID = Usual(("--image-set-id",), help="Only these image sets", nargs="+", metavar="IMAGE_SET_ID")
ARG_PRIMARY_ONLY = Usual(("--primary-only",), help="Only primary image sets", action="store_true")
ARG_PHASES = Usual(
    ("--phases",),
    help="The phases to print (default: ready failed)",
    nargs="+",
    choices=tuple(phase.value for phase in Phase),
    default=(Phase.READY.value, Phase.FAILED.value),
)
ARG_INTERVAL = Usual(
    ("--interval",),
    help="Seconds between two scans without a queue (default: 10)",
    type=interval,
    default=10.0,
)
ARG_SINCE = Usual(
    ("--since",),
    help="Without a queue, begin with the changes after this time, in ISO 8601 (default: five minutes ago)",
)
ARG_OUTPUT = Usual(
    ("-o", "--output"),
    help="plain: a line for each event; json: the event as JSON on a line (default: plain)",
    metavar="(plain, json)",
    choices=("plain", "json"),
    default="plain",
)
WATCHING = (
    ARG_QUEUE_URL,
    ARG_DATASTORE_ID,
    ARG_IMAGE_NAME,
    ARG_NAME_CONTAINS,
    ARG_IMAGE_SET_ID,
    ARG_PRIMARY_ONLY,
    ARG_PHASES,
    ARG_INTERVAL,
    ARG_SINCE,
    ARG_OUTPUT,
)
