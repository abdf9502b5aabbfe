"""
Events of image versions: what starts a Dag when a version becomes ready or fails.

- :mod:`.event` writes an event, :mod:`.filters` chooses, :mod:`.hints` reads a queue's messages.
- :mod:`.queue` (:class:`~.queue.QueueReader`) reads events out of a queue.
- :mod:`.scans` (:class:`~.scans.DatastoreWatch`, :class:`~.scans.ImageWatch`) finds them without a queue.
- :func:`events_once` and :func:`new_events` are for the author of a Dag.

The triggers for ``AssetWatcher`` and ``airflow imgver watch`` use the same readers. Importing this package
brings neither Airflow nor boto3.
"""

from __future__ import annotations

from airflow_imgver.events.once import events_once
from airflow_imgver.events.taken import new_events

__all__ = ["events_once", "new_events"]
