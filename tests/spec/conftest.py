"""What the tests of this folder share, and the table at the end of a full run."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.spec import summary
from tests.spec.known import RUN_ALL
from tests.spec.unified.requirements import Deployment


@pytest.fixture(scope="session")
def deployment(mongodb_uri: str) -> Iterator[Deployment]:
    deployment = Deployment(mongodb_uri)
    yield deployment
    deployment.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if RUN_ALL:
        terminalreporter.section("unified tests")
        for line in summary.lines(terminalreporter.stats):
            terminalreporter.write_line(line)
