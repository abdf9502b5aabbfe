"""`make up`: the embedded AWS under a local Airflow with its UI and the example Dags, until Ctrl-C."""

from __future__ import annotations

import argparse
import socket
import sys
import time

from demo.processes import StackError, interrupt_on_termination
from demo.stack import CHECKOUT, DAGS, STATE, Stack, free_port, running_stack

SCRATCH = CHECKOUT / ".up"
USUAL_PORT = 8080
TRANSITION_SECONDS = 30


def usual_port_or_free() -> int:
    """Airflow's usual port, where nobody has it."""
    with socket.socket() as probe:
        # The API server listens this way too: a port that was closed a moment ago is as good as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return free_port()
    return USUAL_PORT


def say_where_to_look(stack: Stack) -> None:
    """Print the addresses."""
    print(
        f"""
Airflow UI    {stack.api.url}   (no password: everybody on this machine is an admin here)
Dags          {DAGS}   (edit them, they are read again by themselves)
Embedded AWS  {stack.aws_url}   (loaded from {STATE}; a copy or a build takes {TRANSITION_SECONDS} s)
Logs          {stack.folder}

Trigger example_healthimaging_copy and open its task wait_for_copy: it is purple, deferred, while AWS copies.
The versions are in the XCom of list_versions. With the AWS CLI:

  export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_DISABLE_HOST_PREFIX_INJECTION=true
  aws --region us-east-1 --endpoint-url {stack.aws_url} medical-imaging list-image-set-versions \\
    --datastore-id 12345678901234567890123456789012 --image-set-id ea92b0d8838c72a3f25d00d13616f87e

Ctrl-C stops all of it.""",
        flush=True,
    )


def main() -> int:
    """Give the exit status: 0 after Ctrl-C, 1 when something did not start or stay up."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument(
        "--port", type=int, help=f"of Airflow's UI; {USUAL_PORT}, or a free one where that is taken"
    )
    arguments = parser.parse_args()
    interrupt_on_termination()
    print("Starting an embedded AWS and a whole Airflow: about half a minute.", flush=True)
    try:
        port = arguments.port or usual_port_or_free()
        with running_stack(SCRATCH, transition_seconds=TRANSITION_SECONDS, port=port) as stack:
            say_where_to_look(stack)
            while True:
                stack.check()
                time.sleep(1)
    except KeyboardInterrupt:
        print("\nEverything is stopped.")
        return 0
    except StackError as error:
        print(f"\n{error}\nThe logs are in {SCRATCH}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
