"""Answers that no AWS promises: text that a database refuses, "not found" now and then, a denied poll."""

from __future__ import annotations

import pytest
from figures import Figures
from production import Production
from scripted_aws import refuses, shows

MODES = ("poke", "reschedule", "deferrable")
HOSTILE = "a" * 32
SEQUENCE, DENIED = "b" * 31, "c" * 31
MESSAGE = "nul \x00 half \ud83d a pair"

pytestmark = pytest.mark.timeout(400)


def test_odd_answers_end_their_gates_alike_and_no_triggerer(stack: Production, figures: Figures) -> None:
    aws = stack.scripted_aws
    missing = refuses("ResourceNotFoundException", 404, "not found")
    denied = refuses("AccessDeniedException", 403, "not yours")
    aws.scripts[HOSTILE] = [
        # The worker polls a deferrable gate once; only a busy version then goes on in the triggerer.
        *[shows(HOSTILE, "COPYING", "LOCKED")] * 6,
        shows(HOSTILE, "COPY_FAILED", message=MESSAGE),
    ]
    for number in range(len(MODES)):
        one = f"{SEQUENCE}{number}"
        busy, ready = shows(one, "COPYING", "LOCKED"), shows(one, "COPIED")
        aws.scripts[one] = [busy, missing, missing, busy, busy, missing, missing, ready]
        aws.scripts[f"{DENIED}{number}"] = [shows(f"{DENIED}{number}", "COPYING", "LOCKED"), denied]
    pids = {name: child.process.pid for name, child in stack.components.items() if "triggerer" in name}

    run = stack.run("gates_on_odd_answers", hostile=HOSTILE, sequence=SEQUENCE, denied=DENIED)
    run.wait(240)

    assert run.tasks == {
        "hostile_list": "success",
        "report_to_s3": "success",
        **{f"hostile_{mode}": "success" for mode in MODES},
        **{f"sequence_{mode}": "success" for mode in MODES},
        **{f"denied_{mode}": "failed" for mode in MODES},
    }
    for mode in MODES:
        assert run.xcom(f"hostile_{mode}")["message"] == "nul � half � a pair"
        assert run.xcom(f"sequence_{mode}")["ImageSetWorkflowStatus"] == "COPIED"
        error = run.xcom(f"denied_{mode}")
        assert (error["code"], error["operation"]) == ("AccessDeniedException", "ListImageSetVersions")
        assert (error["transient"], error["expired"], error["answered"]) == (False, False, True)
        assert f"{DENIED}{MODES.index(mode)}" in error["about"]
    (upload,) = aws.uploads
    assert upload["path"].startswith("/reports/hostile.csv")
    assert "/eu-west-2/s3/aws4_request" in upload["Authorization"]
    assert "of-the-operator" in upload["User-Agent"]
    for name, pid in pids.items():
        process = stack.components[name].process
        assert (process.pid, process.poll()) == (pid, None)
    figures.tell(
        "Odd answers: text that PostgreSQL refuses is stored with U+FFFD, a not-found answer now and then "
        "fails no gate, and a denied poll keeps its code; alike in poke, reschedule and deferrable mode. A "
        "report to S3 uses the operator's region and client configuration"
    )
