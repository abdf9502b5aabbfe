"""``airflow version`` with and without this package among the installed ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import Row, row

AIM_MS = 10.0
ROUNDS = 25

# Importing Airflow takes seconds, and the clock's noise over these is more than the aim. So the libraries
# that `airflow version` imports are imported once; from there on every measured process is a fork of its own,
# which imports Airflow, finds the providers, asks each for its commands, builds the parser and prints the
# version. Both kinds sift what is installed, so that the sifting makes no difference: one takes out this
# package, the other a name that nothing has.
_PROGRAM = """
import importlib, importlib.metadata, importlib_metadata, json, os, sys, time

for library in LIBRARIES:
    try:
        importlib.import_module(library)
    except Exception:
        pass  # a module that only its own package imports

def seconds(hidden):
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read) as answer:
            return float(answer.read())
    # Airflow asks the one or the other, by the version of Python.
    for metadata in (importlib.metadata, importlib_metadata):
        metadata.distributions = lambda known=metadata.distributions, **criteria: (
            each for each in known(**criteria) if each.name != hidden
        )
    sys.argv = ["airflow", "version"]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    start = time.process_time()
    from airflow.__main__ import main
    main()
    took = time.process_time() - start
    from airflow.cli.cli_parser import ALL_COMMANDS_DICT
    assert ("imgver" in ALL_COMMANDS_DICT) is (hidden == "nothing")
    os.write(write, str(took).encode())
    os._exit(0)

names = ["nothing", "airflow-provider-imgver"]
pairs = []
for number in range(ROUNDS + 1):
    turn = names if number % 2 else names[::-1]
    taken = {name: seconds(name) for name in turn}
    # The first round fills the disk's cache.
    if number:
        pairs.append([taken[name] for name in names])
print(json.dumps(pairs))
"""


_SCOUT = """
import sys
sys.argv = ["airflow", "version"]
from airflow.__main__ import main
main()
own = {"airflow", "airflow_imgver", "__main__"}
print(*(name for name in sys.modules if name.partition(".")[0] not in own))
"""


def rows() -> Iterator[Row]:
    """Compare by processor time, which other processes disturb less."""
    libraries = _output(_SCOUT).split()
    program = f"LIBRARIES = {libraries!r}\nROUNDS = {ROUNDS}\n{_PROGRAM}"
    pairs = [(ours, theirs) for ours, theirs in json.loads(_output(program))]
    yield row(
        "`airflow version` with the package, its libraries being imported",
        "without it",
        pairs,
        lambda ours, theirs: 1000 * (ours - theirs),
        aim=AIM_MS,
        unit="ms",
    )


def _output(program: str) -> str:
    """Give the last line that a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"airflow version failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]
