"""
Faults on order, and a count of the calls: one registry for the whole process.

A fault belongs to an operation of a service that the embedded AWS serves. The next calls of that operation
answer with an error, an HTTP 500 without a body, a closed connection or half an answer, or they are slow.
How a fault reaches a caller is in :mod:`airflow_imgver.emulator.fault_delivery`.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_imgver.emulator.fault_orders import Fault, fault_from

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class MetFault:
    """A fault that a call has met."""

    fault: Fault
    cleared: threading.Event

    def delay(self) -> None:
        """Wait as long as the fault says, or until faults are cleared."""
        self.cleared.wait(self.fault.seconds)


class FaultRegistry:
    """The faults that are still to come, and how many calls of each operation have arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[_Ordered] = []
        self._calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._cleared = threading.Event()

    def add(self, fault: Fault) -> None:
        """Order a fault, to follow the ones ordered before it."""
        with self._lock:
            self._ordered.append(_Ordered(fault))

    def clear(self) -> None:
        """Take back all faults, and let the calls that are being delayed go on."""
        with self._lock:
            self._ordered.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def orders(self) -> list[dict[str, Any]]:
        """Give the faults that are still to come, with how often each is left (None: until cleared)."""
        with self._lock:
            return [{**each.fault.as_order(), "times": each.left} for each in self._ordered]

    def arrive(self, service: str, operation: str) -> MetFault | None:
        """
        Count a call, and tell which fault it meets.

        Faults of one operation come in the order in which they were added: a call is shown to them one after
        the other until one takes it, so a fault counts only the calls that those before it let pass.
        """
        with self._lock:
            self._calls[service][operation] += 1
            for ordered in self._ordered:
                if (ordered.fault.service, ordered.fault.operation) == (service, operation) and ordered.due():
                    if ordered.left == 0:
                        self._ordered.remove(ordered)
                    return MetFault(ordered.fault, self._cleared)
        return None

    def calls(self) -> dict[str, dict[str, int]]:
        """Give the number of calls by service and operation, faulted or not."""
        with self._lock:
            return {service: dict(counts) for service, counts in sorted(self._calls.items())}

    def reset_calls(self) -> None:
        """Begin to count again."""
        with self._lock:
            self._calls.clear()


class _Ordered:
    """A fault, and how far it has been used up."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self._seen = 0

    def due(self) -> bool:
        self._seen += 1
        if self._seen % self.fault.every:
            return False
        if self.left is not None:
            self.left -= 1
        return True


REGISTRY = FaultRegistry()


def inject_fault(
    service: str,
    operation: str,
    *,
    error: Mapping[str, Any] | None = None,
    kind: str | None = None,
    seconds: float | None = None,
    times: int | None = 1,
    every: int = 1,
) -> None:
    """
    Make the next calls of an operation go wrong.

    :param service: botocore's name of the service, such as ``medical-imaging``, ``sagemaker`` or ``s3``.
    :param operation: The operation's name in AWS's spelling, such as ``ListImageSetVersions``.
    :param error: The error to answer: ``{"code": "ThrottlingException", "message": "Rate exceeded"}``. The
        code is one that the service's model holds or that is common to all services; with a ``"status"``
        (the HTTP status) beside it, it may be any. The message may be left out.
    :param kind: Instead of an error: ``http-500`` (no body), ``drop`` (the connection is closed without
        a byte), ``truncate`` (the call is carried out, and its answer stops half way) or ``delay``
        (the call is carried out late).
    :param seconds: How long a ``delay`` is.
    :param times: How many calls meet the fault; None means all, until :func:`clear_faults`.
    :param every: 2 means every second call meets it, and so on.
    :raises ValueError: there is no such service, operation or error, or the arguments do not go together.
    """
    order = {"error": error, "kind": kind, "seconds": seconds, "times": times, "every": every}
    REGISTRY.add(fault_from({"service": service, "operation": operation, **order}))


def clear_faults() -> None:
    """Take back every fault that was ordered, and let delayed calls go on; calls are counted on."""
    REGISTRY.clear()


def calls() -> dict[str, dict[str, int]]:
    """
    Tell how many calls have arrived, faulted or not.

    :return: ``{"medical-imaging": {"ListImageSetVersions": 12}}``; what was not called is absent.
    """
    return REGISTRY.calls()


def reset_calls() -> None:
    """Begin to count calls from nothing."""
    REGISTRY.reset_calls()
