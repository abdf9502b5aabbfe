"""The rule of the gate: status to phase, the latest of many, the verdict."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    MISMATCH,
    STARTED,
    image_set_entry,
    image_set_status,
    image_version_entry,
    image_version_status,
)

from airflow_imgver.exceptions import (
    UnexpectedAnswerError,
    VersionDeletedError,
    VersionFailedError,
)
from airflow_imgver.versions import Phase, VersionStatus, find_versions, gate_opens

# --- status -> phase ------------------------------------------------------------------------------------

IMAGE_SET_PHASES = {
    "CREATED": Phase.READY,
    "COPIED": Phase.READY,
    "UPDATED": Phase.READY,
    "IMPORTED": Phase.READY,
    "COPYING": Phase.BUSY,
    "COPYING_WITH_READ_ONLY_ACCESS": Phase.BUSY,
    "UPDATING": Phase.BUSY,
    "UPDATING_FOR_STUDY_CONSISTENCY": Phase.BUSY,
    "IMPORTING": Phase.BUSY,
    "DELETING": Phase.BUSY,
    "COPY_FAILED": Phase.FAILED,
    "UPDATE_FAILED": Phase.FAILED,
    "IMPORT_FAILED": Phase.FAILED,
    "DELETED": Phase.DELETED,
}
IMAGE_VERSION_PHASES = {
    "CREATED": Phase.READY,
    "CREATING": Phase.BUSY,
    "DELETING": Phase.BUSY,
    "CREATE_FAILED": Phase.FAILED,
    "DELETE_FAILED": Phase.FAILED,
}


def in_phase(phase: Phase) -> list[str]:
    return [status for status, found in IMAGE_SET_PHASES.items() if found is phase]


def botocore_enum(service: str, shape: str) -> set[str]:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    return set(model.shape_for(shape).enum)


def test_every_status_that_boto3_knows_of_an_image_set_has_a_row_here() -> None:
    assert botocore_enum("medical-imaging", "ImageSetWorkflowStatus") == set(IMAGE_SET_PHASES)


def test_every_status_that_boto3_knows_of_an_image_version_has_a_row_here() -> None:
    assert botocore_enum("sagemaker", "ImageVersionStatus") == set(IMAGE_VERSION_PHASES)


@pytest.mark.parametrize(("status", "phase"), IMAGE_SET_PHASES.items())
def test_a_known_status_of_an_active_image_set_has_its_phase(status: str, phase: Phase) -> None:
    found = image_set_status(image_set_entry(3, status))
    assert (found.phase, found.known, found.status) == (phase, True, status)


@pytest.mark.parametrize("status", in_phase(Phase.READY))
def test_a_locked_image_set_is_busy_though_its_status_is_a_settled_one(status: str) -> None:
    assert image_set_status(image_set_entry(3, status, "LOCKED")).phase is Phase.BUSY


@pytest.mark.parametrize(
    "status", [status for status, phase in IMAGE_SET_PHASES.items() if phase == "failed"]
)
def test_a_failure_is_a_failure_whether_active_or_locked(status: str) -> None:
    for state in ("ACTIVE", "LOCKED"):
        assert image_set_status(image_set_entry(3, status, state)).phase is Phase.FAILED


@pytest.mark.parametrize("status", [*IMAGE_SET_PHASES, None, "BEWITCHED", "SUMMONING_FAILED"])
def test_a_deleted_image_set_is_deleted_whatever_its_status(status: str | None) -> None:
    assert image_set_status(image_set_entry(3, status, "DELETED")).phase is Phase.DELETED


@pytest.mark.parametrize(
    ("status", "state", "phase"),
    [
        ("BEWITCHED", "ACTIVE", Phase.READY),
        ("BEWITCHING", "LOCKED", Phase.BUSY),
        ("BEWITCHED", "ENCHANTED", Phase.BUSY),
        ("SUMMONING_FAILED", "ACTIVE", Phase.FAILED),
        ("SUMMONING_FAILED", "LOCKED", Phase.FAILED),
        ("UPDATED", "ENCHANTED", Phase.BUSY),
    ],
)
def test_a_status_or_a_state_nobody_knows_is_judged_by_the_state_and_said_to_be_unknown(
    status: str, state: str, phase: Phase
) -> None:
    found = image_set_status(image_set_entry(3, status, state))
    assert (found.phase, found.known) == (phase, False)


@pytest.mark.parametrize(
    ("state", "phase"), [("ACTIVE", Phase.READY), ("LOCKED", Phase.BUSY), ("DELETED", Phase.DELETED)]
)
def test_an_image_set_without_a_status_is_judged_by_its_state(state: str, phase: Phase) -> None:
    found = image_set_status(image_set_entry(3, None, state))
    assert (found.phase, found.status, found.known) == (phase, state, True)
    assert str(found) == f"{state} (version 3)"


@pytest.mark.parametrize(("status", "phase"), IMAGE_VERSION_PHASES.items())
def test_a_known_status_of_an_image_version_has_its_phase(status: str, phase: Phase) -> None:
    found = image_version_status(image_version_entry(3, status))
    assert (found.number, found.phase, found.known, found.state) == (3, phase, True, None)


@pytest.mark.parametrize(
    ("status", "phase"),
    [("ARCHIVED", Phase.BUSY), ("SCAN_FAILED", Phase.FAILED), ("", Phase.BUSY), (None, Phase.BUSY)],
)
def test_an_unknown_status_of_an_image_version_opens_no_gate(status: str | None, phase: Phase) -> None:
    found = image_version_status({**image_version_entry(3), "ImageVersionStatus": status})
    assert (found.phase, found.known) == (phase, False)


@pytest.mark.parametrize("number", ["abc", "", "-1", "1.0", " 4", "٤", None, 4])  # an Arabic four
def test_an_image_set_version_that_is_no_number_is_an_unexpected_answer(number: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="versionId"):
        image_set_status({**image_set_entry(3), "versionId": number})


@pytest.mark.parametrize("number", ["4", None, True, 4.0])
def test_an_image_version_whose_number_is_none_is_an_unexpected_answer(number: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="Version is"):
        image_version_status({**image_version_entry(3), "Version": number})


def test_a_number_longer_than_python_reads_is_an_unexpected_answer_too() -> None:
    with pytest.raises(UnexpectedAnswerError, match="versionId"):
        image_set_status({**image_set_entry(3), "versionId": "9" * 5000})


def test_a_status_carries_awss_reason_and_the_time_of_the_last_change() -> None:
    failed = image_set_status(image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    assert (failed.reason, failed.changed_at) == (MISMATCH, STARTED + timedelta(minutes=2))
    entry = image_set_entry(1)
    del entry["updatedAt"]
    assert image_set_status(entry).changed_at == STARTED
    made = image_version_status(image_version_entry(2, "CREATE_FAILED", FailureReason="no such repository"))
    assert made.reason == "no such repository"


def test_a_status_names_the_state_only_where_it_says_something_else() -> None:
    assert str(image_set_status(image_set_entry(4))) == "UPDATED (ACTIVE, version 4)"
    assert str(image_set_status(image_set_entry(4, "DELETED", "DELETED"))) == "DELETED (version 4)"
    assert str(image_version_status(image_version_entry(4))) == "CREATED (version 4)"


# --- the latest of many ---------------------------------------------------------------------------------


def found_in(pages: list[list[int]], version: int | None = None) -> tuple[int | None, int | None, int]:
    """The latest and the wanted version found in pages, and how many pages were requested."""
    drawn = itertools.count()
    counted = ((image_set_entry(number) for number in page) for page in pages if next(drawn) >= 0)
    latest, wanted = find_versions(counted, image_set_status, version)
    return latest and latest.number, wanted and wanted.number, next(drawn)


numbers = st.lists(st.integers(0, 30), max_size=20)


@st.composite
def cut_in_pages(draw: st.DrawFn, history: st.SearchStrategy[list[int]]) -> list[list[int]]:
    """Any history cut anywhere, empty pages among them."""
    entries = draw(history)
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), max_size=6)))
    return [entries[start:end] for start, end in itertools.pairwise([0, *cuts, len(entries)])]


def runs_down(entries: list[int]) -> bool:
    return all(above > below for above, below in itertools.pairwise(entries))


wanted_versions = st.none() | st.integers(0, 30)
newest_first = st.sets(st.integers(0, 30), max_size=20).map(lambda found: sorted(found, reverse=True))


@given(cut_in_pages(newest_first), wanted_versions)
def test_where_numbers_run_down_the_answer_is_that_of_reading_all_and_no_page_too_many_is_drawn(
    pages: list[list[int]], version: int | None
) -> None:
    everything = [number for page in pages for number in page]
    latest, wanted, drawn = found_in(pages, version)
    assert latest == max(everything, default=None)
    assert wanted == (latest if version is None else version if version in everything else None)
    lowest_after = [
        min((n for page in pages[: i + 1] for n in page), default=None) for i in range(len(pages))
    ]
    proven = (
        i + 1
        for i, lowest in enumerate(lowest_after)
        if lowest is not None and (version is None or lowest <= version)
    )
    assert drawn == next(proven, len(pages))


@given(cut_in_pages(numbers), wanted_versions)
def test_in_any_order_the_answer_is_that_of_reading_all_unless_a_first_part_runs_down(
    pages: list[list[int]], version: int | None
) -> None:
    # A head that runs down is taken for the newest; this test finds these pages in another way.
    heads = (pages[:count] for count in range(1, len(pages) + 1))
    read = pages
    for head in heads:
        entries = [number for page in head for number in page]
        if entries and runs_down(entries) and (version is None or min(entries) <= version):
            read = head
            break
    everything = [number for page in read for number in page]
    latest, wanted, drawn = found_in(pages, version)
    assert latest == max(everything, default=None)
    assert wanted == (latest if version is None else version if version in everything else None)
    assert drawn == len(read)


@given(st.permutations(range(1, 9)).filter(lambda order: order[0] < order[1]), st.integers(2, 8))
def test_a_first_page_that_does_not_run_down_has_all_pages_read(order: list[int], size: int) -> None:
    pages = [order[start : start + size] for start in range(0, len(order), size)]
    assert found_in(pages) == (8, 8, len(pages))


def test_version_10_is_later_than_version_9() -> None:
    assert found_in([[9, 10, 8]])[0] == 10
    assert found_in([[10, 9, 8]])[0] == 10


def test_an_empty_page_proves_nothing_and_the_next_is_drawn() -> None:
    assert found_in([[], [], [5, 4], [3]]) == (5, 5, 3)


def test_no_pages_at_all_show_no_version() -> None:
    assert found_in([]) == (None, None, 0)
    assert found_in([[]], 3) == (None, None, 1)


def test_of_a_version_listed_twice_the_later_change_counts() -> None:
    older = image_set_entry(4, "UPDATING", "LOCKED")
    newer = image_set_entry(4, "UPDATED", updatedAt=older["updatedAt"] + timedelta(seconds=1))
    for order in ([older, newer], [newer, older]):
        latest, wanted = find_versions([order], image_set_status, 4)
        assert latest
        assert wanted
        assert (latest.status, wanted.status) == ("UPDATED", "UPDATED")


# --- the verdict ----------------------------------------------------------------------------------------

IMAGE_SET_RULE = [
    (None, ("wait", "wait", "open")),
    (image_set_entry(4, "UPDATING", "LOCKED"), ("wait", "wait", "wait")),
    (image_set_entry(4, "COPYING_WITH_READ_ONLY_ACCESS", "LOCKED"), ("wait", "wait", "wait")),
    (image_set_entry(4), ("open", "open", "wait")),
    (image_set_entry(4, "COPY_FAILED", message=MISMATCH), (VersionFailedError, "open", "wait")),
    (image_set_entry(4, "UPDATE_FAILED"), (VersionFailedError, "open", "wait")),
    (image_set_entry(4, "DELETED", "DELETED"), (VersionDeletedError, "open", "open")),
]
IMAGE_VERSION_RULE = [
    (None, ("wait", "wait", "open")),
    (image_version_entry(4, "CREATING"), ("wait", "wait", "wait")),
    (image_version_entry(4, "DELETING"), ("wait", "wait", "wait")),
    (image_version_entry(4, "ARCHIVED"), ("wait", "wait", "wait")),
    (image_version_entry(4), ("open", "open", "wait")),
    (image_version_entry(4, "CREATE_FAILED"), (VersionFailedError, "open", "wait")),
    (image_version_entry(4, "DELETE_FAILED"), (VersionFailedError, "open", VersionFailedError)),
]
CELLS = [
    pytest.param(
        read(entry) if entry else None,
        wait_until,
        verdict,
        id=f"{read.__name__}-{(read(entry).status if entry else 'absent')}-{wait_until}",
    )
    for read, rule in ((image_set_status, IMAGE_SET_RULE), (image_version_status, IMAGE_VERSION_RULE))
    for entry, verdicts in rule
    for wait_until, verdict in zip(("ready", "settled", "deleted"), verdicts, strict=True)
]


@pytest.mark.parametrize(("found", "wait_until", "verdict"), CELLS)
def test_each_cell_of_the_rule(found: VersionStatus | None, wait_until: Any, verdict: Any) -> None:
    if isinstance(verdict, str):
        assert gate_opens(found, wait_until, of="image set x") is (verdict == "open")
        return
    with pytest.raises(verdict, match="image set x"):
        gate_opens(found, wait_until, of="image set x")


def test_allow_read_only_takes_the_source_of_a_running_copy_for_ready_and_nothing_else() -> None:
    def opens(status: str, wait_until: Any) -> bool:
        found = image_set_status(image_set_entry(4, status, "LOCKED"))
        return gate_opens(found, wait_until, of="x", allow_read_only=True)

    assert opens("COPYING_WITH_READ_ONLY_ACCESS", "ready")
    assert opens("COPYING_WITH_READ_ONLY_ACCESS", "settled")
    assert not opens("COPYING_WITH_READ_ONLY_ACCESS", "deleted")
    assert not opens("COPYING", "ready")


def test_allow_read_only_does_not_bring_a_deleted_image_set_back() -> None:
    gone = image_set_status(image_set_entry(4, "COPYING_WITH_READ_ONLY_ACCESS", "DELETED"))
    with pytest.raises(VersionDeletedError):
        gate_opens(gone, "ready", of="x", allow_read_only=True)


def test_a_failure_says_whose_it_is_what_aws_said_and_what_to_do() -> None:
    failed = image_set_status(image_set_entry(2, "COPY_FAILED", message=MISMATCH))
    with pytest.raises(VersionFailedError) as caught:
        gate_opens(failed, "ready", of="image set x")
    assert str(caught.value) == (
        f"COPY_FAILED: {MISMATCH} Fix the cause and repeat the action that made this version; "
        "wait_until='settled' opens on a failed version too. It is version 2 of image set x."
    )


def test_a_failure_without_a_reason_says_so() -> None:
    failed = image_version_status(image_version_entry(2, "CREATE_FAILED"))
    with pytest.raises(VersionFailedError, match="AWS gave no reason"):
        gate_opens(failed, "ready", of="image x")


def test_awss_words_cannot_break_a_line_of_the_log() -> None:
    failed = image_set_status(image_set_entry(2, "COPY_FAILED", message="a\nERROR forged \u202e\x1b[2J"))
    with pytest.raises(VersionFailedError) as caught:
        gate_opens(failed, "ready", of="image set x")
    assert str(caught.value).isprintable()
    assert r"a\nERROR forged \u202e\x1b[2J" in str(caught.value)


@pytest.mark.parametrize(
    ("read", "entry"),
    [
        (image_set_status, {"versionId": "1", "imageSetState": 3}),
        (
            image_set_status,
            {"versionId": "1", "imageSetState": "ACTIVE", "ImageSetWorkflowStatus": ["COPIED"]},
        ),
        (image_version_status, {"Version": 1, "ImageVersionStatus": True}),
    ],
)
def test_a_status_that_is_no_text_is_an_answer_that_cannot_be_read(read: Any, entry: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswerError, match="not a text"):
        read(entry)
