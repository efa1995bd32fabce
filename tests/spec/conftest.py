"""What the tests of this folder share."""

from collections.abc import Iterator

import pytest
from tests.spec.unified.requirements import Deployment


@pytest.fixture(scope="session")
def deployment(mongodb_uri: str) -> Iterator[Deployment]:
    deployment = Deployment(mongodb_uri)
    yield deployment
    deployment.close()
