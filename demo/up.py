"""`make up`: the embedded AWS under a local Airflow with its UI and the example Dags, until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from demo.processes import StackError, interrupt_on_termination
from demo.recent import recent_state
from demo.stack import CHECKOUT, DAGS, Stack, free_port, running_stack

SCRATCH = CHECKOUT / ".up"
USUAL_PORT = 8080
TRANSITION_SECONDS = 30
# Airflow's defaults are 300 s for a new file and 30 s for a changed one: long waits for a first Dag.
REFRESH_SECONDS = 5
SETTINGS = {
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": str(REFRESH_SECONDS),
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": str(REFRESH_SECONDS),
}
FOR_A_SHELL = (
    "AIRFLOW_CONN_AWS_DEFAULT",
    "AIRFLOW_HOME",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
)


def usual_port_or_free() -> int:
    """Airflow's usual port where it is free, else a free one."""
    with socket.socket() as probe:
        # As the API server does, which can listen on a port that was closed just before.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return free_port()
    return USUAL_PORT


def write_shell_settings(stack: Stack) -> Path:
    """Write the file that points the `airflow` and `aws` commands of a shell at the stack."""
    settings = {name: stack.environment[name] for name in FOR_A_SHELL} | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.aws_url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }
    file = stack.folder / "environment.sh"
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
    return file


def print_guide(stack: Stack) -> None:
    """Print the addresses, the folders, and the first commands."""
    settings = shlex.quote(str(write_shell_settings(stack)))
    airflow = shlex.quote(str(Path(sys.executable).parent / "airflow"))
    print(
        f"""
Airflow UI    {stack.api.url}   (no password: every user of this machine is an admin)
Dags          {DAGS}   (save your own here; Airflow reads them within {2 * REFRESH_SECONDS} s)
Embedded AWS  {stack.aws_url}   (a copy or a build takes {TRANSITION_SECONDS} s)
Its data      {stack.folder / "state.json"}   (some of it changed yesterday, for example_version_report)
Reports       {stack.folder / "airflow" / "reports"}   (the report on yesterday runs by itself)
Logs          {stack.folder / "logs"}; the tasks' are in {stack.folder / "airflow" / "logs"}

Trigger example_healthimaging_copy and open its task copy_image_set: it is deferred, which the UI shows in
purple, while AWS copies. The XCom of list_versions has the versions. Unpause example_healthimaging_ready: it
starts by itself on the copy.

In another terminal, the commands of this package, and the AWS CLI where it is installed:

  . {settings}
  {airflow} imgver list-image-versions --image-name studio-imaging
  {airflow} imgver watch --datastore-id 12345678901234567890123456789012
  {airflow} imgver explain example_healthimaging_copy copy_image_set RUN_ID
  aws medical-imaging list-image-set-versions --datastore-id 12345678901234567890123456789012 \\
    --image-set-id ea92b0d8838c72a3f25d00d13616f87e

Ctrl-C stops everything and deletes {stack.folder} with its database, logs and reports. Your Dags stay.""",
        flush=True,
    )


def main() -> int:
    """Return the exit status: 0 after Ctrl-C, 1 when something did not start or ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument(
        "--port", type=int, help=f"the port of Airflow's UI; by default {USUAL_PORT}, or a free one"
    )
    arguments = parser.parse_args()
    interrupt_on_termination()
    print("Starting an embedded AWS and a whole Airflow: about half a minute.", flush=True)
    try:
        port = arguments.port or usual_port_or_free()
        with running_stack(
            SCRATCH,
            transition_seconds=TRANSITION_SECONDS,
            port=port,
            state=recent_state(datetime.now(UTC)),
            settings=SETTINGS,
        ) as stack:
            print_guide(stack)
            while True:
                stack.check()
                time.sleep(1)
    except KeyboardInterrupt:
        print(f"\nEverything is stopped, and {SCRATCH} is deleted.")
        return 0
    except StackError as error:
        print(f"\n{error}\nThe logs are in {SCRATCH}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
