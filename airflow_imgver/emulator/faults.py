"""
Injected faults, and the number of calls: one registry for the whole process.

A fault belongs to an operation of a service that the embedded AWS serves. The next calls of that operation
answer with an error, an HTTP 500 without a body, a closed connection or half an answer, or they are slow.
:mod:`airflow_imgver.emulator.fault_delivery` delivers a fault to its caller.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.fault_requests import Fault, fault_from
from airflow_imgver.emulator.quotas import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class MetFault:
    """A fault that a call has met."""

    fault: Fault
    cleared: threading.Event

    def delay(self) -> None:
        """Wait for the seconds of the fault, or until faults are cleared."""
        self.cleared.wait(self.fault.seconds)


class FaultRegistry:
    """The faults that calls will meet, and the number of calls of each operation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_PendingFault] = []
        self._calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._cleared = threading.Event()

    def add(self, fault: Fault) -> None:
        """Inject a fault after the faults that were injected before it."""
        with self._lock:
            self._pending.append(_PendingFault(fault))

    def clear(self) -> None:
        """Remove all faults, and let delayed calls continue."""
        with self._lock:
            self._pending.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def pending(self) -> list[dict[str, Any]]:
        """Give the faults that calls will meet, with the number of calls left (None: until cleared)."""
        with self._lock:
            return [each.as_request() for each in self._pending]

    def arrive(self, service: str, operation: str, image_name: Callable[[], str | None]) -> MetFault | None:
        """
        Count a call, and give the fault that it meets.

        Faults of one operation apply in the order in which they were added. Each counts only the calls that
        the faults before it did not take.

        :param image_name: Gives the image of the call, for a fault that only calls on one image meet.
        """
        with self._lock:
            self._calls[service][operation] += 1
            for pending in self._pending:
                if (pending.fault.service, pending.fault.operation) == (service, operation) and pending.due(
                    image_name
                ):
                    if pending.left == 0:
                        self._pending.remove(pending)
                    return MetFault(pending.fault, self._cleared)
        return None

    def calls(self) -> dict[str, dict[str, int]]:
        """Give the number of calls by service and operation, with and without a fault."""
        with self._lock:
            return {service: dict(counts) for service, counts in sorted(self._calls.items())}

    def reset_calls(self) -> None:
        """Set the number of calls to zero."""
        with self._lock:
            self._calls.clear()


class _PendingFault:
    """A fault, and the number of calls that it has left."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self._seen = 0
        self._met = 0
        rate, burst = fault.per_second, fault.burst
        self._quota = Bucket(rate, burst) if rate is not None and burst is not None else None
        self._begun: dict[str | None, float] = {}

    def as_request(self) -> dict[str, Any]:
        """Give the fault as it was injected, with the calls left, and of a quota those that it throttled."""
        throttled = {} if self._quota is None else {"throttled": self._met}
        return {**self.fault.as_request(), "times": self.left, **throttled}

    def due(self, image_name: Callable[[], str | None]) -> bool:
        if self.fault.kind == "concurrent" and not self._overlaps(image_name()):
            return False
        if self._quota is not None and self._quota.has_one():
            return False
        self._seen += 1
        if self._seen % self.fault.every:
            return False
        self._met += 1
        if self.left is not None:
            self.left -= 1
        return True

    def _overlaps(self, image_name: str | None) -> bool:
        """Whether the call before it on the same image still runs, as long as AWS would take for it."""
        time_of_call = time.monotonic()
        overlaps = time_of_call - self._begun.get(image_name, -math.inf) < float(self.fault.seconds or 0)
        if not overlaps:
            self._begun[image_name] = time_of_call
        return overlaps


REGISTRY = FaultRegistry()


def inject_fault(
    service: str,
    operation: str,
    *,
    error: Mapping[str, Any] | None = None,
    kind: str | None = None,
    seconds: float | None = None,
    per_second: float | None = None,
    burst: int | None = None,
    times: int | None = 1,
    every: int = 1,
) -> None:
    """
    Make the next calls of an operation fail.

    :param service: botocore's name of the service, such as ``medical-imaging``, ``sagemaker`` or ``s3``.
    :param operation: The operation's name in AWS's spelling, such as ``ListImageSetVersions``.
    :param error: The error to answer: ``{"code": "ThrottlingException", "message": "Rate exceeded"}``. The
        code is in the service's model or common to all services; with a ``"status"`` (the HTTP status) beside
        it, it may be any code. The message is optional.
    :param kind: Instead of an error: ``http-500`` (no body), ``drop`` (the connection is closed without
        a byte), ``truncate`` (the call is carried out, and half of its answer is sent), ``delay`` (the call
        is carried out late), ``concurrent`` (of two calls on one SageMaker image within the seconds, the
        second ends in ``ResourceInUse``, "Resource was modified concurrently") or ``quota`` (calls beyond a
        rate end in ``ThrottlingException``, "Rate exceeded").
    :param seconds: The length of a ``delay``, or of a call that another one may overlap.
    :param per_second: The rate of a ``quota``; the calls within it do not meet the fault.
    :param burst: How many calls may come at once after a pause; None for those of two seconds, as with AWS.
    :param times: How many calls meet the fault; None means all, until :func:`clear_faults`.
    :param every: 2 means that every second call meets it, and so on.
    :raises ValueError: the service, operation or error does not exist, or the arguments contradict each
        other.
    """
    options = {"error": error, "kind": kind, "seconds": seconds, "times": times, "every": every}
    options |= {"per_second": per_second, "burst": burst}
    REGISTRY.add(fault_from({"service": service, "operation": operation, **options}))


def clear_faults() -> None:
    """Remove every injected fault, and let delayed calls continue; the numbers of calls stay."""
    REGISTRY.clear()


def calls() -> dict[str, dict[str, int]]:
    """
    Give the number of calls that have arrived, with and without a fault.

    :return: ``{"medical-imaging": {"ListImageSetVersions": 12}}``; an operation without calls is absent.
    """
    return REGISTRY.calls()


def reset_calls() -> None:
    """Set the numbers of calls to zero."""
    REGISTRY.reset_calls()
