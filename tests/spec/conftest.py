"""What the tests of this folder share, and the table at the end of a full run."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.spec import summary
from tests.spec.known import RUN_ALL
from tests.spec.unified.deployments import Deployments

OWN_SERVER = "FERROMONGO_TEST_URI"


@pytest.fixture(scope="session")
def deployments(mongodb_uri: str) -> Iterator[Deployments]:
    with Deployments(mongodb_uri, others=RUN_ALL and OWN_SERVER not in os.environ) as deployments:
        yield deployments


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if RUN_ALL:
        terminalreporter.section("unified tests")
        for line in summary.lines(terminalreporter.stats):
            terminalreporter.write_line(line)
