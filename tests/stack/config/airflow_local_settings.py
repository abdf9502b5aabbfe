"""
What every component of Airflow runs before it starts its parts: a fork leaves alone what it inherits.

Python's first full collection in a forked process walks over all objects of its parent and, because that
writes to them, copies their memory. In a triggerer that holds up the event loop for 0.3 s when the first gate
comes. Airflow freezes its Dag processor's and its workers' inheritance likewise, and not its triggerer's.

https://docs.python.org/3/library/gc.html#gc.freeze
"""

from __future__ import annotations

import gc
import os

# Airflow takes over every public name of this module, unless it says which.
__all__: list[str] = []

os.register_at_fork(after_in_child=gc.freeze)
