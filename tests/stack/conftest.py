"""One stack for all the tests here, and the figures that they leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from event_watch import stop_quick_triggerers
from figures import Figures
from production import Production, production

from demo.processes import StackError, interrupt_on_termination

FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where a test tells what it measured."""
    return FIGURES


@pytest.fixture(scope="session")
def whole_stack() -> Iterator[Production]:
    """The stack that all tests share."""
    interrupt_on_termination()
    try:
        with production() as stack:
            yield stack
    except StackError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture
def stack(whole_stack: Production) -> Production:
    """The stack, with everything running."""
    whole_stack.restore()
    return whole_stack


@pytest.fixture(scope="module")
def usual_triggerers(whole_stack: Production) -> Iterator[None]:
    """Triggerers as usual again, after the tests of a module that have others."""
    yield
    stop_quick_triggerers(whole_stack)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    lines = list(FIGURES)
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)
